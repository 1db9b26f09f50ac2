"""Peers for the tests of wsproxy.wire: real loopback sockets, and the ``websockets`` protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Self

import trio
from websockets.client import ClientProtocol
from websockets.frames import Close, Frame
from websockets.http11 import Request, Response
from websockets.protocol import Event
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


async def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two ends of one TCP connection."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        ours = await trio.open_tcp_stream(*listener.socket.getsockname())
        return ours, await listener.accept()


async def read_to_end(stream: trio.abc.ReceiveStream) -> bytes:
    received = bytearray()
    with suppress(*GONE):
        while data := await stream.receive_some():
            received += data
    return bytes(received)


class Peer:
    """One side of a WebSocket connection that shares no code with wsproxy."""

    def __init__(
        self, stream: trio.abc.HalfCloseableStream, protocol: ClientProtocol | ServerProtocol
    ) -> None:
        self.stream = stream
        self.protocol = protocol
        self._events: list[Event] = []

    @classmethod
    async def accept(cls, stream: trio.abc.HalfCloseableStream, with_response: bytes = b"") -> Self:
        """A server; ``with_response`` goes out in one piece with the handshake's response."""
        protocol = ServerProtocol(max_size=None)
        peer = cls(stream, protocol)
        request = await peer.event()
        if request is None:
            raise trio.BrokenResourceError
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        await stream.send_all(b"".join(protocol.data_to_send()) + with_response)
        return peer

    @classmethod
    async def connect(
        cls, stream: trio.abc.HalfCloseableStream, path: str = "/", with_request: bytes = b""
    ) -> Self:
        """A client; ``with_request`` goes out in one piece with the handshake's request."""
        protocol = ClientProtocol(parse_uri(f"ws://test{path}"), max_size=None)
        peer = cls(stream, protocol)
        protocol.send_request(protocol.connect())
        await stream.send_all(b"".join(protocol.data_to_send()) + with_request)
        response = await peer.event()
        if response is None:
            raise trio.BrokenResourceError
        assert isinstance(response, Response)
        assert response.status_code == 101
        return peer

    async def event(self) -> Event | None:
        """The next event; None at the end of the stream. Pings are answered."""
        while not self._events:
            try:
                data = await self.stream.receive_some(1 << 16)
            except GONE:
                return None
            if not data:
                self.protocol.receive_eof()
                await self.flush()
                return None
            self.protocol.receive_data(bytes(data))
            assert self.protocol.parser_exc is None
            await self.flush()
            self._events += self.protocol.events_received()
        return self._events.pop(0)

    async def frame(self) -> Frame:
        event = await self.event()
        assert isinstance(event, Frame)
        return event

    async def frames(self) -> list[Frame]:
        """All frames up to the end of the stream."""
        frames = []
        while (event := await self.event()) is not None:
            assert isinstance(event, Frame)
            frames.append(event)
        return frames

    async def flush(self) -> None:
        """Send what the protocol wants to be sent."""
        for data in self.protocol.data_to_send():
            with suppress(*GONE):
                await (self.stream.send_all(data) if data else self.stream.send_eof())

    async def send(self, payload: bytes) -> None:
        self.protocol.send_text(payload)
        await self.flush()

    async def ping(self, payload: bytes) -> None:
        self.protocol.send_ping(payload)
        await self.flush()

    async def close(self, code: int, reason: str = "") -> None:
        self.protocol.send_close(code, reason)
        await self.flush()

    async def closed(self) -> Close | None:
        """Read to the end of the stream; give what the close frame said."""
        while await self.event() is not None:
            pass
        return self.protocol.close_rcvd


@asynccontextmanager
async def serving(
    handler: Callable[[trio.SocketStream], Awaitable[object]],
) -> AsyncIterator[int]:
    """Serve connections on a port, which is given; at the end wait for every handler."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):  # the other side may leave at any time
                await handler(stream)

    async with trio.open_nursery() as handlers, trio.open_nursery() as accepting:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")

        async def accept() -> None:
            async with listener:
                while True:
                    handlers.start_soon(handle, await listener.accept())

        accepting.start_soon(accept)
        yield listener.socket.getsockname()[1]
        accepting.cancel_scope.cancel()


async def cancel_at_every_step(scenario: Callable[[], Awaitable[None]]) -> None:
    """Run the scenario again and again, cancelled one step later each time, until it ends."""
    finished = False
    steps = 0
    while not finished:
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:

                async def cancel_later(steps: int = steps, scope: trio.CancelScope = scope) -> None:
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    scope.cancel()

                nursery.start_soon(cancel_later)
                await scenario()
            finished = not scope.cancelled_caught
            nursery.cancel_scope.cancel()
        steps += 1
    assert steps > 3
