"""Waiting for clients: until they have come, have read, have handled what they were sent."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from weakref import WeakKeyDictionary

import trio

from wsproxy.app.engine import Engine, Port
from wsproxy.config import Playing
from wsproxy.errors import ConnectionEnded

log = logging.getLogger("wsproxy")

RUN_BYTES = 128 << 10
"""As fast as possible, so much is routed before it is written, and clients are waited for."""
_HIGH_WATER_BYTES = 1 << 20
"""Those that have more than this to read are slow."""
_ROUNDS = 3
"""Event-driven clients answer a ping before they act on the message in front of it. What they do
then is done before they can answer the next one; the third is for those that hand it to a task."""


class Patience:
    """Waits for the clients of an engine; whoever reads nothing for too long is closed."""

    def __init__(self, engine: Engine, stall_seconds: float) -> None:
        self._engine = engine
        self._stall_seconds = stall_seconds
        self._slow: set[int] = set()
        self._met: WeakKeyDictionary[Port, int] = WeakKeyDictionary()
        """How many bytes each client had been sent when it had handled them."""
        self.stalled: list[str] = []
        """Who was closed for it."""

    @property
    def subscribed(self) -> int:
        """How many clients have subscribed to something."""
        hubs = self._engine.hubs.values()
        return sum(bool(client.active) for hub in hubs for client in hub.clients.values())

    async def wait_for_clients(self, playing: Playing) -> None:
        """Until enough clients have subscribed, and nobody has asked for anything for a while."""
        while True:
            changed = self._engine.changed
            is_enough = self.subscribed >= playing.clients
            with trio.move_on_after(playing.settle_seconds if is_enough else math.inf) as quiet:
                await changed.wait()
            if quiet.cancelled_caught:
                return

    async def wait_for_slow(self, *, is_paced: bool) -> None:
        """Until nobody has much to read; at a pace, the log says once whom this waits for."""
        for port in list(self._engine.ports.values()):
            if port.client.pending_bytes > _HIGH_WATER_BYTES:
                if is_paced and port.number not in self._slow:
                    self._slow.add(port.number)
                    log.warning("client %s is slow: the replay waits for it", port.name)
                await self.drain(port)

    async def drain_all(self) -> None:
        """Until everybody has read everything."""
        await self._for_all(list(self._engine.ports.values()), self.drain)

    async def drain(self, port: Port) -> None:
        """Until this client has read everything, or has to go."""
        pending_bytes = port.client.pending_bytes
        while pending_bytes and port.close is None:
            with trio.move_on_after(self._stall_seconds):
                await port.client.drain()
            before, pending_bytes = pending_bytes, port.client.pending_bytes
            if pending_bytes >= before:
                self._give_up(port, "read nothing")
                return

    async def meet(self) -> None:
        """Until everybody has handled what it was sent, and we what it said to that."""
        while behind := [
            p for p in self._engine.ports.values() if self._met.get(p) != p.sent_bytes
        ]:
            await self._for_all(behind, self._meet)
            # Whoever listens has been woken by now, and takes one message at a time.
            heard = False
            while not heard:
                await trio.lowlevel.checkpoint()
                heard = not any(port.client.has_said for port in behind)
            await trio.lowlevel.checkpoint()

    async def _meet(self, port: Port) -> None:
        self._met[port] = port.sent_bytes
        await self.drain(port)
        with trio.move_on_after(self._stall_seconds) as waiting:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_cancel_at_the_end, port, nursery.cancel_scope)
                with suppress(ConnectionEnded):
                    for _ in range(_ROUNDS):
                        await port.client.ping()
                nursery.cancel_scope.cancel()
        if waiting.cancelled_caught:
            self._give_up(port, "answered no ping")

    def _give_up(self, port: Port, why: str) -> None:
        if port.close is None:
            reason = f"stalled: {why} for {self._stall_seconds:g} s"
            log.warning("client %s is closed: %s", port.name, reason)
            self.stalled.append(port.name)
            self._engine.dismiss(port, 1008, reason)

    async def _for_all(
        self, ports: Iterable[Port], wait: Callable[[Port], Awaitable[None]]
    ) -> None:
        async with trio.open_nursery() as nursery:
            for port in ports:
                nursery.start_soon(wait, port)


async def _cancel_at_the_end(port: Port, scope: trio.CancelScope) -> None:
    await port.client.ended()
    scope.cancel()
