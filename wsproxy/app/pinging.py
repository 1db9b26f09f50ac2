"""Pings clients as their venues would."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from wsproxy.app.engine import Port
from wsproxy.config import SECOND_NS
from wsproxy.errors import ConnectionEnded
from wsproxy.venues.profile import Pings

log = logging.getLogger("wsproxy")


class Metronome:
    """Pings all clients of a venue, each at its own times: one task serves those who rest."""

    def __init__(self, pings: Pings) -> None:
        self._pings = pings
        self._every_seconds = pings.every_ns / SECOND_NS
        self._due: OrderedDict[Port, float] = OrderedDict()
        """When everybody is due; whoever comes, comes last."""
        self._asked: dict[Port, trio.CancelScope] = {}
        """Who owes a pong."""

    @contextmanager
    def pinging(self, port: Port) -> Iterator[None]:
        """Ping this client from time to time, for as long as the block lasts."""
        self._put(port)
        try:
            yield
        finally:
            self._due.pop(port, None)
            if port in self._asked:
                self._asked[port].cancel()

    def _put(self, port: Port) -> None:
        self._due[port] = trio.current_time() + self._every_seconds

    async def run(self) -> None:
        """Ping, until cancelled."""
        async with trio.open_nursery() as asking:
            while True:
                now = trio.current_time()
                while self._due and next(iter(self._due.values())) <= now:
                    self._begin(asking)
                # Whoever comes while nobody is there is due later than that.
                first = next(iter(self._due.values()), now + self._every_seconds)
                await trio.sleep_until(first)

    def _begin(self, asking: trio.Nursery) -> None:
        port, _ = self._due.popitem(last=False)
        self._asked[port] = trio.CancelScope()
        asking.start_soon(self._ask, port)

    async def _ask(self, port: Port) -> None:
        with self._asked[port] as patience:
            await ping(self._pings, port)
        del self._asked[port]
        if not patience.cancel_called:  # else it has left
            self._put(port)


async def ping(pings: Pings, port: Port) -> None:
    """Ping a client as its venue would, and close it if it does not answer."""
    with trio.move_on_after(pings.patience_ns / SECOND_NS) as patience:
        with suppress(ConnectionEnded):  # whoever listens learns how
            await port.client.ping()
    if patience.cancelled_caught:
        log.info("client %s is closed: it does not answer pings", port.name)
        # As Binance does: https://github.com/ccxt/php-binance-api/issues/453, 2021-10-27.
        port.close = (1008, "Pong timeout")
        port.scope.cancel()
