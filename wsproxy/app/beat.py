"""Pings clients as their venues would, in replayed time."""

from __future__ import annotations

import trio

from wsproxy.app.engine import Engine
from wsproxy.app.pinging import ping
from wsproxy.replay.clock import Clock

_NEVER = 1 << 62


class Beat:
    """The pings of all venues; ``pings`` is where they wait for their pongs."""

    def __init__(self, engine: Engine, clock: Clock, pings: trio.Nursery) -> None:
        self._engine = engine
        self._clock = clock
        self._tasks = pings
        self._every = {
            name: hub.venue.profile.pings.every_ns
            for name, hub in engine.hubs.items()
            if hub.venue.profile.pings is not None
        }
        self._due: dict[str, int] = {}
        self._waiting: set[int] = set()
        self.next = _NEVER
        """The position of the next ping."""

    def start(self) -> None:
        """A timeline begins."""
        self._due = dict(self._every)
        self.next = min(self._due.values(), default=_NEVER)

    def ping(self, position: int) -> None:
        """Ping the clients of every venue that would have, up to this position."""
        if position < self.next:
            return
        for name, due in self._due.items():
            if due <= position:
                every = self._every[name]
                self._due[name] = position - position % every + every
                for number in self._engine.hubs[name].clients:
                    if number in self._engine.ports and number not in self._waiting:
                        self._tasks.start_soon(self._ping, name, number)
        self.next = min(self._due.values(), default=_NEVER)

    async def _ping(self, name: str, number: int) -> None:
        pings = self._engine.hubs[name].venue.profile.pings
        assert pings is not None
        self._waiting.add(number)
        try:
            await ping(pings, self._engine.ports[number])
        finally:
            self._waiting.discard(number)
