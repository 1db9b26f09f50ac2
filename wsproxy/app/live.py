"""The live proxy: strategies → hubs → capped upstream connections, and the tape beside them."""

from __future__ import annotations

import itertools
import logging
import random
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass

import trio

from wsproxy.app import clock
from wsproxy.app.engine import Engine
from wsproxy.app.listener import FrontDoor
from wsproxy.app.tape import Tape
from wsproxy.app.upstream import Connections
from wsproxy.config import SECOND_NS, Address, Serving, Upstream
from wsproxy.hub.events import Note
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget
from wsproxy.hub.pool import Pool
from wsproxy.venues.registry import venue

log = logging.getLogger("wsproxy")

_FAREWELL_SECONDS = 1.0
"""Clients are told to reconnect over so long, so that they do not all come back at once."""


@dataclass(frozen=True, slots=True)
class Status:
    """How a live proxy is doing, in numbers."""

    clients: int
    streams: int
    connections: int
    cap: int
    messages: int
    gaps: int
    lost: int
    bytes_on_disk: int | None


class Live:
    """A running live proxy."""

    def __init__(
        self, address: Address, engine: Engine, pools: list[Pool], budget: Budget, tape: Tape | None
    ) -> None:
        self.address = address
        self._engine = engine
        self._pools = pools
        self._budget = budget
        self._tape = tape

    def status(self) -> Status:
        """The numbers of this moment."""
        hubs = self._engine.hubs.values()
        links = [link for pool in self._pools for link in pool.links]
        return Status(
            clients=len(self._engine.ports),
            streams=sum(len(link.streams) for link in links),
            connections=sum(link.is_open for link in links),
            cap=self._budget.cap,
            messages=sum(hub.messages for hub in hubs),
            gaps=sum(hub.gaps for hub in hubs),
            lost=0 if self._tape is None else self._tape.lost,
            bytes_on_disk=None if self._tape is None else self._tape.writer.bytes_written,
        )


@asynccontextmanager
async def live(
    upstream: Upstream,
    serving: Serving,
    listeners: Sequence[trio.SocketListener],
    ssl_context: ssl.SSLContext,
    tape: Tape | None,
) -> AsyncIterator[Live]:
    """Run the proxy for as long as the block lasts; leaving it drains in order.

    First no more clients are accepted and those connected are told to come back (1012), then the
    connections to the venues close, then the tape writes the rest. Raises RecordingError
    if the disk fails and the tape's settings want the proxy to stop then.
    """
    host, port = listeners[0].socket.getsockname()[:2]
    hubs = {
        setting.name: Hub(venue(setting.name), close_on_gap=upstream.close_on_gap)
        for setting in upstream.venues
    }

    def note(what: Note) -> None:
        if tape is not None:
            tape.note(what.kind, what.connection, what.streams, what.payload)

    engine = Engine(hubs, outbox_bytes=serving.outbox_bytes, note=note)
    budget = Budget(upstream.max_connections, len(hubs))
    numbers = itertools.count(1)
    pools = [
        hub.go_live(
            budget,
            linger_ns=int(upstream.linger_seconds * SECOND_NS),
            numbers=numbers,
            jitter=random.random,
        )
        for hub in hubs.values()
    ]
    async with trio.open_nursery() as disk:
        if tape is not None:
            disk.start_soon(tape.run)
        with tape or nullcontext():
            async with trio.open_nursery() as venues:
                urls = _urls(upstream, hubs)
                engine.upstreams = Connections(engine, tape, urls, ssl_context, venues)
                for hub in hubs.values():
                    venues.start_soon(engine.tick, hub)
                for name, stream in upstream.subscribe:
                    engine.perform(hubs[name], hubs[name].pin(stream, clock.now()))
                async with trio.open_nursery() as clients:
                    door = FrontDoor(engine, serving)
                    await clients.start(door.serve, listeners)
                    yield Live(Address(host, port), engine, pools, budget, tape)
                    door.accepting.cancel()
                    clients.cancel_scope.deadline = trio.current_time() + _FAREWELL_SECONDS
                    await _say_farewell(engine)
                venues.cancel_scope.cancel()


async def _say_farewell(engine: Engine) -> None:
    """Tell every client to come back, spread over a moment."""
    ports = list(engine.ports.values())
    for port in ports:
        port.close = (1012, "the proxy restarts")
        port.scope.cancel()
        await trio.sleep(_FAREWELL_SECONDS / 2 / len(ports) * random.random())


def _urls(upstream: Upstream, hubs: dict[str, Hub]) -> dict[str, str]:
    return {
        setting.name: setting.url or hubs[setting.name].venue.profile.url
        for setting in upstream.venues
    }
