"""The HTTP side of a listener: read the head of one request, answer what is no WebSocket."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from http.client import responses
from typing import NamedTuple

import h11
import trio
import trio.abc
from wsproto import ConnectionType, WSConnection
from wsproto.events import RejectConnection
from wsproto.utilities import RemoteProtocolError

from wsproxy.wire.lane import discard

UPGRADE_REQUIRED = 426


class Refusal(Exception):
    """A request is not as it should be; carries the HTTP status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Request(NamedTuple):
    """The head of a request, parsed and as it came, and what came behind it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    head: bytes
    behind: bytes

    @property
    def wants_upgrade(self) -> bool:
        """Whether the client asks for a WebSocket."""
        return (self.header("upgrade") or "").lower() == "websocket"

    def check_upgrade(self) -> None:
        """Raise Refusal where the request for a WebSocket is not a good one.

        To be called before trio-websocket (0.12.2) sees it, which would wait for ever.
        """
        try:
            WSConnection(ConnectionType.SERVER).receive_data(self.head)
        except RemoteProtocolError as exc:
            hint = exc.event_hint
            status = hint.status_code if isinstance(hint, RejectConnection) else 400
            raise Refusal(status, f"{exc}.") from None
        except ValueError:  # a header that is not ASCII where it must be
            raise Refusal(400, "A header has characters that are not allowed.") from None

    def header(self, name: str) -> str | None:
        """Give a header's first value by its lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class Answer(NamedTuple):
    """What a request gets: HTTP status, text, and headers beside those of every answer."""

    status: int
    text: str
    headers: tuple[tuple[str, str], ...] = ()


async def upgrade_required(request: Request) -> Answer:
    """Answer any request that asks for no WebSocket."""
    await trio.lowlevel.checkpoint()
    return Answer(UPGRADE_REQUIRED, "Connect to this address with a WebSocket.\n")


class Exchange:
    """Requests and their answers on a stream, which is not closed here."""

    def __init__(self, stream: trio.abc.HalfCloseableStream, max_header_bytes: int) -> None:
        self._stream = stream
        self._max = max_header_bytes
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=max_header_bytes)
        self._method = ""

    async def request(self) -> Request | None:
        """Read the head of the request; None where the client left before it was complete.

        Raises Refusal: 400 for what is not HTTP, 431 for a head of more than ``max_header_bytes``.
        """
        received = bytearray(self._http.trailing_data[0])
        while not isinstance(event := self._next_event(), h11.Request):
            data = await self._receive(self._max + 1 - len(received))
            if not data:
                return None
            received += data
        behind = self._http.trailing_data[0]
        self._method = event.method.decode()
        return Request(
            self._method,
            event.target.decode(),
            [(name.decode(), value.decode("latin-1")) for name, value in event.headers],
            bytes(received[: len(received) - len(behind)]),
            behind,
        )

    async def body(self, most_bytes: int) -> bytes | None:
        """Read the body of the request, behind its head; None where the client left before its end.

        Raises Refusal: 400 for what is not HTTP, 413 for more than ``most_bytes``.
        """
        body = bytearray()
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > most_bytes:
                    raise Refusal(413, f"The body has more than {most_bytes:,} bytes.")
            elif not await self._receive(self._max):
                return None
        return bytes(body)

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as exc:
            raise Refusal(exc.error_status_hint, f"{exc}.") from None

    async def _receive(self, most_bytes: int) -> bytes:
        """Hand on what comes next; nothing where the client has left."""
        try:
            data = bytes(await self._stream.receive_some(most_bytes))
        except trio.BrokenResourceError:
            return b""
        if data:  # h11 would take nothing for the end, and wants nothing behind that
            self._http.receive_data(data)
        return data

    async def answer(
        self,
        status: int,
        text: str,
        headers: Iterable[tuple[str, str]] = (),
        *,
        stays: bool = False,
    ) -> bool:
        """Send a whole answer, and wait until the client has closed; returns False.

        If the client ``stays``, does not itself want to go and sent no body, it returns True at
        once: ``request`` reads what comes next. A client that has left is no error.

        Raises Refusal: 400 for what is not HTTP behind the head of the request.
        """
        stays = stays and isinstance(self._next_event(), h11.EndOfMessage)
        body = text.encode()
        is_json = text.startswith(("{", "["))
        all_headers = [
            ("Content-Type", "application/json" if is_json else "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            *headers,
        ]
        if status == UPGRADE_REQUIRED:
            all_headers += [
                ("Connection", "upgrade, close"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
            ]
        elif not stays:
            all_headers.append(("Connection", "close"))
        http = self._http
        response = h11.Response(
            status_code=status, headers=all_headers, reason=responses.get(status, "").encode()
        )
        data = http.send(response) or b""
        if self._method != "HEAD":
            data += http.send(h11.Data(data=body)) or b""
        http.send(h11.EndOfMessage())
        with suppress(trio.BrokenResourceError):
            await self._stream.send_all(data)
            if stays and http.our_state is h11.DONE:
                http.start_next_cycle()
                return True
            await self._stream.send_eof()
        await discard(self._stream)
        return False
