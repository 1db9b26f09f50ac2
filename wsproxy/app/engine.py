"""Performs what the hubs decide, and carries messages to clients. Synchronous throughout.

Live and replay share it: only where batches come from differs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

import trio

from wsproxy.app import clock
from wsproxy.config import SECOND_NS
from wsproxy.hub.events import (
    ClientJoined,
    ClientLagged,
    ClientLeft,
    CloseClient,
    CloseUpstream,
    Command,
    Dedicate,
    Event,
    Note,
    OpenUpstream,
    SendClient,
    SendUpstream,
    Tick,
    UpstreamSaid,
    Warn,
)
from wsproxy.hub.hub import Hub
from wsproxy.model import Batch, Instant
from wsproxy.replay.digest import ClientDigest, Tally
from wsproxy.venues.base import Session
from wsproxy.wire.client import Client

log = logging.getLogger("wsproxy")

_BURST_NS = SECOND_NS
_BURST = 4
"""For so long an outbox may hold this many times its bound: books that a client just asked for."""
_AT_ONCE = 10
"""So many of a crowd that lags are closed behind a chunk, which all others wait for."""


class Port:
    """One client's place in the engine."""

    def __init__(self, number: int, client: Client, name: str, tally: Tally | None) -> None:
        self.number = number
        self.client = client
        self.name = name
        self.tally = tally
        """Of every data frame that was sent, in order."""
        self.write: Callable[[bytes], int] = client.write_nowait
        """Sends encoded frames; gives how many bytes the kernel has not taken yet."""
        if tally is not None:
            self.write = self._write_tallied
        self.close: tuple[int, str] | None = None
        """Code and reason, once the hub wants it closed."""
        self.dedicated: Dedicate | None = None
        """Set when it has left the shared service."""
        self.scope = trio.CancelScope()
        """Cancelled when ``close`` is set."""

    @property
    def digest(self) -> ClientDigest | None:
        """What was sent so far; None if nobody wants to know."""
        return None if self.tally is None else self.tally.of(self.number, self.name)

    @property
    def sent_bytes(self) -> int:
        """How much it was sent."""
        return self.client.handed_bytes

    @property
    def lag_bytes(self) -> int:
        """How much waits for the client."""
        return self.client.pending_bytes

    @property
    def conflated(self) -> int:
        """How many messages it was spared, because newer ones replaced them."""
        return 0

    def _write_tallied(self, frames: bytes) -> int:
        if self.tally is not None:
            self.tally.add(frames)
        return self.client.write_nowait(frames)


class ConflatingPort(Port):
    """The place of a client that wants no more than the newest of what it has no time to read.

    While its outbox holds anything, what comes waits in its hub, where newer messages replace
    older ones. ``keep_up`` must run as long as the client is there.
    """

    def __init__(
        self, number: int, client: Client, name: str, tally: Tally | None, hub: Hub
    ) -> None:
        super().__init__(number, client, name, tally)
        self._hub = hub
        self._behind = trio.Event()
        self._write = self.write
        self.write = self._write_and_see

    @property
    def lag_bytes(self) -> int:
        """How much waits for the client, here and in its hub."""
        backlog = self._hub.backlog(self.number)
        return self.client.pending_bytes + (0 if backlog is None else backlog.bytes)

    @property
    def conflated(self) -> int:
        """How many messages it was spared, because newer ones replaced them."""
        backlog = self._hub.backlog(self.number)
        return 0 if backlog is None else backlog.replaced

    def _write_and_see(self, frames: bytes) -> int:
        pending_bytes = self._write(frames)
        if pending_bytes:
            self._hub.fell_behind(self.number)
            self._behind.set()
        return pending_bytes

    async def keep_up(self) -> None:
        """Send what waits in the hub, whenever the client has read what is before it."""
        while True:
            await self._behind.wait()
            await self.client.drain()
            self._behind = trio.Event()
            frames = self._hub.catch_up(self.number)
            if frames:
                self.write(frames)


class Upstreams(Protocol):
    """Whoever holds the connections to the venues."""

    def open(self, hub: Hub, command: OpenUpstream) -> None:
        """Start a connection."""

    def send(self, command: SendUpstream) -> None:
        """Send a message on one."""

    def close(self, command: CloseUpstream) -> None:
        """Close one."""


class Engine:
    """The hubs of all venues, by name, and the clients' ports.

    ``time`` gives the moment that hubs are told (a replay has its own); ``note`` takes what is to
    be recorded; ``tally`` gives what is to digest the frames of a client.
    """

    def __init__(
        self,
        hubs: dict[str, Hub],
        *,
        outbox_bytes: int,
        note: Callable[[Note], None],
        time: Callable[[], Instant] = clock.now,
        tally: Callable[[], Tally | None] = lambda: None,
    ) -> None:
        self.hubs = hubs
        self.ports: dict[int, Port] = {}
        self.left: list[ClientDigest] = []
        """What clients that have gone were sent."""
        self._joined = 0
        self.upstreams: Upstreams | None = None
        self._outbox_bytes = outbox_bytes
        self._note = note
        self._time = time
        self._tally = tally
        self.changed = trio.Event()
        """Set, and replaced by a new one, whenever a hub was told something."""

    # --- control plane ---

    def join(
        self,
        venue: str,
        session: Session,
        client: Client,
        name: str,
        priority: int = 0,
        *,
        conflates: bool = False,
    ) -> Port:
        """Let a client in; its port is a ConflatingPort if it conflates."""
        hub = self.hubs[venue]
        self._joined += 1
        number, tally = self._joined, self._tally()
        port = (
            ConflatingPort(number, client, name, tally, hub)
            if conflates
            else Port(number, client, name, tally)
        )
        self.ports[number] = port
        self.dispatch(hub, ClientJoined(number, session, priority, conflates))
        return port

    def leave(self, hub: Hub, port: Port) -> None:
        """A client is gone."""
        self.dispatch(hub, ClientLeft(port.number))
        del self.ports[port.number]
        if port.digest is not None:
            self.left.append(port.digest)

    def dismiss(self, port: Port, code: int, reason: str) -> None:
        """Close a client, and serve it nothing from now on; 1006 is without a close frame."""
        if port.close is None:
            port.close = (code, reason)
            port.scope.cancel()
            for hub in self.hubs.values():
                if port.number in hub.clients:
                    self.dispatch(hub, ClientLeft(port.number))

    def dispatch(self, hub: Hub, event: Event) -> None:
        """Tell a hub what happened and do what it says."""
        self.perform(hub, hub.handle(event, self._time()))

    def perform(self, hub: Hub, commands: Iterable[Command]) -> None:
        """Do what a hub says."""
        lagging: list[Port] = []
        for command in commands:
            match command:
                case SendClient(client, frames):
                    port = self.ports[client]
                    # Before, because one reply, with snapshots, may be more than the bound.
                    if port.client.pending_bytes > self._outbox_bytes:
                        lagging.append(port)
                    port.write(frames)
                case CloseClient(client, code, reason):
                    log.info("client %s is closed: %d %s", self.ports[client].name, code, reason)
                    self.ports[client].close = (code, reason)
                    self.ports[client].scope.cancel()
                case Dedicate(client):
                    self.ports[client].dedicated = command
                case Note():
                    self._note(command)
                case Warn(text):
                    log.warning("%s", text)
                case _ if self.upstreams is not None:
                    self._perform_upstream(self.upstreams, hub, command)
        self.changed.set()
        self.changed = trio.Event()
        self._tell_lagging(hub, lagging)

    def _perform_upstream(self, upstreams: Upstreams, hub: Hub, command: Command) -> None:
        match command:
            case OpenUpstream():
                upstreams.open(hub, command)
            case SendUpstream():
                upstreams.send(command)
            case CloseUpstream():
                upstreams.close(command)

    async def tick(self, hub: Hub) -> None:
        """Wake the hub whenever it wants to be."""
        while True:
            due_ns = hub.next_deadline_ns(self._time())
            left = float("inf") if due_ns is None else (due_ns - self._time().mono_ns) / SECOND_NS
            with trio.move_on_after(max(0.0, left)) as timer:
                await self.changed.wait()
            if timer.cancelled_caught:
                self.dispatch(hub, Tick())

    # --- data plane ---

    def carry(self, hub: Hub, batch: Batch, frames: bytes | None = None) -> None:
        """Route a live batch and send it on; nothing else runs in between.

        ``frames`` are all of its messages as a server's frames, if somebody has them.
        """
        count = len(batch.payloads)
        index = hub.route(batch, 0, frames)
        while index < count:
            self.flush(hub)
            self.dispatch(hub, UpstreamSaid(batch, index))
            index = hub.route(batch, index + 1)
        self.flush(hub)
        if hub.is_restless:
            self.dispatch(hub, Tick())

    def flush(self, hub: Hub) -> None:
        """Write what was routed: one write a client."""
        lagging: list[Port] = []
        ports, bound = self.ports, self._outbox_bytes
        for frames, clients in hub.deliveries():
            lagging += [ports[n] for n in clients if ports[n].write(frames) > bound]
        lagging += [ports[number] for number in hub.behind if ports[number].lag_bytes > bound]
        if lagging:
            self._tell_lagging(hub, lagging)

    def pass_on(self, hub: Hub, port: Port, frames: bytes) -> None:
        """Write what came on a client's dedicated connection."""
        if port.write(frames) > self._outbox_bytes:
            self._tell_lagging(hub, [port])

    def _tell_lagging(self, hub: Hub, lagging: Iterable[Port]) -> None:
        at_once = _AT_ONCE
        for port in lagging:
            pending_bytes, since_ns = port.lag_bytes, port.client.pending_since_ns
            age_ns = 0 if since_ns is None else clock.now().mono_ns - since_ns
            is_full = pending_bytes > _BURST * self._outbox_bytes
            if is_full or (age_ns >= _BURST_NS and at_once > 0):
                at_once -= 1
                self.dispatch(hub, ClientLagged(port.number, pending_bytes, age_ns))
