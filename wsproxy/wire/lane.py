"""A lane: the stream that sits between a transport and trio-websocket.

Data messages leave through the lane; trio-websocket (0.12.2) sees the handshake and the control
frames, answers pings and does the closing handshake. It tells a peer nothing about a violation, so
the lane finds violations itself and presents them as a close frame of the peer with the code that
the peer is due: trio-websocket's answer, a close frame with the same code, is what must be sent.
"""

from __future__ import annotations

import logging
import os
import time
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar, cast

import trio
import trio.abc

from wsproxy.errors import ConnectionEnded, Side
from wsproxy.wire.frames import FINAL_CLOSE, FINAL_PING, Split, Splitter, encode_close

logging.getLogger("trio-websocket").disabled = True

GOODBYE_SECONDS = 2.0
"""How long a closing connection may wait for its peer."""

RECEIVE_BYTES = 256 * 1024
"""How much is read from a socket at once, at most."""

LOST = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a transport raises when the connection is gone."""

Transport = TypeVar("Transport", bound=trio.abc.Stream)


class Lane(trio.abc.Stream, Generic[Transport]):
    """The receiving half, which both roles share.

    ``ended`` is set when no more messages come and what had to be said has been sent; ``gone``
    when nobody reads any more, usually because the peer has closed the transport too. ``heard_ns``
    is the monotonic time at which anything was last read.
    """

    def __init__(self, transport: Transport, max_message_bytes: int, *, peer_masks: bool) -> None:
        self._transport = transport
        self._splitter = Splitter(max_message_bytes, masked=peer_masks)
        self._peer_masks = peer_masks
        self._receive_bytes = RECEIVE_BYTES
        self._kept = b""  # came in one read with the handshake, not split yet
        self._controls: deque[bytes] = deque()
        self._we_close = False
        self.is_mute = False
        """Whether pings of the peer stay unanswered."""
        self._end: tuple[int, str, Side] | None = None
        self.heard_ns = time.monotonic_ns()
        self.ended = trio.Event()
        self.gone = trio.Event()

    @abstractmethod
    async def deliver(self, split: Split) -> None:
        """Hand on complete messages, of which there is one at least."""

    def end(self, code: int, reason: str, by: Side) -> None:
        """Note why the connection ends; the first cause stays."""
        if self._end is None:
            self._end = (code, reason, by)

    def begin_close(self, code: int, reason: str) -> None:
        """Note that we close; to be called without an await before trio-websocket closes.

        From here on pings stay unanswered: trio-websocket (0.12.2) fails when it must answer one
        after it has sent a close frame. For this reason it is given one control frame at a time.
        """
        self.end(code, reason, "us")
        self._we_close = True

    def how_it_ended(self) -> ConnectionEnded:
        """Say how the connection ended."""
        return ConnectionEnded(*self._end or (1006, "no close frame came", "network"))

    def finish(self) -> None:
        """No more messages will come."""
        self.ended.set()

    def reader_in(self, tasks: trio.Nursery) -> trio.Nursery:
        """Give what trio-websocket is to take for the nursery of its reader, the one task of it."""
        # It starts a task and nothing else; a nursery of its own would cost 6 KB a client.
        return cast("trio.Nursery", _ReaderNursery(tasks, self.gone))

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give trio-websocket the next control frame; behind the last one, the end."""
        while True:
            while self._controls:
                frame = self._controls.popleft()
                if self.is_mute and frame[0] == FINAL_PING:
                    continue
                if not self._we_close or frame[0] == FINAL_CLOSE:
                    return frame
            if self._splitter.finished or not await self._receive():
                break
        # Reached by EOF, or because trio-websocket came again after it had answered a close frame.
        self.end(1006, "no close frame came", "network")
        self.finish()
        await discard(self._transport)
        return b""

    async def _read(self) -> bytes:
        """Give what comes next; nothing at the end of the stream, or where it is lost."""
        if not isinstance(self._transport, trio.SocketStream):
            try:
                return bytes(await self._transport.receive_some(self._receive_bytes))
            except LOST:
                return b""
        # Most often nothing has come yet. `receive_some` would find that out by a system call, for
        # each message where they come one by one.
        socket = self._transport.socket
        while True:
            try:
                await trio.lowlevel.wait_readable(socket)
                return os.read(socket.fileno(), self._receive_bytes)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                return b""

    async def _receive(self) -> bool:
        """Split what comes next; False at the end of the stream."""
        data, self._kept = self._kept, b""
        if not data:
            data = await self._read()
            if not data:
                return False
        self.heard_ns = time.monotonic_ns()
        split = self._splitter.feed(data)
        if split.payloads:
            await self.deliver(split)
        self._controls += split.controls
        if split.violation is not None:
            self.end(split.violation.code, split.violation.reason, "us")
            self._controls.append(encode_close(*split.violation, masked=self._peer_masks))
        elif self._splitter.close is not None:
            self.end(*self._splitter.close, "peer")
        return True


class _ReaderNursery:
    """Starts tasks in another nursery, and notes the end of each."""

    def __init__(self, tasks: trio.Nursery, ended: trio.Event) -> None:
        self._tasks = tasks
        self._ended = ended

    def start_soon(self, reader: Callable[[], Awaitable[None]]) -> None:
        self._tasks.start_soon(self._run, reader)

    async def _run(self, reader: Callable[[], Awaitable[None]]) -> None:
        try:
            await reader()
        finally:
            self._ended.set()


async def discard(stream: trio.abc.ReceiveStream) -> None:
    """Read until the peer closes.

    To close a socket that holds unread bytes resets the connection, and a reset can destroy what
    the peer has not read yet, such as our close frame.
    """
    try:
        while await stream.receive_some(RECEIVE_BYTES):
            pass
    except LOST:
        pass


@asynccontextmanager
async def background(
    first: Callable[[], Awaitable[None]] = trio.sleep_forever,
) -> AsyncIterator[trio.Nursery]:
    """Give a nursery for the tasks behind a connection; it runs ``first`` itself.

    They outlive a cancelled body, because saying goodbye needs them, and are stopped when the body
    is done. What the body raises comes out as it is; what a task raises, as a group.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as outer:
        tasks = await outer.start(_nursery, first)
        tasks.cancel_scope.shield = True
        try:
            yield tasks
        except Exception as exc:
            failure = exc
        finally:
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _nursery(
    first: Callable[[], Awaitable[None]], *, task_status: trio.TaskStatus[trio.Nursery]
) -> None:
    async with trio.open_nursery() as nursery:
        task_status.started(nursery)
        await first()
