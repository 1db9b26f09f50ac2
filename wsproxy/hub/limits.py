"""Limits as the venues count them: strict sliding windows, and the cap on connections."""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from itertools import repeat
from typing import NamedTuple

from wsproxy.venues.profile import Profile, Rate

_MARGIN_PERCENT = 110
"""Windows are stretched by a tenth: the venue counts arrivals, and the network bunches them up."""


class Fill(NamedTuple):
    """How full a window is."""

    used: int
    most: int


class Window:
    """A strict sliding window: never more than ``rate.most`` events in any ``rate.period_ns``.

    What weighs more than one is so many events. A token bucket of the same size would let nearly
    twice as many through in its first window. ``reserve`` events a window are kept free for what is
    urgent, and for what cannot wait, such as pongs: those are recorded without asking.
    """

    def __init__(self, rate: Rate, reserve: int = 0) -> None:
        self._most = rate.most
        self._reserve = min(reserve, rate.most - 1)
        self._period_ns = rate.period_ns * _MARGIN_PERCENT // 100
        self._times: deque[int] = deque(maxlen=rate.most)
        self._under_way = 0
        self._until_ns = 0

    def begin(self, weight: int = 1) -> None:
        """An event is under way: until ``finish`` it may happen at any moment."""
        self._under_way += weight

    def finish(self, now_ns: int, weight: int = 1) -> None:
        """The event that was begun has happened."""
        self._under_way -= weight
        self.record(now_ns, weight)

    def record(self, now_ns: int, weight: int = 1) -> None:
        """Count an event."""
        self._times.extend(repeat(now_ns, weight))

    def stretch(self, until_ns: int) -> None:
        """Let nothing through before: the venue said that this is too fast."""
        self._until_ns = max(self._until_ns, until_ns)

    def ready_at(self, now_ns: int, *, urgent: bool = False, weight: int = 1) -> int:
        """When the next event may happen, on the clock of ``now_ns``; never before it."""
        room = self._most - self._under_way - (0 if urgent else self._reserve) - (weight - 1)
        ready_ns = max(now_ns, self._until_ns)
        if room <= 0:
            return max(ready_ns, now_ns + self._period_ns)
        if len(self._times) < room:
            return ready_ns
        return max(ready_ns, self._times[-room] + self._period_ns)

    def spacing_ns(self, now_ns: int) -> int:
        """How far apart events may be so that what is left of the window lasts for all of it."""
        used, most = self.filled(now_ns)
        return self._period_ns // max(most - used, 1)

    def filled(self, now_ns: int) -> Fill:
        """How many events are in the window that ends now, with those under way."""
        used = sum(time > now_ns - self._period_ns for time in self._times)
        return Fill(used + self._under_way, self._most)


class Urgency(IntEnum):
    """What goes first when a window holds frames back."""

    PONG = 0
    """Is not held back: whoever answers pings does not ask."""
    ANSWER = 1
    """To a question by which the venue finds out whether we live."""
    UNSUBSCRIBE = 2
    """Makes room."""
    SUBSCRIBE = 3


class Hold(NamedTuple):
    """Why a frame has to wait: the window, and until when on the monotonic clock."""

    window: str
    until_ns: int


class Limiter:
    """Every window that the frames to the venue on one connection are counted in.

    ``per_ip`` is the window of the IP address, shared by all connections to the venue. One frame
    at a time is under way: ``begin`` it, and ``sent`` says that it has left.
    """

    def __init__(self, profile: Profile, per_ip: Window | None) -> None:
        self._every: dict[str, Window] = {}
        """Windows that count every frame, by name."""
        self._operations: dict[str, Window] = {}
        """Windows that count subscribe and unsubscribe requests only."""
        if profile.requests is not None:
            self._every["frames per connection"] = Window(profile.requests, reserve=1)
        if per_ip is not None:
            self._every["frames per IP address"] = per_ip
        if profile.operations is not None:
            self._operations["subscriptions per connection"] = Window(profile.operations)
        self._begun: dict[str, Window] | None = None

    def hold(self, now_ns: int, urgency: Urgency) -> Hold | None:
        """What a frame has to wait for longest; None if it may go now."""
        urgent = urgency <= Urgency.ANSWER
        holds = [
            Hold(name, window.ready_at(now_ns, urgent=urgent))
            for name, window in self._counting(urgency).items()
        ]
        longest = max(holds, key=lambda hold: hold.until_ns, default=None)
        return longest if longest is not None and longest.until_ns > now_ns else None

    def ready_at(self, now_ns: int, urgency: Urgency) -> int:
        """When a frame may be sent; never before ``now_ns``."""
        hold = self.hold(now_ns, urgency)
        return now_ns if hold is None else hold.until_ns

    def begin(self, urgency: Urgency) -> None:
        """A frame is on its way."""
        self._begun = self._counting(urgency)
        for window in self._begun.values():
            window.begin()

    def sent(self, now_ns: int, *, control: bool) -> None:
        """A frame has left: the one under way, or, if ``control``, one that did not ask."""
        if control:
            for window in self._every.values():
                window.record(now_ns)
        else:
            self.closed(now_ns)

    def closed(self, now_ns: int) -> None:
        """The connection is gone: what was on its way may have left."""
        for window in (self._begun or {}).values():
            window.finish(now_ns)
        self._begun = None

    def stretch(self, until_ns: int) -> None:
        """Send nothing before: the venue said that this is too fast."""
        for window in self._every.values():
            window.stretch(until_ns)

    def filled(self, now_ns: int) -> dict[str, Fill]:
        """How full each window is, by its name."""
        windows = self._every | self._operations
        return {name: window.filled(now_ns) for name, window in windows.items()}

    def _counting(self, urgency: Urgency) -> dict[str, Window]:
        return self._every | self._operations if urgency >= Urgency.UNSUBSCRIBE else self._every


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

    def free(self, *, first: bool) -> int:
        """How many connections may be claimed; ``first`` as with ``take``."""
        kept = self._without_any - 1 if first else self._without_any
        return max(0, self.cap - self.used - max(kept, 0), int(first and self.used < self.cap))

    def give_back(self, *, last: bool) -> None:
        """Return a connection; ``last`` if the venue has none left."""
        self.used -= 1
        self._without_any += last


class Share:
    """One venue's connections: its part of the budget, within what the venue allows at once."""

    def __init__(self, budget: Budget, profile: Profile) -> None:
        self.used = 0
        self._budget = budget
        self._most = profile.connections
        self._title = profile.title

    def take(self) -> bool:
        """Claim a connection."""
        if self._is_full or not self._budget.take(first=self.used == 0):
            return False
        self.used += 1
        return True

    @property
    def free(self) -> int:
        """How many connections may be claimed."""
        free = self._budget.free(first=self.used == 0)
        return free if self._most is None else min(free, self._most - self.used)

    def give_back(self) -> None:
        """Return a connection."""
        self.used -= 1
        self._budget.give_back(last=self.used == 0)

    @property
    def limit(self) -> str:
        """Which limit refuses when ``take`` does, as part of a sentence."""
        if self._is_full:
            return f"all {self._most} that {self._title} allows are taken"
        return f"all {self._budget.cap} (--max-connections) are taken"

    @property
    def _is_full(self) -> bool:
        return self._most is not None and self.used >= self._most
