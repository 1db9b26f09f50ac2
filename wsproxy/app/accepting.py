"""Accepts connections: a few in a turn, and none when the system has no room."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence

import trio

log = logging.getLogger("wsproxy")

_IN_A_TURN = 2
"""So many are accepted before others have their turn. With many, hundreds who join would make all
turns long, as each needs a dozen; those who wait for their turn here harm nobody."""

_FULL_SECONDS = 0.1
"""How long to leave those waiting that the system has no room for."""

Serve = Callable[[trio.SocketStream], Awaitable[None]]


async def accept_all(
    listeners: Sequence[trio.SocketListener], serve: Serve, clients: trio.Nursery
) -> None:
    """Serve each connection in a task of ``clients``; close the listeners when cancelled.

    Where the system has no room for another (no file descriptor, no memory), those who connect
    wait, and the log says so once.
    """
    async with trio.open_nursery() as accepting:
        for listener in listeners:
            accepting.start_soon(_accept, listener, serve, clients)


async def _accept(listener: trio.SocketListener, serve: Serve, clients: trio.Nursery) -> None:
    # Trio's own loop takes one a turn, and tells nobody who has configured no log of its own.
    with listener.socket, socket.socket(fileno=os.dup(listener.socket.fileno())) as door:
        door.setblocking(False)
        is_full = False
        while True:
            await trio.lowlevel.wait_readable(door)
            try:
                for _ in range(_IN_A_TURN):
                    connection, _ = door.accept()
                    inside = trio.socket.from_stdlib_socket(connection)
                    clients.start_soon(serve, trio.SocketStream(inside))
            except (BlockingIOError, ConnectionError):  # nobody is left; somebody has left already
                is_full = False
            except OSError as error:
                if not is_full:
                    why = error.strerror or error
                    log.warning("no room for more clients, who have to wait: %s", why)
                is_full = True
                await trio.sleep(_FULL_SECONDS)
