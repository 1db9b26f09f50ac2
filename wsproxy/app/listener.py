"""The front door: accepts clients, finds their venue, reads what they ask."""

from __future__ import annotations

import errno
import logging
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import trio

from wsproxy.app.engine import Engine, Port
from wsproxy.app.passthrough import Passthrough
from wsproxy.app.priority import priority
from wsproxy.config import SECOND_NS, Serving, is_loopback
from wsproxy.errors import ConfigError, ConnectionEnded
from wsproxy.hub.events import ClientSaid
from wsproxy.hub.hub import Hub
from wsproxy.venues.base import PathRefused, Session
from wsproxy.venues.profile import Pings
from wsproxy.wire.client import Client, Handshake, handshake

log = logging.getLogger("wsproxy")

_MOST_HANDSHAKES = 1_000
"""Sockets that connect and say nothing must not use up the file descriptors."""
_GOODBYE_SECONDS = 2.0


@asynccontextmanager
async def listening(serving: Serving) -> AsyncIterator[Sequence[trio.SocketListener]]:
    """Hold the listening sockets; raises ConfigError with what to do about it."""
    host, port = serving.listen
    try:
        listeners = await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what = "is in use: stop what listens there, or choose another with --listen"
        else:
            what = f"cannot be listened on: {error.strerror or error}"
        raise ConfigError(f"{serving.listen} {what}") from error
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.socket.close()


class _Refused(Exception):
    """A client is not let in: HTTP status and sentence."""


class FrontDoor:
    """Serves clients of every venue of an engine."""

    def __init__(
        self,
        engine: Engine,
        serving: Serving,
        passthrough: Passthrough | None = None,
        priorities: Sequence[tuple[str, int]] = (),
        *,
        pings: bool = True,
        refusal: Callable[[], tuple[int, str] | None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._pings = pings
        self._refusal = refusal
        self._priorities = dict(priorities)
        self._serving = serving
        self._passthrough = passthrough
        self._open = 0
        self._inside = 0
        self.accepting = trio.CancelScope()
        """Cancel it to accept nobody else; ``serve`` then returns when those inside have gone."""

    async def serve(
        self,
        listeners: Sequence[trio.SocketListener],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Accept clients and serve them."""
        async with trio.open_nursery() as clients:
            task_status.started()
            with self.accepting:
                await trio.serve_listeners(
                    self._serve_client, list(listeners), handler_nursery=clients
                )

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        if self._open - self._inside >= _MOST_HANDSHAKES:
            await trio.aclose_forcefully(stream)
            return
        self._open += 1
        try:
            await self._shake_hands(stream)
        except (trio.BrokenResourceError, ConnectionEnded):
            log.debug("a client vanished during its handshake")
        finally:
            self._open -= 1

    async def _shake_hands(self, stream: trio.SocketStream) -> None:
        deadline = trio.current_time() + self._serving.handshake_seconds
        with trio.CancelScope(deadline=deadline) as patience:
            async with handshake(
                stream, max_message_bytes=self._serving.max_request_bytes
            ) as request:
                if request is None:
                    return
                try:
                    rank, query = priority(request.headers, request.query, self._priorities)
                    venue, session = self._admit(request, query)
                except _Refused as refused:
                    log.info("client %s is refused: %d %s", request.remote, *refused.args)
                    await request.refuse(*refused.args)
                    return
                self._inside += 1
                try:
                    client = await request.accept()
                    patience.deadline = math.inf
                    name = f"{request.remote} {venue}"  # a path can hold a secret
                    port = self._engine.join(venue, session, client, name, rank)
                    await self._converse(self._engine.hubs[venue], port, client)
                finally:
                    self._inside -= 1

    def _admit(self, request: Handshake, query: str) -> tuple[str, Session]:
        """The venue that a client wants, and its side of that protocol; raises _Refused."""
        refusal = self._refusal()
        if refusal is not None:
            raise _Refused(*refusal)
        if request.origin is not None and not self._may_enter(request.origin):
            raise _Refused(403, f"a page of {request.origin} may not connect: see --allow-origin")
        if self._inside >= self._serving.max_clients:
            most = self._serving.max_clients
            raise _Refused(503, f"all {most} places are taken: see --max-clients")
        name, path = self._find(request.path)
        if name not in self._engine.hubs:
            known = ", ".join(f"/{name}" for name in self._engine.hubs)
            raise _Refused(404, f"no venue there: addresses begin with {known}")
        try:
            return name, self._engine.hubs[name].venue.session(path, query)
        except PathRefused as error:
            raise _Refused(404, str(error)) from None

    def _may_enter(self, origin: str) -> bool:
        if origin in self._serving.allow_origins:
            return True
        try:
            host = urlsplit(origin).hostname or ""
        except ValueError:
            return False
        return is_loopback(host) or host == self._serving.listen.host

    def _find(self, path: str) -> tuple[str, str]:
        """Venue and the venue's own path; with one venue its name may be left out."""
        first, _, rest = path.removeprefix("/").partition("/")
        if first in self._engine.hubs:
            return first, "/" + rest
        if len(self._engine.hubs) == 1:
            return next(iter(self._engine.hubs)), path
        return first, path

    async def _converse(self, hub: Hub, port: Port, client: Client) -> None:
        """Hand a client's messages to the hub until either side ends it."""
        try:
            with port.scope:
                async with trio.open_nursery() as nursery:
                    pings = hub.venue.profile.pings
                    if self._pings and pings is not None:
                        nursery.start_soon(_keep_pinging, pings, port)
                    await self._listen(hub, port, client)
                    nursery.cancel_scope.cancel()
        finally:
            self._engine.leave(hub, port)
            with trio.move_on_after(_GOODBYE_SECONDS, shield=True):
                await client.aclose(*(port.close or (1001, "the proxy stops")))

    async def _listen(self, hub: Hub, port: Port, client: Client) -> None:
        try:
            while True:
                if port.dedicated is not None and self._passthrough is not None:
                    await self._passthrough.run(hub, port, port.dedicated)
                    return
                payload, opcode = await client.receive()
                self._engine.dispatch(hub, ClientSaid(port.number, payload, opcode))
        except ConnectionEnded as ended:  # its reason is the client's: it can hold a secret
            log.debug("client %s left with code %d", port.name, ended.code)


async def _keep_pinging(pings: Pings, port: Port) -> None:
    while True:
        await trio.sleep(pings.every_ns / SECOND_NS)
        await ping(pings, port)


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
