from __future__ import annotations

import errno
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from wsproxy.app import accepting
from wsproxy.app.accepting import accept_all


class Door:
    """Accepts on a port of its own, and counts who came in."""

    def __init__(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        self.address = listener.socket.getsockname()
        self.inside = 0
        self._nursery = nursery
        self._outside: list[socket.socket] = []

    def connect(self, clients: int) -> None:
        """Connect so many; the kernel says yes for the process."""
        self._outside += [socket.create_connection(self.address, 10) for _ in range(clients)]

    async def serve(self, stream: trio.SocketStream) -> None:
        async with stream:
            self.inside += 1
            await trio.sleep_forever()

    async def until(self, clients: int) -> None:
        while self.inside < clients:
            await trio.testing.wait_all_tasks_blocked()

    def close(self) -> None:
        self._nursery.cancel_scope.cancel()
        for client in self._outside:
            client.close()


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    with trio.fail_after(10):
        async with trio.open_nursery() as clients:
            place = Door(listeners[0], clients)
            clients.start_soon(accept_all, listeners, place.serve, clients)
            try:
                yield place
            finally:
                place.close()


async def test_a_turn_brings_in_several_but_not_all(monkeypatch: pytest.MonkeyPatch) -> None:
    accept, wait = socket.socket.accept, trio.lowlevel.wait_readable
    turns: list[int] = []

    def accepted(self: socket.socket) -> tuple[socket.socket, object]:
        connection = accept(self)
        turns[-1] += 1
        return connection

    async def turn(fd: int | socket.socket) -> None:
        await wait(fd)
        if not isinstance(fd, int):
            turns.append(0)

    monkeypatch.setattr(socket.socket, "accept", accepted)
    monkeypatch.setattr(trio.lowlevel, "wait_readable", turn)
    async with door() as place:
        place.connect(2 * accepting._IN_A_TURN + 1)
        await place.until(2 * accepting._IN_A_TURN + 1)
    assert turns == [accepting._IN_A_TURN, accepting._IN_A_TURN, 1]


@pytest.mark.parametrize("what", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_where_there_is_no_room_they_wait_and_it_is_said_once(
    what: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mock_clock: trio.testing.MockClock,
) -> None:
    accept, tried = socket.socket.accept, 0

    def no_room(self: socket.socket) -> tuple[socket.socket, object]:
        nonlocal tried
        tried += 1
        if tried <= 3:
            raise OSError(what, "there is no room")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", no_room)
    caplog.set_level(logging.WARNING, "wsproxy")
    async with door() as place:
        mock_clock.rate = 50
        began = trio.current_time()
        place.connect(1)
        await place.until(1)
        assert trio.current_time() - began >= 3 * accepting._FULL_SECONDS  # it does not spin
    assert caplog.messages == ["no room for more clients, who have to wait: there is no room"]


async def test_somebody_who_left_the_queue_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accept, gone = socket.socket.accept, [True]

    def has_left(self: socket.socket) -> tuple[socket.socket, object]:
        if gone:
            gone.pop()
            raise ConnectionAbortedError
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", has_left)
    async with door() as place:
        place.connect(2)
        await place.until(2)


async def test_cancelled_it_listens_no_more() -> None:
    async with door() as place:
        address = place.address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, 10)
