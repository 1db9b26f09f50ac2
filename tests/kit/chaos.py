"""Random faults by a schedule, and the judgement whether everybody got what they had to get.

Messages are numbered: those of a stream are 1, 2, 3, and so on. What a client received of a stream
may lack a number only where a gap record of the recording says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import NamedTuple

MOMENT_NS = 200_000_000
"""Messages that come so close together were on their way before anybody could act."""


class Fault(NamedTuple):
    """One thing that goes wrong ``at`` so many seconds; ``target`` picks whom it hits."""

    at: float
    kind: str
    target: int


def schedule(seed: int, seconds: float, kinds: Sequence[str], every: float) -> list[Fault]:
    """Faults every ``every`` seconds on average, in order; each kind comes before any returns."""
    dice = Random(seed)
    faults: list[Fault] = []
    bag: list[str] = []
    at = every * dice.uniform(0.5, 1.5)
    while at < seconds:
        if not bag:
            bag = dice.sample(kinds, len(kinds))
        faults.append(Fault(at, bag.pop(), dice.randrange(1 << 16)))
        at += every * dice.uniform(0.5, 1.5)
    return faults


class Item(NamedTuple):
    """One message of a stream; a snapshot says the state after message ``number``."""

    stream: str
    number: int
    is_snapshot: bool = False


class Gap(NamedTuple):
    """What a gap record says of a stream; times in ns, ``missed`` if it is known."""

    since_ns: int
    until_ns: int
    missed: int | None


@dataclass
class Witness:
    """A stream as it was recorded."""

    times: dict[int, int] = field(default_factory=dict)
    """When each message was first seen, ns."""
    gaps: list[Gap] = field(default_factory=list)
    snapshots: dict[int, int] = field(default_factory=dict)

    def saw(self, item: Item, time_ns: int) -> None:
        """A message was recorded."""
        (self.snapshots if item.is_snapshot else self.times).setdefault(item.number, time_ns)

    def when(self, number: int) -> int | None:
        """When the state after this message was first known."""
        known = [t[number] for t in (self.times, self.snapshots) if number in t]
        return min(known, default=None)

    def excuses(self, first: int, last: int) -> list[Gap]:
        """The gap records that touch the time between two received numbers."""
        since_ns, until_ns = self.when(first), self.when(last)
        if since_ns is None or until_ns is None:
            return []
        return [g for g in self.gaps if g.since_ns <= until_ns and g.until_ns >= since_ns]

    def is_at_once(self, number: int, end: int) -> bool:
        """Whether no more than a moment lies between these two messages."""
        since_ns, until_ns = self.when(number), self.when(end)
        return since_ns is not None and until_ns is not None and until_ns - since_ns < MOMENT_NS


def holes(items: Iterable[Item]) -> Iterator[tuple[int, int]]:
    """The pairs of received numbers between which something is missing."""
    return ((a.number, b.number) for a, b in pairwise(items) if b.number > a.number + 1)


def disorder(items: Iterable[Item], doubled: frozenset[int] = frozenset()) -> Iterator[str]:
    """What came twice or too late; what the venue itself had sent twice may come twice."""
    doubles = set(doubled)
    for before, item in pairwise(items):
        if item.is_snapshot:
            if item.number < before.number:
                yield f"a snapshot of {item.number} behind {before.number}"
        elif item.number <= before.number and not (
            before.is_snapshot and item.number == before.number
        ):
            if item.number in doubles and item.number == before.number:
                doubles.discard(item.number)
            else:
                yield f"{item.number} behind {before.number}"


def judge(
    items: Sequence[Item],
    witness: Witness,
    *,
    holes_allowed: bool,
    doubled: frozenset[int] = frozenset(),
) -> Iterator[str]:
    """What is wrong with what one client received of one stream on one connection.

    Nothing may come twice or out of order, and each hole has its gap record. Where no holes are
    allowed, one may be the end: a message that shows that others are missing is the last thing
    before the client is closed.
    """
    if not items:
        return
    yield from disorder(items, doubled)
    end = items[-1].number
    for first, last in holes(items):
        size, told = last - first - 1, [gap.missed for gap in witness.excuses(first, last)]
        if not told:
            seen = sum(first < number < last for number in witness.times)
            yield f"a hole between {first} and {last} without a gap record, {seen} were recorded"
        elif None not in told and size not in told:
            yield f"{size} missing behind {first}, the gap record says {told[-1]}"
        elif not holes_allowed and not witness.is_at_once(last, end):
            yield f"a hole between {first} and {last} that closed nobody's connection"


def is_flat(samples: Sequence[int], ratio: float, slack: int) -> bool:
    """Whether the last third's median is at most so many times the first's, and some more."""
    third = len(samples) // 3
    if not third:
        return True
    first, last = sorted(samples[:third])[third // 2], sorted(samples[-third:])[third // 2]
    return last <= first * ratio + slack
