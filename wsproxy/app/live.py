"""The live proxy: strategies → hubs → capped upstream connections, and the tape beside them."""

from __future__ import annotations

import itertools
import logging
import random
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial

import trio

from wsproxy.app import clock
from wsproxy.app.board import Board, Feed
from wsproxy.app.engine import Engine
from wsproxy.app.ledger import Ledger, default_directory
from wsproxy.app.listener import FrontDoor
from wsproxy.app.passthrough import Passthrough
from wsproxy.app.recorder import Marked, Recorder
from wsproxy.app.settling import settle
from wsproxy.app.status import Status
from wsproxy.app.tape import Tape
from wsproxy.app.upstream import Connections
from wsproxy.app.warmup import WarmUp
from wsproxy.config import SECOND_NS, Address, Mirror, Serving, Upstream, VenueSetting
from wsproxy.hub.events import Note, Tick
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget
from wsproxy.venues.registry import venue
from wsproxy.wire.http import Refusal

log = logging.getLogger("wsproxy")

_FAREWELL_SECONDS = 1.0
"""Clients are told to reconnect over so long, so that they do not all come back at once."""


class Live:
    """A running live proxy."""

    def __init__(
        self,
        address: Address,
        venues: Sequence[str],
        board: Board,
        rotate: Callable[[], None],
        recorder: Recorder | None,
    ) -> None:
        self.recorder = recorder
        self.address = address
        self.venues = venues
        self.board = board
        self.rotate = rotate
        """Replaces every upstream connection by a new one, without a hole."""

    def mark(self, body: bytes) -> Marked:
        """Put a note, a ``Mark`` in JSON, into the recording; raises Refusal if there is none."""
        if self.recorder is None:
            raise Refusal(409, "This proxy does not record.")
        return self.recorder.mark(body)

    def status(self) -> Status:
        """The numbers of this moment."""
        return self.board.status()


@asynccontextmanager
async def live(
    upstream: Upstream,
    serving: Serving,
    listeners: Sequence[trio.SocketListener],
    ssl_context: ssl.SSLContext,
    tape: Tape | None,
    warm_up: WarmUp | None = None,
) -> AsyncIterator[Live]:
    """Run the proxy for as long as the block lasts; leaving it drains in order.

    First no more clients are accepted and those connected are told to come back (1012), then the
    connections to the venues close, then the tape writes the rest. With a ``warm_up`` clients get
    that first. Raises RecordingError if it cannot be read, or if the disk fails and the tape's
    settings want the proxy to stop then.
    """
    host, port = listeners[0].socket.getsockname()[:2]
    hubs = {
        setting.name: Hub(venue(setting.name), close_on_gap=upstream.close_on_gap)
        for setting in upstream.venues
    }

    def note(what: Note) -> None:
        board.noted(what)
        if tape is not None:
            tape.note(what.kind, what.connection, what.streams, what.payload)

    engine = Engine(hubs, outbox_bytes=serving.outbox_bytes, note=note)
    budget = Budget(upstream.max_connections, len(hubs))
    numbers = itertools.count(1)
    mirrors = {setting.name: _mirrors(setting) for setting in upstream.venues}
    pools = {
        name: hub.go_live(
            budget,
            linger_ns=int(upstream.linger_seconds * SECOND_NS),
            numbers=numbers,
            jitter=random.random,
            redundancy=partial(upstream.copies, name),
            mirrors=[mirror.weight for mirror in mirrors[name]],
            private=upstream.private,
        )
        for name, hub in hubs.items()
    }
    urls = {name: [mirror.url for mirror in mirrors[name]] for name in hubs}
    feeds = {name: Feed(hub, pools[name], urls[name]) for name, hub in hubs.items()}
    on_gap = None if warm_up is None else warm_up.lacks
    board = Board(Address(host, port), engine, feeds, budget, tape, on_gap)
    recorder = None if tape is None else Recorder(tape, feeds, board, numbers)

    def rotate() -> None:
        count = sum(link.is_open for pool in pools.values() for link in pool.links)
        log.info("asked to replace %d upstream connections: each as soon as there is room", count)
        for name, hub in hubs.items():
            pools[name].rotate()
            engine.dispatch(hub, Tick())

    async with trio.open_nursery() as disk:
        if tape is not None:
            disk.start_soon(tape.run)
        with tape or nullcontext():
            async with trio.open_nursery() as venues:
                ledger = Ledger(default_directory())
                engine.upstreams = Connections(engine, tape, urls, ssl_context, venues, ledger)
                private_tape = tape if upstream.record_private else None
                passthrough = Passthrough(engine, urls, ssl_context, ledger, private_tape)
                for hub in hubs.values():
                    venues.start_soon(engine.tick, hub)
                    venues.start_soon(settle, hub)
                for name, stream in upstream.subscribe:
                    engine.perform(hubs[name], hubs[name].pin(stream, clock.now()))
                if recorder is not None:
                    venues.start_soon(recorder.run, upstream)
                if warm_up is not None:
                    await venues.start(warm_up.play, engine, numbers)
                async with trio.open_nursery() as clients:
                    door = FrontDoor(engine, serving, passthrough, upstream.priorities)
                    await clients.start(door.serve, listeners)
                    yield Live(Address(host, port), tuple(hubs), board, rotate, recorder)
                    door.accepting.cancel()
                    clients.cancel_scope.deadline = trio.current_time() + _FAREWELL_SECONDS
                    await _say_farewell(engine)
                for hub in hubs.values():
                    engine.perform(hub, hub.finish(clock.now()))
                if recorder is not None:
                    recorder.tell()
                venues.cancel_scope.cancel()


async def _say_farewell(engine: Engine) -> None:
    """Tell every client to come back, spread over a moment."""
    ports = list(engine.ports.values())
    for port in ports:
        port.close = (1012, "the proxy restarts")
        port.scope.cancel()
        await trio.sleep(_FAREWELL_SECONDS / 2 / len(ports) * random.random())


def _mirrors(setting: VenueSetting) -> list[Mirror]:
    """The addresses of a venue: those of its profile, unless others are set."""
    if setting.url is not None:
        return [Mirror(setting.url, 1.0), *setting.mirrors]
    profile = venue(setting.name).profile
    return [Mirror(profile.url, 1.0), *profile.mirrors]
