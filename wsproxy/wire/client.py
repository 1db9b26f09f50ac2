"""The server's role: one connection of a strategy."""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from wsproxy.model import TEXT
from wsproxy.wire.frames import FINAL_CLOSE, Split
from wsproxy.wire.http import UPGRADE_REQUIRED, Answer, Exchange, Refusal, Request, upgrade_required
from wsproxy.wire.lane import GOODBYE_SECONDS, LOST, Lane, background
from wsproxy.wire.outbox import Outbox

OnHttp = Callable[[Request], Awaitable[Answer]]
"""Answers a request that asks for no WebSocket."""

_INBOX_MESSAGES = 16
"""How many requests of a client may wait; then its socket is not read, and it must wait too."""

_NOT_SENT_BYTES = 64 << 10
"""So much may wait in the kernel for a client that wants nothing old."""

_GOING_AWAY = 1001
_NEVER_SENT = (1005, 1006, 1015)


class ClientLane(Lane[trio.SocketStream]):
    """Messages of the client wait in an inbox; what goes to the client goes through the outbox."""

    def __init__(
        self, transport: trio.SocketStream, request: Request, max_message_bytes: int
    ) -> None:
        super().__init__(transport, max_message_bytes, peer_masks=True)
        self.outbox = Outbox(transport.socket)
        self._head = request.head
        self._kept = request.behind
        self._accepted = trio.Event()
        self._arrived, self.inbox = trio.open_memory_channel[tuple[bytes, int]](_INBOX_MESSAGES)

    async def deliver(self, split: Split) -> None:
        """Hand on complete messages; drop them when nobody will take them any more."""
        opcodes = split.opcodes
        with suppress(*LOST):
            for index, payload in enumerate(split.payloads):
                await self._arrived.send((payload, TEXT if opcodes is None else opcodes[index]))

    def finish(self) -> None:
        """No more messages will come, and none can be sent."""
        super().finish()
        self.outbox.abandon()
        self._arrived.close()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give the handshake's request alone; control frames when it has been accepted."""
        if self._head:
            head, self._head = self._head, b""
            return head
        await self._accepted.wait()
        return await super().receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send the handshake's response, then a control frame a call."""
        frame = bytes(data)
        await self.outbox.write_urgent(frame, last=frame[0] == FINAL_CLOSE)
        self._accepted.set()

    def hold_little(self) -> None:
        """Let the kernel take little more than it can send at once."""
        if sys.platform == "linux":
            with suppress(OSError):  # it has left already
                self._transport.setsockopt(
                    socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _NOT_SENT_BYTES
                )

    async def wait_send_all_might_not_block(self) -> None:
        """Return at once: ``send_all`` waits for the kernel by itself."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close our side; the peer's is read to its end by the reader, then closed by the owner."""
        self.finish()
        # Not `send_eof`: trio-websocket may call this from two tasks at once.
        with suppress(OSError):
            self._transport.socket.shutdown(trio.socket.SHUT_WR)
        await trio.lowlevel.checkpoint()


class Client:
    """An open connection of a strategy."""

    def __init__(self, websocket: WebSocketConnection, lane: ClientLane) -> None:
        self._websocket = websocket
        self._lane = lane
        self._outbox = lane.outbox
        self.write_nowait = lane.outbox.write_nowait
        """Write a run of whole frames of data, or queue what the kernel does not take.

        Gives ``pending_bytes``. Never raises: where the connection has ended, ``receive`` says so.
        """

    @property
    def is_mute(self) -> bool:
        """Whether pings of the client stay unanswered."""
        return self._lane.is_mute

    @is_mute.setter
    def is_mute(self, is_mute: bool) -> None:
        self._lane.is_mute = is_mute

    @property
    def handed_bytes(self) -> int:
        """How many bytes of data it was sent, pending or not."""
        return self._outbox.handed_bytes

    @property
    def pending_bytes(self) -> int:
        """How many bytes of data the kernel has not taken yet."""
        return self._outbox.pending_bytes

    @property
    def pending_since_ns(self) -> int | None:
        """Monotonic time, ns, at which the oldest pending data was handed in; None if none is."""
        return self._outbox.pending_since_ns

    def hold_little(self) -> None:
        """Let the kernel take little more than it can send at once: the rest stays pending.

        Where the kernel cannot be told so (it is no Linux), nothing happens.
        """
        self._lane.hold_little()

    async def receive(self) -> tuple[bytes, int]:
        """Give the next message's payload and opcode. Raises ConnectionEnded."""
        try:
            return await self._lane.inbox.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            raise self._lane.how_it_ended() from None

    @property
    def has_said(self) -> bool:
        """Whether a message of the client waits for ``receive``."""
        return self._lane.inbox.statistics().current_buffer_used > 0

    async def ping(self) -> None:
        """Send a ping, ahead of pending data, and wait for its pong. Raises ConnectionEnded."""
        try:
            await self._websocket.ping()
        except ConnectionClosed:
            raise self._lane.how_it_ended() from None

    async def ended(self) -> None:
        """Wait until the client says nothing more."""
        await self._lane.ended.wait()

    async def drain(self) -> None:
        """Wait until nothing is pending, or the connection has ended."""
        await self._outbox.drain()

    async def aclose(self, code: int, reason: str) -> None:
        """Close with this code and wait for the client's answer; no error if it has ended.

        The close frame overtakes pending data, which is dropped. The reason is cut to 123 bytes
        of UTF-8. With 1005, 1006 or 1015, which no frame may carry (RFC 6455, section 7.4.1), the
        connection is cut.
        """
        self._lane.begin_close(code, reason)
        self._lane.inbox.close()
        if code in _NEVER_SENT:
            await self._lane.aclose()
        else:
            await self._websocket.aclose(code, reason)


class Handshake:
    """A client's request for a WebSocket, to be accepted or refused."""

    def __init__(
        self,
        stream: trio.SocketStream,
        exchange: Exchange,
        request: Request,
        lane: ClientLane,
        tasks: trio.Nursery,
    ) -> None:
        self.path, _, self.query = request.target.partition("?")
        self.headers = request.headers
        self.origin = request.header("origin")
        self.remote = _remote(stream)
        self._exchange = exchange
        self._lane = lane
        self._client: Client | None = None
        self._tasks = tasks

    async def accept(self) -> Client:
        """Answer with status 101. Raises ConnectionEnded where the client has left."""
        del self._exchange, self.headers  # some KB, for as long as the client stays
        lane = self._lane
        proposal = await wrap_server_stream(lane.reader_in(self._tasks), lane)
        try:
            websocket = await proposal.accept()
        except ConnectionClosed:
            raise lane.how_it_ended() from None
        self._client = Client(websocket, lane)
        return self._client

    async def refuse(self, status: int, text: str) -> None:
        """Answer with this HTTP status and text, and wait until the client has closed."""
        await self._exchange.answer(status, text)

    async def say_goodbye(self) -> None:
        """Close what was accepted with code 1001, if it is open, and wait for the client."""
        if self._client is not None and not self._lane.gone.is_set():
            await self._client.aclose(_GOING_AWAY, "")
            await self._lane.gone.wait()


@asynccontextmanager
async def handshake(
    stream: trio.SocketStream,
    *,
    max_message_bytes: int,
    max_header_bytes: int = 16384,
    on_http: OnHttp = upgrade_required,
) -> AsyncIterator[Handshake | None]:
    """Read a client's request; say goodbye and close the stream when the block is left.

    Gives None where there is nothing to accept: the requests asked for no WebSocket (``on_http``
    gave the answers), one was not good (answered with 400, 426 or 431), or none came. The caller
    bounds the time.
    """
    exchange = Exchange(stream, max_header_bytes)
    try:
        request = await _websocket_request(exchange, on_http)
        if request is None:
            yield None
            return
        lane = ClientLane(stream, request, max_message_bytes)
        async with background(lane.outbox.run) as tasks:
            proposal = Handshake(stream, exchange, request, lane, tasks)
            del exchange, request
            try:
                yield proposal
            finally:
                with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                    await proposal.say_goodbye()
    finally:
        await trio.aclose_forcefully(stream)


async def _websocket_request(exchange: Exchange, on_http: OnHttp) -> Request | None:
    """Read a good request for a WebSocket; answer any others before it."""
    try:
        while True:
            request = await exchange.request()
            if request is None:
                return None
            if request.wants_upgrade:
                request.check_upgrade()
                return request
            answer = await on_http(request)
            if not await exchange.answer(*answer, stays=answer.status != UPGRADE_REQUIRED):
                return None
    except Refusal as refusal:
        await exchange.answer(refusal.status, refusal.text)
    return None


def _remote(stream: trio.SocketStream) -> str:
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:  # it has left already
        return "unknown"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
