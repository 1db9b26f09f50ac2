"""One line of a join: whether it has joined, and what it holds until then."""

from __future__ import annotations

from collections import deque

from wsproxy.hub.copies import Message
from wsproxy.venues.base import Span

_HELD_MOST = 65_536
_HELD_BYTES = 32 * 1024 * 1024
"""More than comes while two connections join; what comes while a recording is played."""

_TOLD_MOST = 4096
"""So many messages after a snapshot are compared; more say nothing."""


class JoinLine:
    """What a join knows of one connection."""

    __slots__ = (
        "count",
        "held",
        "held_bytes",
        "is_joined",
        "later_ns",
        "lead_ns",
        "since_ns",
        "snapshot",
        "told",
        "wins",
    )

    def __init__(self, *, is_joined: bool) -> None:
        self.is_joined = is_joined
        self.since_ns: int | None = None
        """When it began to join; None before the venue has granted the stream."""
        self.later_ns = 0
        """Until then there is no point in asking whether it may join for quiet."""
        self.held: deque[Message] = deque()
        self.held_bytes = 0
        self.snapshot: bytes | None = None
        """What the line began with; ``held`` follows it."""
        self.told: list[bytes] | None = None
        """Its snapshot and all that followed, to be compared with what clients were told."""
        self.count: int | None = None
        """The last number that it brought."""
        self.wins = 0
        self.lead_ns = 0

    def hold(self, message: Message) -> None:
        """Keep a message until it is proven to follow; when there are too many, the oldest go."""
        if not self.held and self.since_ns is not None:
            self.since_ns = message.ns
        self.held.append(message)
        self.held_bytes += len(message.payload)
        while len(self.held) > 1 and (len(self.held) > _HELD_MOST or self.held_bytes > _HELD_BYTES):
            self.held_bytes -= len(self.held.popleft().payload)
            self.snapshot = None

    def holds_before(self, first: int) -> bool:
        """Whether it holds a message with smaller numbers."""
        held = self._first
        return held is not None and held < first

    def follows(self, last: int) -> bool:
        """Whether what it holds begins right behind this number."""
        return self._first == last + 1

    @property
    def _first(self) -> int | None:
        """The first number that it holds, if what it holds is numbered."""
        mark = self.held[0].mark if self.held else None
        return mark.first if isinstance(mark, Span) else None

    def tell(self, payload: bytes) -> None:
        """Clients were told this: keep it, if that is still to be compared."""
        if self.told is not None:
            self.told.append(payload)
            if len(self.told) > _TOLD_MOST:
                self.told = None

    def let_go(self) -> list[Message]:
        """Give what is held."""
        held = list(self.held)
        self.held.clear()
        self.held_bytes = 0
        return held

    def part(self, now_ns: int, snapshot: bytes | None = None) -> None:
        """Join anew, from now on."""
        self.let_go()
        self.is_joined, self.since_ns = False, now_ns
        self.snapshot, self.told = snapshot, None
