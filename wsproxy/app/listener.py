"""The front door: accepts clients, finds their venue, reads what they ask."""

from __future__ import annotations

import errno
import logging
import math
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from wsproxy.app.accepting import accept_all
from wsproxy.app.engine import ConflatingPort, Engine, Port
from wsproxy.app.passthrough import Passthrough
from wsproxy.app.pinging import Metronome
from wsproxy.app.wishes import wishes
from wsproxy.config import Serving, is_loopback
from wsproxy.errors import ConfigError, ConnectionEnded
from wsproxy.hub.events import ClientSaid
from wsproxy.hub.hub import Hub
from wsproxy.venues.base import PathRefused, Session
from wsproxy.wire.client import Client, Handshake, OnHttp, handshake
from wsproxy.wire.http import UPGRADE_REQUIRED, Answer, Request, upgrade_required

if TYPE_CHECKING:
    from trio.socket import SocketType

log = logging.getLogger("wsproxy")

_MOST_HANDSHAKES = 1_000
"""Sockets that connect and say nothing must not use up the file descriptors."""
_GOODBYE_SECONDS = 2.0
_PAUSE_SECONDS = 0.002
"""Between two goodbyes: a crowd that is closed at once must not keep the others waiting."""
_SILENT_SECONDS = 60
"""After so long the kernel probes a client; after as long again it is taken for gone."""
_KEEP_ALIVE_SECONDS = 75.0
"""A client that asks by plain HTTP may take so long for reading the answer and for asking again."""


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
    for listener in listeners:
        _watch_for_vanished_peers(listener.socket)
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.socket.close()


def _watch_for_vanished_peers(listener: SocketType) -> None:
    """Have the kernel find out that the machine of a silent client is gone.

    Not every venue pings. What is accepted inherits these (tcp(7)).
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENT_SECONDS)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENT_SECONDS // 3)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


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
        conflating: bool = True,
        refusal: Callable[[], tuple[int, str] | None] = lambda: None,
        on_http: OnHttp = upgrade_required,
    ) -> None:
        self._engine = engine
        self._on_http = on_http
        self._conflating = conflating
        self._refusal = refusal
        self._priorities = dict(priorities)
        self._serving = serving
        self._passthrough = passthrough
        beats = {name: hub.venue.profile.pings for name, hub in engine.hubs.items() if pings}
        self._metronomes = {name: Metronome(beat) for name, beat in beats.items() if beat}
        self._leaving = trio.Lock()
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
                async with trio.open_nursery() as nursery:
                    for metronome in self._metronomes.values():
                        nursery.start_soon(metronome.run)
                    await accept_all(listeners, self._serve_client, clients)

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

            async def on_http(request: Request) -> Answer:
                patience.deadline = math.inf
                answer = await self._on_http(request)
                is_wrong = answer.status == UPGRADE_REQUIRED
                left = self._serving.handshake_seconds if is_wrong else _KEEP_ALIVE_SECONDS
                patience.deadline = trio.current_time() + left
                return answer

            async with handshake(
                stream, max_message_bytes=self._serving.max_request_bytes, on_http=on_http
            ) as request:
                if request is None:
                    return
                try:
                    wish, query = wishes(request.headers, request.query, self._priorities)
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
                    port = self._engine.join(
                        venue,
                        session,
                        client,
                        name,
                        wish.priority,
                        conflates=wish.conflates and self._conflating,
                    )
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
            with self._pinging(hub, port), port.scope:
                async with trio.open_nursery() as nursery:
                    if isinstance(port, ConflatingPort):
                        client.hold_little()
                        nursery.start_soon(port.keep_up)
                    await self._listen(hub, port, client)
                    nursery.cancel_scope.cancel()
        finally:
            self._engine.leave(hub, port)
            with trio.CancelScope(shield=True):
                async with self._leaving:
                    await trio.sleep(_PAUSE_SECONDS)
            with trio.move_on_after(_GOODBYE_SECONDS, shield=True):
                await client.aclose(*(port.close or (1001, "the proxy stops")))

    def _pinging(self, hub: Hub, port: Port) -> AbstractContextManager[None]:
        metronome = self._metronomes.get(hub.venue.profile.name)
        return nullcontext() if metronome is None else metronome.pinging(port)

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
