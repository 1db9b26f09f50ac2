"""Faults of connections: clients are cut off, closed late, refused, or get no pongs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

from wsproxy.app.engine import Engine, Port
from wsproxy.app.patience import Patience
from wsproxy.hub.events import ClientLeft
from wsproxy.replay.faults import Fault, Strike

_NEVER = 1 << 62
_LOST = 1006
_UNAVAILABLE = 503


class Faults:
    """Does to the clients of a replay what the strikes say, at their time.

    ``strikes`` are those of connections, in order of their beginning. Whatever ends a connection
    does so when the client has read all that came before.
    """

    def __init__(self, engine: Engine, patience: Patience, strikes: Sequence[Strike]) -> None:
        self._engine = engine
        self._patience = patience
        self._strikes = strikes
        self._ahead: list[Strike] = []
        self._ends: list[tuple[int, int, Fault, Port]] = []
        self._refusing: list[Strike] = []
        self.next = _NEVER
        """When the next one has to be done; wall clock, ns."""

    def start(self, time: int) -> None:
        """The timeline goes on from this time: what lasts then has not begun."""
        self._ahead = [strike for strike in reversed(self._strikes) if strike.begin >= time]
        self._refusing.clear()
        for *_, port in self._ends:
            port.client.is_mute = False
        self._ends.clear()
        self._look_ahead()

    def refusal(self, time: int) -> tuple[int, str] | None:
        """The HTTP status and text for who connects at this time; None if it may."""
        for strike in self._refusing:
            if strike.begin <= time < strike.end:
                fault = strike.fault
                return fault.code or _UNAVAILABLE, fault.reason or "a fault of the replay"
        return None

    async def strike(self, time: int) -> None:
        """Do everything up to this time."""
        while self.next <= time:
            if self._ends and self._ends[0][0] <= self.next:
                _, _, fault, port = heappop(self._ends)
                await self._end(fault, port)
            else:
                await self._begin(self._ahead.pop())
            self._look_ahead()

    def _look_ahead(self) -> None:
        ends = self._ends[0][0] if self._ends else _NEVER
        self.next = min(ends, self._ahead[-1].begin if self._ahead else _NEVER)

    async def _begin(self, strike: Strike) -> None:
        fault = strike.fault
        if fault.kind == "refuse":
            self._refusing.append(strike)
            return
        for port in list(self._victims(fault)):
            if fault.kind == "disconnect":
                await self._cut(fault, port)
                continue
            if fault.kind == "slow-close":
                for hub in self._engine.hubs.values():
                    if port.number in hub.clients:
                        self._engine.dispatch(hub, ClientLeft(port.number))
            else:
                port.client.is_mute = True
            heappush(self._ends, (strike.end, port.number, fault, port))

    async def _end(self, fault: Fault, port: Port) -> None:
        if fault.kind == "mute":
            port.client.is_mute = False
        else:
            await self._cut(fault, port)

    async def _cut(self, fault: Fault, port: Port) -> None:
        await self._patience.drain(port)
        self._engine.dismiss(port, fault.code or _LOST, fault.reason)

    def _victims(self, fault: Fault) -> Iterator[Port]:
        for hub in self._engine.hubs.values():
            for number, client in hub.clients.items():
                is_meant = not fault.clients or number in fault.clients
                if is_meant and (not fault.streams or fault.hits(tuple(client.active))):
                    yield self._engine.ports[number]
