"""Strategies: many WebSocket clients in one background thread, on the ``websockets`` library.

::

    with trading_floor() as floor:
        strategy = floor.strategy(url, subscribe=['{"method":"SUBSCRIBE",...}'])
        strategy.wait_for(100)
        strategy.received            # in order, text as str and binary as bytes

What waits blocks the calling thread: from Trio use ``trio.to_thread.run_sync``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket as socket_module
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

T = TypeVar("T")


class TradingFloor:
    """The thread and asyncio loop that strategies live in."""

    def __init__(self) -> None:
        self.strategies: list[Strategy] = []
        self.changed = threading.Condition()
        self.loop: asyncio.AbstractEventLoop
        self._closing: asyncio.Event

    def strategy(
        self,
        url: str,
        subscribe: Sequence[str] = (),
        *,
        tls: ssl.SSLContext | None = None,
        headers: dict[str, str] | None = None,
        receive_buffer: int | None = None,
    ) -> Strategy:
        """Start a client; it connects in the background and sends ``subscribe`` at once.

        ``receive_buffer`` (bytes) makes the kernel take little on behalf of a slow client.
        """
        strategy = Strategy(self, url, subscribe, tls, headers or {}, receive_buffer)
        self.strategies.append(strategy)
        strategy.start()
        return strategy

    async def run(self, started: Callable[[None], None]) -> None:
        """Host the strategies until ``stop``."""
        self.loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        started(None)
        await self._closing.wait()
        for strategy in self.strategies:
            strategy.cut()

    def stop(self) -> None:
        """Cut every connection."""
        self.loop.call_soon_threadsafe(self._closing.set)


class Strategy:
    """One client. Made by ``TradingFloor.strategy``."""

    def __init__(
        self,
        floor: TradingFloor,
        url: str,
        subscribe: Sequence[str],
        tls: ssl.SSLContext | None,
        headers: dict[str, str],
        receive_buffer: int | None,
    ) -> None:
        self.url = url
        self.received: list[str | bytes] = []
        """Every message, in order; it only grows."""
        self.pings: list[bytes] = []
        """The payload of every ping from the server."""
        self.refused: int | None = None
        """The HTTP status, if the handshake was refused."""
        self.failed: Exception | None = None
        """Why there is no connection, if not for an HTTP status."""
        self.closed: tuple[int, str] | None = None
        """Close code and reason at the end; 1006 without a close frame."""
        self._floor = floor
        self._subscribe = subscribe
        self._tls = tls
        self._headers = headers
        self._receive_buffer = receive_buffer
        self._socket: ClientConnection | None = None
        self.transport: asyncio.Transport | None = None
        self._life: Future[None]
        self._wanted = 0
        self._pieces: list[bytes] = []
        self._is_text = True

    def start(self) -> None:
        """Connect in the background."""
        self._life = asyncio.run_coroutine_threadsafe(self._live(), self._floor.loop)

    # --- waiting; raises TimeoutError ---

    def wait_open(self, timeout: float = 10) -> None:
        """Wait until connected, and everything in ``subscribe`` was sent.

        Raises ConnectionError if the handshake fails.
        """
        self._wait(lambda: self._socket is not None or self._over(), timeout, "open")
        if self._socket is None:
            raise ConnectionError(f"{self.url}: {self.refused or self.failed}")

    def wait_for(self, count: int, timeout: float = 10) -> list[str | bytes]:
        """Wait until so many messages came, and give them.

        One waiter at a time. Raises ConnectionError if the connection ends before.
        """
        self._wanted = count
        self._wait(lambda: len(self.received) >= count or self._over(), timeout, f"get {count}")
        if len(self.received) < count:
            end = self.closed or self.refused or self.failed
            raise ConnectionError(f"only {len(self.received)} of {count} messages: {end}")
        return self.received[:count]

    def wait_closed(self, timeout: float = 10) -> tuple[int, str]:
        """Wait for the end, and give its code and reason.

        Raises ConnectionError if there never was a connection.
        """
        self._wait(self._over, timeout, "end")
        if self.closed is None:
            raise ConnectionError(f"{self.url}: {self.refused or self.failed}")
        return self.closed

    # --- acting ---

    def send(self, message: str | bytes) -> None:
        """Send a text or binary message."""
        self._act(self._connection().send(message))

    def send_bytes(self, data: bytes) -> None:
        """Write bytes to the TCP connection that need not be a WebSocket frame."""
        self._call(lambda: self._connection().transport.write(data))

    def ping(self, payload: bytes = b"", timeout: float = 10) -> None:
        """Send a ping and wait for its pong."""

        async def round_trip() -> None:
            await asyncio.wait_for(await self._connection().ping(payload), timeout)

        self._act(round_trip(), timeout + 1)

    def pong(self, payload: bytes = b"") -> None:
        """Send a pong that answers nothing."""
        self._act(self._connection().pong(payload))

    def pause(self) -> None:
        """Stop reading from the socket, as a client does that is too slow."""
        self._call(self._connection().transport.pause_reading)

    def resume(self) -> None:
        """Read on."""
        self._call(self._connection().transport.resume_reading)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake, and do not wait for its end."""

        socket = self._connection()

        async def close() -> None:
            with contextlib.suppress(ConnectionClosed):
                await socket.close(code, reason)

        asyncio.run_coroutine_threadsafe(close(), self._floor.loop)

    def abort(self) -> None:
        """Cut the TCP connection without a close frame."""
        self._call(self.cut)

    # --- in the floor's thread ---

    def cut(self) -> None:
        """As ``abort``; also ends a connection attempt."""
        if self.transport is not None:  # the library may leave it open where it is cancelled
            self.transport.abort()
        if self._socket is None:
            self._life.cancel()

    async def _live(self) -> None:
        class Socket(_Socket):
            strategy = self

        try:
            socket = await connect(
                self.url,
                ssl=self._tls,
                create_connection=Socket,
                additional_headers=self._headers,
                compression=None,
                max_size=1 << 28,
                ping_interval=None,
                close_timeout=2,
                open_timeout=10,
                proxy=None,
            )
        except InvalidStatus as refusal:
            self.refused = refusal.response.status_code
        except Exception as error:
            self.failed = error
        else:
            await self._trade(socket)
        self._notify()

    async def _trade(self, socket: ClientConnection) -> None:
        if self._receive_buffer:
            raw = socket.transport.get_extra_info("socket")
            raw.setsockopt(socket_module.SOL_SOCKET, socket_module.SO_RCVBUF, self._receive_buffer)
        with contextlib.suppress(ConnectionClosed):
            for message in self._subscribe:
                await socket.send(message)
        self._socket = socket
        self._notify()
        await socket.wait_closed()
        self.closed = (socket.close_code or 1006, socket.close_reason or "")

    def take(self, frame: Frame) -> None:
        """Collect a data frame."""
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._pieces.append(bytes(frame.data))
        if frame.fin:
            data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces.clear()
            # A server that sends broken UTF-8 as text is caught by comparing, not here.
            self.received.append(data.decode(errors="surrogateescape") if self._is_text else data)
            if len(self.received) == self._wanted:
                self._notify()

    def _over(self) -> bool:
        return self.closed is not None or self.refused is not None or self.failed is not None

    def _connection(self) -> ClientConnection:
        if self._socket is None:
            raise ConnectionError(f"{self.url}: not open")
        return self._socket

    def _notify(self) -> None:
        with self._floor.changed:
            self._floor.changed.notify_all()

    def _wait(self, predicate: Callable[[], bool], timeout: float, what: str) -> None:
        with self._floor.changed:
            if not self._floor.changed.wait_for(predicate, timeout):
                raise TimeoutError(f"{self.url} did not {what} in {timeout} s")

    def _act(self, work: Coroutine[Any, Any, T], timeout: float = 10) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._floor.loop).result(timeout)

    def _call(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            return action()

        return self._act(act())


class _Socket(ClientConnection):
    """A connection that hands messages over at once: 50 clients must be cheap."""

    strategy: Strategy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self.strategy.transport = transport

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode in _DATA:
            self.strategy.take(event)
            return
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.strategy.pings.append(bytes(event.data))
        super().process_event(event)


_DATA = {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}


@contextlib.contextmanager
def trading_floor() -> Iterator[TradingFloor]:
    """A place for strategies; at the end their connections are cut."""
    floor = TradingFloor()
    started: Future[None] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(floor.run(started.set_result)), name="floor", daemon=True
    )
    thread.start()
    started.result(10)
    try:
        yield floor
    finally:
        floor.stop()
        thread.join(10)
