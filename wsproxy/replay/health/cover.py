"""For how much of the time that it was wanted a stream was there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_FAREWELL_NS = 1_000_000_000
"""What the recorder itself closes so shortly before the end, it closes because it ends."""
_KEPT = 64
"""How many separate holes a later one may still reach back to."""


class Cover:
    """One stream's time, on any clock that does not step.

    It is wanted from when it is first granted, or brings its first message, until it is given up.
    Meanwhile it is there while a connection carries it, but for the holes that are told of.
    """

    def __init__(self, on_hole: Callable[[int, int], object]) -> None:
        self.carriers: set[int] = set()
        """The connections that carry it now."""
        self.disconnects = 0
        """How often none was left."""
        self._left: deque[int] = deque(maxlen=8)
        self._on_hole = on_hole
        self._asked: int | None = None
        self._since: int | None = None
        self._down: int | None = None
        self._is_down_by_us = False
        self._wanted = 0
        self._holes: list[tuple[int, int]] = []
        """Apart from each other, ascending."""
        self._folded = 0

    @property
    def wanted(self) -> int:
        """How long it was wanted, ns; complete after ``finish``."""
        return self._wanted

    @property
    def missing(self) -> int:
        """How much of that it was not there, ns."""
        return self._folded + sum(end - start for start, end in self._holes)

    @property
    def missing_share(self) -> float | None:
        """The share of its time that it was not there; None where it was wanted for no time."""
        return self.missing / self._wanted if self._wanted else None

    def ask(self, now: int) -> None:
        """It was asked for."""
        if self._since is None and self._asked is None:
            self._asked = now

    def carry(self, connection: int, now: int) -> None:
        """This connection carries it from now on."""
        self._asked = None
        if self._since is None:
            self._since = now
        if connection in self._left:
            self._left.remove(connection)
        if self._down is not None:
            down, self._down = self._down, None
            self.hole(down, now)
        self.carriers.add(connection)

    def is_late(self, connection: int) -> bool:
        """Whether a message there is a straggler: the connection carries it no more."""
        return connection in self._left

    def drop(self, connection: int, now: int, *, by_us: bool) -> None:
        """This connection was lost, or the recorder closed it."""
        if connection in self.carriers:
            self._leave(connection)
            if not self.carriers:
                self._down = now
                self._is_down_by_us = by_us
                self.disconnects += 1

    def give_up(self, connection: int, now: int) -> None:
        """It was refused, or is not wanted any more, on this connection."""
        self._asked = None
        self._leave(connection)
        if not self.carriers:
            self.finish(now)

    def _leave(self, connection: int) -> None:
        self.carriers.discard(connection)
        self._left.append(connection)

    def hole(self, start: int, end: int) -> None:
        """It was not there between these times; holes are told of in the order of their ends."""
        if self._since is None:
            return
        start = max(start, self._since)
        if start >= end:
            return
        self._on_hole(start, end)
        while self._holes and start <= self._holes[-1][1]:
            before, behind = self._holes.pop()
            start, end = min(start, before), max(end, behind)
        self._holes.append((start, end))
        if len(self._holes) > _KEPT:
            first, last = self._holes.pop(0)
            self._folded += last - first

    def finish(self, now: int) -> None:
        """Nobody wants it any more."""
        if self._asked is not None:  # it was never granted
            self._since = self._down = self._asked
            self._is_down_by_us = False
            self._asked = None
        if self._down is not None:
            if self._is_down_by_us and now - self._down <= _FAREWELL_NS:
                now = self._down
                self.disconnects -= 1
            self.hole(self._down, now)
        if self._since is not None:
            self._wanted += max(0, now - self._since)
        self._since = self._down = None
