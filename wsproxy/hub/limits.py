"""Limits as the venues count them: strict sliding windows, and the cap on connections."""

from __future__ import annotations

from collections import deque

from wsproxy.venues.base import Rate

_MARGIN_PERCENT = 110
"""Windows are stretched by a tenth: the venue counts arrivals, and the network bunches them up."""


class Window:
    """A strict sliding window: never more than ``rate.most`` events in any ``rate.period_ns``.

    A token bucket of the same size would let nearly twice as many through in its first window.
    ``reserve`` events a window are kept free for what cannot wait, such as pongs: those are
    recorded without asking.
    """

    def __init__(self, rate: Rate, reserve: int = 0) -> None:
        self._most = max(1, rate.most - reserve)
        self._period_ns = rate.period_ns * _MARGIN_PERCENT // 100
        self._times: deque[int] = deque(maxlen=self._most)

    def record(self, now_ns: int) -> None:
        """Count one event."""
        self._times.append(now_ns)

    def ready_at(self, now_ns: int) -> int:
        """When the next event may happen, on the clock of ``now_ns``; never before it."""
        if len(self._times) < self._most:
            return now_ns
        return max(now_ns, self._times[0] + self._period_ns)


class Budget:
    """The cap on upstream connections, shared by all venues of the process.

    One connection is kept free for every venue that has none yet, so that a busy venue cannot
    starve another. (With a cap below the number of venues, the first to ask get one each.)
    """

    def __init__(self, cap: int, venues: int) -> None:
        self.cap = cap
        self.used = 0
        self._without_any = venues

    def take(self, *, first: bool) -> bool:
        """Claim a connection; ``first`` if the venue that asks has none."""
        kept = 0 if first else self._without_any
        if self.used + kept >= self.cap:
            return False
        self.used += 1
        self._without_any -= first
        return True

    def give_back(self, *, last: bool) -> None:
        """Return a connection; ``last`` if the venue has none left."""
        self.used -= 1
        self._without_any += last
