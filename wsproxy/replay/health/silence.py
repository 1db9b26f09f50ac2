"""How long a stream was silent, beside how long its waits usually are."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from typing import NamedTuple

from wsproxy.replay.health.quantiles import Quantiles

_KEPT = 8
_ENOUGH = 100
"""Waits from which on one may speak of usual ones."""
_SECOND = 1_000_000_000


class Wait(NamedTuple):
    """A time without a message of the stream."""

    length: int
    start: int


class Silence:
    """One stream's waits from message to message, on any clock that does not step.

    Holes that are told of are no silence. Messages that came together are one.
    """

    def __init__(self) -> None:
        self._waits = Quantiles()
        self._longest: list[Wait] = []
        self._enough = 0
        """No wait that is not longer is among the longest."""
        self._since: int | None = None

    @property
    def longest(self) -> Wait:
        """Complete after ``stop``."""
        return max(self._longest, default=Wait(0, 0))

    @property
    def usual(self) -> int | None:
        """What 99 of 100 waits do not exceed, ns; None if there were too few to tell."""
        return self._waits.quantile(0.99) if self._waits.count >= _ENOUGH else None

    @property
    def excess(self) -> float | None:
        """How many times the usual the longest was. What is usual has a second at least."""
        usual = self.usual
        return None if usual is None else self.longest.length / max(usual, _SECOND)

    def start(self, now: int) -> None:
        """From now on it could speak."""
        if self._since is None:
            self._since = now

    def message(self, now: int) -> None:
        """It spoke. The hot path of health checks."""
        since = self._since
        if since is not None and now > since:
            self._since = now
            length = now - since
            self._waits.add(length)
            if length > self._enough:
                self._keep([Wait(length, since)])

    def hole(self, start: int, end: int) -> None:
        """It could not speak between these times."""
        if self._since is not None and self._since < end:
            self._keep([Wait(start - self._since, self._since)] if start > self._since else [])
            self._since = end
        waits, self._longest = self._longest, []
        self._keep([piece for wait in waits for piece in _outside(wait, start, end)])

    def stop(self, now: int) -> None:
        """It need not speak any more."""
        if self._since is not None and now > self._since:
            self._keep([Wait(now - self._since, self._since)])
        self._since = None

    def _keep(self, waits: list[Wait]) -> None:
        self._longest = nlargest(_KEPT, [*self._longest, *waits])
        self._enough = self._longest[-1].length if len(self._longest) == _KEPT else 0


def _outside(wait: Wait, start: int, end: int) -> Iterator[Wait]:
    """What is left of a wait without a hole."""
    behind = wait.start + wait.length
    if end <= wait.start or start >= behind:
        yield wait
        return
    if wait.start < start:
        yield Wait(start - wait.start, wait.start)
    if end < behind:
        yield Wait(behind - end, end)
