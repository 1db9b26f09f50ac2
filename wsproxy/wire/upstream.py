"""The client's role: one connection to a venue."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import NamedTuple, cast
from urllib.parse import quote, urlsplit

import h11
import trio
import trio.abc
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from wsproxy.errors import ConnectionEnded, HandshakeRefused
from wsproxy.model import BINARY, TEXT
from wsproxy.wire.frames import Split
from wsproxy.wire.lane import GOODBYE_SECONDS, LOST, RECEIVE_BYTES, Lane, background

OnMessages = Callable[[Split], None]
"""Called with what each chunk held, if that is a message at least."""

OnFrameSent = Callable[[bool], None]
"""Called for each frame that went out, with whether it was a control frame."""

_FEW = 16
"""Messages; for so few, a clock that costs no system call will do."""
_BRIEF_NS = 1_000_000
_TURNS = 6
"""Behind a chunk that took longer than that: a handshake needs a dozen turns, an answer four."""
_LONG_NS = 12_000_000
_LEAST_RECEIVE_BYTES = 16 * 1024
_CONTROL = 0x08  # the bit of the opcode that control frames have
_MAX_HEAD_BYTES = 64 * 1024
_SECOND_NS = 1_000_000_000
_MOST_RETRY_SECONDS = 7 * 24 * 3600
"""More than any venue's ban: what is longer is a mistake of whoever wrote it."""


class UpstreamLane(Lane[trio.abc.Stream]):
    """Messages of the venue leave through ``on_messages``, none before ``opened`` is set.

    ``on_frame_sent`` is called for each frame that went out: venues count pongs and pings like
    requests. ``answered`` says that a status 101 came.
    """

    def __init__(
        self,
        transport: trio.abc.Stream,
        on_messages: OnMessages,
        on_frame_sent: OnFrameSent,
        max_message_bytes: int,
    ) -> None:
        super().__init__(transport, max_message_bytes, peer_masks=False)
        self._on_messages = on_messages
        self._on_frame_sent = on_frame_sent
        self.answered = False
        self.opened = trio.Event()

    async def deliver(self, split: Split) -> None:
        """Hand on complete messages; where that takes long, others have several turns behind it."""
        clock = time.monotonic_ns if len(split.payloads) < _FEW else time.thread_time_ns
        began_ns = clock()
        self._on_messages(split)
        took_ns = clock() - began_ns
        self._receive_bytes = fitting(self._receive_bytes, took_ns)
        if took_ns > _BRIEF_NS:
            for _ in range(_TURNS):
                await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Give the handshake's response alone, then control frames.

        What came behind the response in the same read is kept: trio-websocket mishandles errors
        in frames that come with it. Raises HandshakeRefused for anything but status 101.
        """
        if self.answered:
            await self.opened.wait()
            return await super().receive_some(max_bytes)
        head = await self._read_response()
        self.answered = True
        return head

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send the handshake's request, then a frame a call."""
        is_frame = self.answered
        try:
            await self._transport.send_all(data)
        except LOST:
            self.end(1006, "no close frame came", "network")
            raise
        if is_frame:
            self._on_frame_sent(bool(data[0] & _CONTROL))

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the transport takes more."""
        await self._transport.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the transport."""
        self.finish()
        await self._transport.aclose()

    async def _read_response(self) -> bytes:
        received = bytearray()
        http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        # What the request says does not matter, but h11 must know that it asked for an upgrade.
        asked = [("Host", ""), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
        http.send(h11.Request(method="GET", target="/", headers=asked))
        http.send(h11.EndOfMessage())
        while True:
            try:
                event = http.next_event()
            except h11.RemoteProtocolError as exc:
                raise HandshakeRefused(0, f"the answer is not HTTP: {exc}") from None
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                break
            if isinstance(event, h11.Response | h11.InformationalResponse):
                raise _refused(event)
            try:
                data = await self._transport.receive_some(_MAX_HEAD_BYTES)
            except LOST:
                data = b""
            if not data:
                raise HandshakeRefused(0, "the connection was closed during the handshake")
            received += data
            http.receive_data(bytes(data))
        self._kept = http.trailing_data[0]
        return bytes(received[: len(received) - len(self._kept)])


def fitting(receive_bytes: int, took_ns: int) -> int:
    """How much to read next, when so much took so long (CPU time) to hand on.

    With hundreds of clients a chunk becomes tens of megabytes, and nobody else has a turn before
    they are written.
    """
    if took_ns > _LONG_NS:
        return max(receive_bytes // 2, _LEAST_RECEIVE_BYTES)
    if took_ns < _LONG_NS // 4:
        return min(receive_bytes * 2, RECEIVE_BYTES)
    return receive_bytes


def _refused(response: h11.Response | h11.InformationalResponse) -> HandshakeRefused:
    phrase = response.reason.decode("latin-1")
    sentence = f"the handshake was refused with HTTP {response.status_code} {phrase}".rstrip()
    headers = {name.decode(): value.decode("latin-1") for name, value in response.headers}
    if "retry-after" in headers:
        sentence += f", retry after {headers['retry-after']}"
    after_ns = retry_after_ns(headers.get("retry-after", ""), headers.get("date", ""))
    return HandshakeRefused(response.status_code, sentence, after_ns)


def retry_after_ns(retry_after: str, date: str) -> int | None:
    """How long to wait by these headers (RFC 9110, section 10.2.3); None where they do not say.

    ``Retry-After`` holds seconds or a date. A date is compared with that of the response, if it
    has one, because the two clocks may differ.
    """
    if retry_after.isascii() and retry_after.isdigit():
        return min(int(retry_after[:9]), _MOST_RETRY_SECONDS) * _SECOND_NS
    try:
        then = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return None
    try:
        now = parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        now = time.time()
    return max(0, min(round(then - now), _MOST_RETRY_SECONDS)) * _SECOND_NS


class Upstream:
    """An open connection to a venue."""

    def __init__(self, websocket: WebSocketConnection, lane: UpstreamLane) -> None:
        self._websocket = websocket
        self._lane = lane

    @property
    def heard_ns(self) -> int:
        """Monotonic time, ns, at which anything last came from the venue."""
        return self._lane.heard_ns

    async def send(self, payload: bytes, opcode: int = TEXT) -> None:
        """Send one message. Raises ConnectionEnded."""
        try:
            await self._websocket.send_message(payload if opcode == BINARY else payload.decode())
        except ConnectionClosed:
            raise self._lane.how_it_ended() from None

    async def wait_closed(self) -> ConnectionEnded:
        """Wait until the connection has ended, and give (not raise) how."""
        await self._lane.ended.wait()
        return self._lane.how_it_ended()

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close with this code, and wait for the venue's answer; no error if it has ended."""
        self._lane.begin_close(code, reason)
        await self._websocket.aclose(code, reason)


class _Address(NamedTuple):
    host: str
    port: int
    host_header: str
    target: str
    is_tls: bool

    def __str__(self) -> str:
        """What a person may see: paths and queries can hold secrets."""
        return f"{self.host} port {self.port}"


def _address(url: str) -> _Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise HandshakeRefused(0, f"the address is not valid: {exc}") from None
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise HandshakeRefused(0, "the address does not begin with ws://HOST or wss://HOST")
    is_tls = parts.scheme == "wss"
    usual = 443 if is_tls else 80
    host = parts.hostname
    name = f"[{host}]" if ":" in host else host
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    host_header = name if port in (None, usual) else f"{name}:{port}"
    return _Address(host, port or usual, host_header, target, is_tls)


@asynccontextmanager
async def open_upstream(
    url: str,
    *,
    on_messages: OnMessages,
    on_frame_sent: OnFrameSent,
    max_message_bytes: int,
    ssl_context: ssl.SSLContext | None = None,
    headers: Sequence[tuple[str, str]] = (),
) -> AsyncIterator[Upstream]:
    """Connect to a venue; say goodbye and close when the block is left.

    ``on_messages`` and ``on_frame_sent`` are called synchronously; the first message comes after
    the block's first await. ``wss:`` uses ``ssl_context``, or one with the system's authorities.
    The caller bounds the time.

    Raises HandshakeRefused: with the HTTP status, or 0 where there was no answer in HTTP.
    """
    address = _address(url)
    upstream = None
    transport = await _connect(address)
    try:
        if address.is_tls:
            transport = await _encrypt(transport, address, ssl_context)
        lane = UpstreamLane(transport, on_messages, on_frame_sent, max_message_bytes)
        async with background() as tasks:
            websocket = await wrap_client_stream(
                lane.reader_in(tasks),
                # Documented to take any stream; only the annotation is narrower.
                stream=cast("trio.SocketStream", lane),
                host=address.host_header,
                resource=address.target,
                extra_headers=[(name.encode(), value.encode()) for name, value in headers],
            )
            upstream = Upstream(websocket, lane)
            lane.opened.set()
            try:
                yield upstream
            finally:
                if not lane.gone.is_set():
                    with trio.move_on_after(GOODBYE_SECONDS, shield=True):
                        await upstream.aclose()
                        await lane.gone.wait()
    except ExceptionGroup as group:
        cause = first_cause(group)
        if upstream is not None:
            raise
        if isinstance(cause, HandshakeRefused):
            why = f"{address}: {cause}"
            raise HandshakeRefused(cause.status, why, cause.retry_after_ns) from None
        if lane.answered:
            why = f"{address}: the answer is no valid WebSocket handshake"
            raise HandshakeRefused(101, why) from group
        raise
    finally:
        await trio.aclose_forcefully(transport)


async def _connect(address: _Address) -> trio.abc.Stream:
    try:
        return await trio.open_tcp_stream(address.host, address.port)  # sets TCP_NODELAY
    except (OSError, UnicodeError) as exc:
        why = _spoken(first_cause(exc))
        raise HandshakeRefused(0, f"cannot connect to {address}: {why}") from None


def _spoken(error: BaseException) -> str:
    """What the system says, without numbers and addresses."""
    if not isinstance(error, OSError) or not error.errno:
        return str(error)
    if error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)  # of the name service, whose numbers are negative


async def _encrypt(
    transport: trio.abc.Stream, address: _Address, context: ssl.SSLContext | None
) -> trio.abc.Stream:
    stream = trio.SSLStream(
        transport,
        context or ssl.create_default_context(),
        server_hostname=address.host,
        https_compatible=True,
    )
    try:
        await stream.do_handshake()
    except trio.BrokenResourceError as exc:
        raise HandshakeRefused(0, f"TLS with {address} failed: {first_cause(exc)}") from None
    return stream


def first_cause(exc: BaseException) -> BaseException:
    """Give the first error of all, which says most."""
    while True:
        if isinstance(exc, BaseExceptionGroup):
            exc = exc.exceptions[0]
        elif exc.__cause__ is not None:
            exc = exc.__cause__
        else:
            return exc
