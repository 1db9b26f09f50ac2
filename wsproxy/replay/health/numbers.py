"""Holes in a venue's own numbers: of the messages of a stream, or of a connection."""

from __future__ import annotations

from wsproxy.venues.base import Span

_KEPT = 64
"""How many holes a slower connection may still fill."""


class StreamNumbers:
    """The numbers of one stream, whichever connections bring it.

    Missing is what none of them brought: a connection may lag behind another one.
    """

    def __init__(self) -> None:
        self.covered = 0
        """How many numbers there should be, from the first to the last."""
        self._high: int | None = None
        self._lasts: dict[int, int] = {}
        self._holes: list[tuple[int, int]] = []
        """First and last missing number, ascending."""
        self._folded = self._folded_missing = 0

    @property
    def holes(self) -> int:
        """How many there are."""
        return self._folded + len(self._holes)

    @property
    def missing(self) -> int:
        """How many numbers are in them."""
        return self._folded_missing + sum(last - first + 1 for first, last in self._holes)

    def feed(self, connection: int, span: Span) -> None:
        """Take in the numbers of the next message."""
        first, last, _ = span
        before, high = self._lasts.get(connection), self._high
        self._lasts[connection] = last
        if high is None or (before is not None and last < before):  # the venue counts anew
            self._fold(len(self._holes))
            self._high = last
            self.covered += last - first + 1
            return
        if first <= high:
            if self._holes:
                self._fill(first, last)
        elif first > high + 1:
            self._holes.append((high + 1, first - 1))
            if len(self._holes) > _KEPT:
                self._fold(1)
        if last > high:
            self.covered += last - high
            self._high = last

    def leave(self, connection: int) -> None:
        """The connection was closed."""
        self._lasts.pop(connection, None)

    def restart(self) -> None:
        """Nobody wanted the stream for a while: what it skips meanwhile is not missing."""
        self._fold(len(self._holes))
        self._lasts.clear()
        self._high = None

    def _fill(self, first: int, last: int) -> None:
        left: list[tuple[int, int]] = []
        for start, end in self._holes:
            pieces = ((start, min(end, first - 1)), (max(start, last + 1), end))
            if first > end or last < start:
                left.append((start, end))
            else:
                left += [piece for piece in pieces if piece[0] <= piece[1]]
        self._holes = left

    def _fold(self, count: int) -> None:
        """Give up on the first holes: nothing fills them any more."""
        self._folded += count
        self._folded_missing += sum(last - first + 1 for first, last in self._holes[:count])
        del self._holes[:count]


class ConnectionNumbers:
    """The numbers of all messages of one connection."""

    def __init__(self) -> None:
        self.covered = 0
        self.holes = 0
        self.missing = 0
        self._last: int | None = None

    def feed(self, number: int) -> None:
        """Take in the number of the next message."""
        before, self._last = self._last, number
        step = 1 if before is None or number <= before else number - before
        self.covered += step
        if step > 1:
            self.holes += 1
            self.missing += step - 1
