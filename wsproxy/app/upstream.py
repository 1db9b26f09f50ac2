"""Connections to the venues: one task each, which opens it, pumps it, and reports its end."""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import trio

from wsproxy.app import clock
from wsproxy.app.engine import Engine
from wsproxy.app.ledger import Ledger, Wait
from wsproxy.app.tape import Tape
from wsproxy.config import SECOND_NS
from wsproxy.errors import ConfigError, ConnectionEnded, HandshakeRefused
from wsproxy.hub.events import (
    CloseUpstream,
    OpenUpstream,
    SendUpstream,
    UpstreamClosed,
    UpstreamDeferred,
    UpstreamOpened,
    UpstreamSent,
)
from wsproxy.hub.hub import Hub
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.venues.profile import Profile
from wsproxy.wire.frames import Split
from wsproxy.wire.upstream import Upstream, open_upstream

log = logging.getLogger("wsproxy")

_OPEN_SECONDS = 15.0
_GOODBYE_SECONDS = 2.0
"""How long a connection that we close may wait for the venue: it may be dead."""

Outgoing = SendUpstream | CloseUpstream


class Connections:
    """All upstream connections of the process; runs them in ``nursery``."""

    def __init__(
        self,
        engine: Engine,
        tape: Tape | None,
        urls: Mapping[str, Sequence[str]],
        ssl_context: ssl.SSLContext | None,
        nursery: trio.Nursery,
        ledger: Ledger,
    ) -> None:
        self._engine = engine
        self._tape = tape
        self._urls = urls
        self._ssl_context = ssl_context
        self._nursery = nursery
        self._ledger = ledger
        self._beating: set[int] = set()
        """Connections on which a heartbeat is being sent."""
        self._outgoing: dict[int, trio.MemorySendChannel[Outgoing]] = {}
        self._opening: dict[int, trio.CancelScope] = {}

    def open(self, hub: Hub, command: OpenUpstream) -> None:
        """Start the task of a connection."""
        patience = self._opening[command.connection] = trio.CancelScope()
        self._nursery.start_soon(self._run, hub, command, patience)

    def send(self, command: SendUpstream) -> None:
        """Send a message; the hub has at most one under way a connection."""
        self._outgoing[command.connection].send_nowait(command)

    def close(self, command: CloseUpstream) -> None:
        """Close a connection, or give up opening it."""
        if command.connection in self._outgoing:
            self._outgoing[command.connection].send_nowait(command)
        elif command.connection in self._opening:
            self._opening.pop(command.connection).cancel()

    async def _run(self, hub: Hub, command: OpenUpstream, patience: trio.CancelScope) -> None:
        profile = hub.venue.profile
        address = self._urls[profile.name][command.mirror]
        host, now_ns = urlsplit(address).netloc, clock.now().mono_ns
        claim = self._ledger.attempt(host, profile.connects, profile.connections, now_ns)
        if isinstance(claim, Wait):
            self._opening.pop(command.connection, None)
            deferred = UpstreamDeferred(command.connection, claim.until_ns, claim.why)
            self._engine.dispatch(hub, deferred)
            return
        with claim:
            await self._connect(hub, command, address + command.endpoint, host, patience)

    async def _connect(
        self, hub: Hub, command: OpenUpstream, url: str, host: str, patience: trio.CancelScope
    ) -> None:
        number = command.connection
        name = hub.venue.profile.name
        if self._tape is not None:
            self._tape.connection(ConnectionInfo(number, name, url))

        def on_messages(split: Split) -> None:
            wall_ns, mono_ns = clock.now()
            batch = Batch(Kind.MESSAGE, number, wall_ns, mono_ns, split.payloads, split.opcodes)
            if self._tape is not None:
                self._tape.append(batch)
            self._engine.carry(hub, batch, split.frames)

        def on_frame_sent(control: bool) -> None:
            self._engine.dispatch(hub, UpstreamSent(number, control or number in self._beating))

        ended = ConnectionEnded(1006, f"no handshake within {_OPEN_SECONDS:.0f} s", "us")
        opened = False
        status, retry_after_ns = 0, None
        patience.deadline = trio.current_time() + _OPEN_SECONDS
        try:
            with patience:
                async with open_upstream(
                    url,
                    on_messages=on_messages,
                    on_frame_sent=on_frame_sent,
                    max_message_bytes=hub.venue.profile.max_message_bytes,
                    ssl_context=self._ssl_context,
                ) as upstream:
                    patience.deadline = math.inf
                    opened = True
                    ended = ConnectionEnded(1000, "the proxy stops", "us")
                    self._note(Kind.OPENED, number, record.opened())
                    ended = await self._pump(hub, number, upstream, host)
            if patience.cancelled_caught and number in self._opening:
                log.warning("%s: %s", name, ended.reason)
        except HandshakeRefused as refused:
            ended = ConnectionEnded(1006, str(refused), "peer" if refused.status else "network")
            status, retry_after_ns = refused.status, refused.retry_after_ns
            now_ns = clock.now().mono_ns
            self._ledger.told_off(host, hub.venue.profile, refused, now_ns)
            log.warning("%s: %s", name, refused)
        finally:
            self._opening.pop(number, None)
            self._outgoing.pop(number, None)
            self._beating.discard(number)
            if opened:
                payload = record.closed(ended.code, ended.reason, ended.by)
                self._note(Kind.CLOSED, number, payload)
            if not self._nursery.cancel_scope.cancel_called:  # else nothing is mended, nor missed
                closed = UpstreamClosed(
                    number, ended.code, ended.reason, ended.by, status, retry_after_ns
                )
                self._engine.dispatch(hub, closed)

    async def _pump(self, hub: Hub, number: int, upstream: Upstream, host: str) -> ConnectionEnded:
        """Send what the hub wants sent until the connection ends."""
        outgoing, to_send = trio.open_memory_channel[Outgoing](2)  # a request and a close
        async with trio.open_nursery() as nursery:
            self._outgoing[number] = outgoing
            nursery.start_soon(self._send_all, hub.venue.profile, host, number, upstream, to_send)
            nursery.start_soon(self._watch, upstream, hub.venue.profile.silence_ns)
            self._engine.dispatch(hub, UpstreamOpened(number))
            ended = await upstream.wait_closed()
            nursery.cancel_scope.cancel()
        return ended

    async def _send_all(
        self,
        profile: Profile,
        host: str,
        number: int,
        upstream: Upstream,
        to_send: trio.MemoryReceiveChannel[Outgoing],
    ) -> None:
        """Send what is handed in, and heartbeats when nothing has been for a while."""
        heartbeat = profile.heartbeat
        idle_seconds = math.inf if heartbeat is None else heartbeat.idle_ns / SECOND_NS
        while True:
            command: Outgoing | None = None
            with trio.move_on_after(idle_seconds):
                command = await to_send.receive()
            if not isinstance(command, CloseUpstream):
                await self._ledger.turn(host, profile.requests_per_ip)
            match command:
                case SendUpstream(_, payload):
                    await self._send(number, upstream, payload)
                case CloseUpstream(_, code, reason):
                    await _close(upstream, code, reason)
                case None if heartbeat is not None:
                    self._beating.add(number)
                    await self._send(number, upstream, heartbeat.payload)
                    self._beating.discard(number)

    async def _send(self, number: int, upstream: Upstream, payload: bytes) -> None:
        self._note(Kind.REQUEST, number, payload)
        with suppress(ConnectionEnded):  # whoever waits for the end learns how
            await upstream.send(payload)

    async def _watch(self, upstream: Upstream, silence_ns: int) -> None:
        """A connection on which nothing at all comes for so long is dead."""
        while True:
            left_ns = upstream.heard_ns + silence_ns - clock.now().mono_ns
            if left_ns <= 0:
                await _close(upstream, 1001, f"silent for {silence_ns // SECOND_NS} s")
                return
            await trio.sleep(left_ns / SECOND_NS)

    def _note(self, kind: Kind, number: int, payload: bytes) -> None:
        if self._tape is not None:
            self._tape.note(kind, number, (), payload)


async def _close(upstream: Upstream, code: int, reason: str) -> None:
    with trio.move_on_after(_GOODBYE_SECONDS):
        await upstream.aclose(code, reason)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """The system's certificate authorities, and those of ``ca_file``; raises ConfigError."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(f"--upstream-ca {ca_file} holds no certificates: {error}") from error
    return context
