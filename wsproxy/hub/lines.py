"""What planning speaks of: lines (upstream connections), what they may carry, and steps."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Rules:
    """What a venue allows on one connection, and how to fill it; ``None`` is no limit."""

    streams_per_connection: int | None = None
    characters_per_connection: int | None = None
    spread_over: int = 1
    """1 packs: the fullest line with room first, so that the cap is reached late. More spreads:
    so many lines of an endpoint before two streams share one, then the emptiest line first."""
    hot_rate: float | None = None
    """Messages/s above which a line is hot: it gets no more streams while there is a choice."""
    keepalive: str | None = None
    """A stream that every line holds from the beginning: it counts, but does not keep a line."""


class Want(NamedTuple):
    """How often a stream is to be carried, and what it takes of a line."""

    stream: str
    endpoint: str
    """Streams of different endpoints never share a line."""
    copies: int = 1
    """0: not wanted any more. 2: on two lines, of different mirrors where that is possible."""
    characters: int = 0
    """What it takes of ``Rules.characters_per_connection``."""
    group: str | None = None
    """At most one stream of a group on a line: variants that the venue's messages do not name."""


@dataclass(slots=True)
class Line:
    """An upstream connection, in its owner's books; what plans does not change it."""

    endpoint: str
    mirror: int
    """Which of the venue's URLs."""
    streams: Collection[str] = ()
    characters: int = 0
    groups: Container[str] = ()
    rate: float = 0.0
    """Messages/s."""
    is_open_to_more: bool = True
    """False for a line that closes, is being replaced, or probes: nothing is placed on it, and it
    is not closed when it is empty."""


class Open(NamedTuple):
    """A new line."""

    key: int
    endpoint: str
    mirror: int


class Subscribe(NamedTuple):
    """One stream more on a line."""

    key: int
    stream: str


class Unsubscribe(NamedTuple):
    """One stream less on a line."""

    key: int
    stream: str


class Close(NamedTuple):
    """The end of a line on which nothing is wanted; what it still carries ends with it."""

    key: int


class Move(NamedTuple):
    """Make before break: until the target delivers, both lines carry the stream."""

    stream: str
    source: int
    target: int


Step = Open | Subscribe | Unsubscribe | Close | Move


class Limit(IntEnum):
    """Why no line can take a stream; of several reasons the greatest is told."""

    CONNECTIONS = 1
    """There is no line of the stream's endpoint."""
    STREAMS = 2
    CHARACTERS = 3
    GROUP = 4
    COPIES = 5
    """The line carries the stream already."""
    LENGTH = 6
    """The stream alone is over ``Rules.characters_per_connection``."""


class Draft:
    """A line as it will be when the steps so far are done."""

    __slots__ = ("_rules", "characters", "groups", "key", "line", "streams")

    def __init__(self, key: int, line: Line, rules: Rules) -> None:
        self._rules = rules
        self.key = key
        self.line = line
        self.streams = len(line.streams)
        self.characters = line.characters
        self.groups: dict[str, bool] = {}
        """Whether it will hold a group, where that may have changed."""

    def change(self, want: Want, by: int) -> None:
        """Carry the stream (1), or no longer (-1)."""
        self.streams += by
        self.characters += by * want.characters
        if want.group is not None:
            self.groups[want.group] = by > 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing but a keepalive is on it."""
        return self.streams == (self._rules.keepalive in self.line.streams)

    def obstacle(self, want: Want) -> Limit | None:
        """What keeps a stream, which it does not carry, from this line."""
        most = self._rules.streams_per_connection
        if most is not None and self.streams >= most:
            return Limit.STREAMS
        most = self._rules.characters_per_connection
        if most is not None and self.characters + want.characters > most:
            return Limit.CHARACTERS
        if want.group is not None:
            held = self.groups.get(want.group)
            if want.group in self.line.groups if held is None else held:
                return Limit.GROUP
        return None


def choose_mirror(
    weights: Sequence[float], lines_on: Mapping[int, int], avoided: Collection[int]
) -> int:
    """The mirror for a new line: in the long run each gets lines in proportion to its weight.

    Those of weight 0 and those to be avoided only if there is no other. This is the method of
    D'Hondt: the highest weight for each line that the mirror would then have.
    """

    def reluctance(mirror: int) -> tuple[bool, bool, float, int]:
        weight, count = weights[mirror], lines_on.get(mirror, 0) + 1
        return weight <= 0, mirror in avoided, count / weight if weight > 0 else count, mirror

    return min(range(len(weights)), key=reluctance)
