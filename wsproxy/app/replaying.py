"""The replay server: a recording in the place of the venues, the same hubs behind it."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from wsproxy.app import clock
from wsproxy.app.engine import Delivery, Engine
from wsproxy.app.listener import FrontDoor, listening
from wsproxy.config import SECOND_NS, Address, Serving
from wsproxy.errors import RecordingError
from wsproxy.hub.events import Note
from wsproxy.hub.hub import Hub
from wsproxy.model import Batch, Instant, Kind
from wsproxy.recording.reader import Recording
from wsproxy.replay.timeline import history, timeline
from wsproxy.venues.registry import venue

log = logging.getLogger("wsproxy")

_HIGH_WATER_BYTES = 1 << 20
"""The timeline waits for clients that have more than this to read."""
_RUN_BYTES = 128 << 10
"""As fast as possible, so much is routed before it is written."""


class Replay:
    """A replay that serves clients; ``play`` runs the timeline."""

    def __init__(self, recording: Recording, serving: Serving, start: int | None) -> None:
        self.address = serving.listen
        self._recording = recording
        self._start = start
        self._position_ns = (recording.info.first or 0) if start is None else start
        self._venues = {number: info.venue for number, info in recording.connections.items()}
        self._slow: set[int] = set()
        self._hubs: dict[str, Hub] = {}
        for name in sorted({key.venue for key in recording.streams} - {""}):
            try:
                self._hubs[name] = Hub(venue(name))
            except ValueError as error:
                raise RecordingError(f"{recording.path} cannot be replayed: {error}") from None
            self._hubs[name].play(_held(recording, name))
        if not self._hubs:
            raise RecordingError(f"{recording.path} holds no messages to replay")
        self._engine = Engine(
            self._hubs,
            outbox_bytes=serving.outbox_bytes,  # of replies; the timeline waits for slow clients
            note=_forget,
            time=self._now,
            digest=True,
        )

    def _now(self) -> Instant:
        """The replay's time on the wall, the machine's for limits."""
        return Instant(self._position_ns, clock.now().mono_ns)

    @property
    def venues(self) -> list[str]:
        """The venues that the recording holds."""
        return list(self._hubs)

    @property
    def subscribed(self) -> int:
        """How many clients have subscribed to something."""
        hubs = self._hubs.values()
        return sum(bool(client.active) for hub in hubs for client in hub.clients.values())

    @property
    def deliveries(self) -> list[Delivery]:
        """What each client that was here, or is, was sent; in order of arrival."""
        here = [port.delivery for port in self._engine.ports.values()]
        return sorted([*self._engine.left, *(one for one in here if one is not None)])

    async def wait_for_clients(self, count: int, settle_seconds: float) -> None:
        """Until so many clients have subscribed, and nobody has asked for anything for a while."""
        while True:
            changed = self._engine.changed
            patience = settle_seconds if self.subscribed >= count else math.inf
            with trio.move_on_after(patience) as quiet:
                await changed.wait()
            if quiet.cancelled_caught:
                return

    async def play(self, end: int | None, speed: float | None) -> int:
        """Run the timeline to its end; returns how many messages it had.

        ``speed`` None is as fast as the slowest client reads. At any speed nothing is dropped
        and nothing changes its place.
        """
        began = trio.current_time()
        count = unwritten = 0
        for after_ns, batch in timeline(self._recording.batches(self._start, end), speed):
            due = began + after_ns / SECOND_NS
            if due > trio.current_time():
                await self._write(is_paced=speed is not None)
                await trio.sleep_until(due)
            self._position_ns = batch.wall_ns
            count += self._route(batch)
            unwritten += sum(map(len, batch.payloads))
            if unwritten >= _RUN_BYTES:
                await self._write(is_paced=speed is not None)
                unwritten = 0
        await self._write(is_paced=speed is not None)
        return count

    async def finish(self) -> None:
        """Wait until every client has everything, then close them all with 1000."""
        for port in list(self._engine.ports.values()):
            await port.client.drain()
            port.close = (1000, "the replay is over")
            port.scope.cancel()

    def _route(self, batch: Batch) -> int:
        """Give messages to their hub, or tell it of a gap; returns how many messages it were."""
        hub = self._hubs[self._venues[batch.connection]]
        if batch.kind is Kind.GAP:
            hub.missed(stream for streams in batch.streams for stream in streams)
            return 0
        hub.route_named(batch)
        return len(batch.payloads)

    async def _write(self, *, is_paced: bool) -> None:
        for hub in self._hubs.values():
            self._engine.flush(hub)
        await trio.lowlevel.checkpoint()
        for port in list(self._engine.ports.values()):
            if port.client.pending_bytes > _HIGH_WATER_BYTES:
                if is_paced and port.number not in self._slow:
                    self._slow.add(port.number)
                    log.warning("client %s is slow: the replay waits for it", port.name)
                await port.client.drain()

    @asynccontextmanager
    async def serve(self, serving: Serving) -> AsyncIterator[None]:
        """Listen for as long as the block lasts; sets ``address``.

        With a start in the middle, or a recording that begins with keyframes, clients find the
        state of that moment. Raises ConfigError for
        an address that cannot be listened on.
        """
        for batch in history(self._recording.batches(None, self._start), self._start):
            self._route(batch)
        async with listening(serving) as listeners, trio.open_nursery() as clients:
            host, port = listeners[0].socket.getsockname()[:2]
            self.address = Address(host, port)
            await clients.start(FrontDoor(self._engine, serving).serve, listeners)
            yield
            clients.cancel_scope.cancel()


def _held(recording: Recording, venue_name: str) -> frozenset[str]:
    """The streams of a venue that came, or were granted and stayed quiet; not the refused ones."""
    streams = {key: info for key, info in recording.streams.items() if key.venue == venue_name}
    held = {key.name for key, info in streams.items() if info.messages}
    quiet = [key for key, info in streams.items() if not info.messages]
    if quiet:
        for granted in recording.messages(quiet, kinds=(Kind.ACKNOWLEDGED,)):
            held.update(granted.streams)
    return frozenset(held)


def _forget(what: Note) -> None:
    """A replay records nothing."""
