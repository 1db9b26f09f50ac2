"""The admin server: questions and orders for a running process, HTTP on a local socket.

Each route is one line for whoever starts the server: method and path, and a function from the
body of the request to what is answered as JSON. It decides at once, on the event loop. It may raise
``Refusal`` with an HTTP status, or ``msgspec.DecodeError`` for a body that makes no sense.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import trio

from wsproxy.app.asking import is_alive
from wsproxy.app.ledger import default_directory, make_private
from wsproxy.config import Address, Admin, is_loopback
from wsproxy.errors import ConfigError
from wsproxy.wire.http import Exchange, Refusal, Request

log = logging.getLogger("wsproxy")

_PATIENCE_SECONDS = 10.0
_MOST_BYTES = 64 << 10
"""Of a request's head, and of its body."""

Routes = Mapping[tuple[str, str], Callable[[bytes], object]]


@asynccontextmanager
async def admin_listening(admin: Admin, port: int) -> AsyncIterator[Sequence[trio.SocketListener]]:
    """Hold the admin socket; ``port`` is where the process serves, and names the usual socket.

    Raises ConfigError if it cannot be had. The usual one is no reason not to start: without it
    there is a warning.
    """
    match admin:
        case "off":
            yield []
        case Address(host, number):
            try:
                listeners = await trio.open_tcp_listeners(number, host=host)
            except OSError as error:
                raise ConfigError(f"--admin {admin} {_trouble(error)}") from error
            log.info("admin on %s", Address(*listeners[0].socket.getsockname()[:2]))
            try:
                yield listeners
            finally:
                for listener in listeners:
                    listener.socket.close()
        case _:
            path = default_directory() / f"{port}.sock" if admin == "auto" else admin
            try:
                if admin == "auto":
                    make_private(path.parent)
                bound = _bind(path)
            except OSError as error:
                if admin != "auto":
                    raise ConfigError(f"--admin {path} {_trouble(error)}") from error
                log.warning("no `wsproxy status`: the socket %s %s", path, _trouble(error))
                yield []
                return
            async with trio.SocketListener(trio.socket.from_stdlib_socket(bound)) as listener:
                try:
                    yield [listener]
                finally:
                    path.unlink(missing_ok=True)


def _trouble(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "is in use"
    return f"cannot be listened on: {error.strerror or error}"


def _bind(path: Path) -> socket.socket:
    """Listen on a Unix socket, in place of one that a crash left behind; raises OSError."""
    directory = os.open(path.parent, os.O_RDONLY)
    bound = socket.socket(socket.AF_UNIX)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)  # two that would replace the same one take turns
        if path.is_socket() and not is_alive(path):
            path.unlink()
        bound.bind(str(path))
        path.chmod(0o600)  # nobody can have connected: it does not listen yet
        bound.listen()
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    finally:
        os.close(directory)
    return bound


async def serve_admin(listeners: Sequence[trio.SocketListener], routes: Routes) -> None:
    """Answer these routes until cancelled."""
    if listeners:
        await trio.serve_listeners(partial(_converse, routes), list(listeners))


async def _converse(routes: Routes, stream: trio.SocketStream) -> None:
    async with stream:
        exchange = Exchange(stream, _MOST_BYTES)
        with trio.move_on_after(_PATIENCE_SECONDS):
            try:
                request = await exchange.request()
                body = None if request is None else await exchange.body(_MOST_BYTES)
                if request is None or body is None:
                    return
                status, content = 200, _perform(routes, request, body)
            except Refusal as refusal:
                status, content = refusal.status, _encode({"error": refusal.text})
            await exchange.answer(status, content)


def _perform(routes: Routes, request: Request, body: bytes) -> str:
    _check_origin(request)
    path = urlsplit(request.target).path
    act = routes.get((request.method, path))
    if act is None:
        methods = [method for method, known in routes if known == path]
        if methods:
            raise Refusal(405, f"{path} takes {' or '.join(methods)}.")
        raise Refusal(404, f"There are {', '.join(' '.join(route) for route in routes)}.")
    try:
        return _encode(act(body))
    except msgspec.DecodeError as error:
        raise Refusal(400, f"{error}.") from None
    except Refusal:
        raise
    except Exception:
        log.exception("%s %s failed", request.method, path)  # no question may stop the proxy
        raise Refusal(500, "That failed; the log says how.") from None


def _check_origin(request: Request) -> None:
    """Keep out web pages: those of other sites name an origin, or their own host (rebinding)."""
    host = urlsplit(f"//{request.header('host') or ''}").hostname or ""
    if request.header("origin") is not None or not is_loopback(host):
        raise Refusal(403, "Web pages may not ask.")


def _encode(content: object) -> str:
    return msgspec.json.encode(content).decode()
