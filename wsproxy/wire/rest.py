"""Asking a venue over HTTP: one GET at a time, bounded in time and size.

h11 does the protocol. Of the client libraries, httpx needs longer to import (0.3 s) than the rest
of wsproxy, and it and httpcore leave generators behind where an answer is given up half-way.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import h11
import trio
import trio.abc

from wsproxy.model import Instant
from wsproxy.version import __version__
from wsproxy.wire.lane import LOST
from wsproxy.wire.upstream import first_cause

_MOST_BYTES = 48 << 20
"""Of a body, decompressed: a block of a recording holds 64 MiB."""
_MAX_HEAD_BYTES = 64 << 10
_CHUNK_BYTES = 64 << 10
_PATIENCE_SECONDS = 30.0
"""For a whole answer, with the connection if there is none yet."""
_KEPT_SECONDS = 10.0
"""For so long a connection is used again; a venue may close it when it is idle for longer."""
_GZIP = zlib.MAX_WBITS | 16


class NoAnswer(Exception):
    """No whole answer came; ``args[0]`` says why."""


class Answer(NamedTuple):
    """A whole answer; names of headers are in lower case, the body is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    asked: Instant
    """When the request was sent."""
    came: Instant
    """When the answer was complete."""


class _Connection(NamedTuple):
    stream: trio.abc.Stream
    http: h11.Connection


class RestClient:
    """Asks one host; see ``rest_client``."""

    def __init__(self, url: str, ssl_context: ssl.SSLContext, now: Callable[[], Instant]) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._netloc = parts.netloc
        self._prefix = parts.path.rstrip("/")
        self._ssl_context = ssl_context if parts.scheme == "https" else None
        self._port = parts.port or (80 if self._ssl_context is None else 443)
        self._now = now
        self._kept: _Connection | None = None
        self._kept_until = 0.0

    async def get(self, target: str) -> Answer:
        """Ask for a path and query; raises NoAnswer. Redirects are not followed."""
        try:
            with trio.fail_after(_PATIENCE_SECONDS):
                return await self._get(target)
        except trio.TooSlowError:
            raise NoAnswer(f"no whole answer within {_PATIENCE_SECONDS:.0f} s") from None
        except (OSError, UnicodeError, *LOST) as error:
            raise NoAnswer(str(first_cause(error)) or "the connection was lost") from None
        except (h11.RemoteProtocolError, zlib.error) as error:
            raise NoAnswer(f"the answer makes no sense: {error}") from None

    async def aclose(self) -> None:
        """Close the connection, if one is kept."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            await trio.aclose_forcefully(kept.stream)

    async def _get(self, target: str) -> Answer:
        if trio.current_time() > self._kept_until:
            await self.aclose()
        connection = self._kept or _Connection(await self._connect(), _http())
        self._kept = None
        try:
            answer = await self._ask(connection, target)
            if _is_reusable(connection.http):
                connection.http.start_next_cycle()
                self._kept, self._kept_until = connection, trio.current_time() + _KEPT_SECONDS
        finally:
            if self._kept is None:
                await trio.aclose_forcefully(connection.stream)
        return answer

    async def _connect(self) -> trio.abc.Stream:
        if self._ssl_context is None:
            return await trio.open_tcp_stream(self._host, self._port)
        stream = await trio.open_ssl_over_tcp_stream(
            self._host, self._port, ssl_context=self._ssl_context, https_compatible=True
        )
        try:
            await stream.do_handshake()  # else the first request would be said to take longer
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _ask(self, connection: _Connection, target: str) -> Answer:
        stream, http = connection
        headers = [
            ("Host", self._netloc),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", f"wsproxy/{__version__}"),
        ]
        request = h11.Request(method="GET", target=self._prefix + target, headers=headers)
        asked = self._now()
        await stream.send_all((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
        body = _Body()
        response: h11.Response | None = None
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            match event:
                case h11.Response():
                    response = event
                    body = _Body(_headers(response).get("content-encoding", ""))
                case h11.Data():
                    body.add(bytes(event.data))
                case h11.NEED_DATA:
                    http.receive_data(bytes(await stream.receive_some(_CHUNK_BYTES)))
        assert response is not None, "h11 gives the end of an answer behind its head"
        headers_ = _headers(response)
        return Answer(response.status_code, headers_, body.whole(), asked, self._now())


class _Body:
    """Collects a body, decompressing no more than shows that it is too much."""

    def __init__(self, encoding: str = "") -> None:
        if encoding not in ("", "identity", "gzip"):
            raise NoAnswer(f"the answer has the encoding {encoding}")
        self._inflate = zlib.decompressobj(_GZIP) if encoding == "gzip" else None
        self._body = bytearray()

    def add(self, piece: bytes) -> None:
        """Take what comes next; raises NoAnswer or zlib.error."""
        if self._inflate is not None:
            piece = self._inflate.decompress(piece, _MOST_BYTES + 1 - len(self._body))
        self._body += piece
        if len(self._body) > _MOST_BYTES:
            raise NoAnswer(f"the answer has more than {_MOST_BYTES:,} bytes")

    def whole(self) -> bytes:
        """All of it; raises NoAnswer if something is missing."""
        if self._inflate is not None and not self._inflate.eof:
            raise NoAnswer("the answer ends too early")
        return bytes(self._body)


@asynccontextmanager
async def rest_client(
    url: str, ssl_context: ssl.SSLContext, now: Callable[[], Instant]
) -> AsyncIterator[RestClient]:
    """A client of the host with this URL, which may end with the beginning of a path.

    ``now`` gives the times of answers.
    """
    client = RestClient(url, ssl_context, now)
    try:
        yield client
    finally:
        await client.aclose()


def _http() -> h11.Connection:
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)


def _is_reusable(http: h11.Connection) -> bool:
    return http.our_state is http.their_state is h11.DONE and http.trailing_data == (b"", False)


def _headers(response: h11.Response) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in response.headers}
