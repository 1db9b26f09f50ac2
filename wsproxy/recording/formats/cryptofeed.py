"""The raw dumps of cryptofeed's ``AsyncFileCallback``.

::

    configuration: {…}
    wss://host/path <-> 1628952394.891941
    wss://host/path <- 1628952395.1: {"op":"subscribe",…}
    1628952395.799805: {"stream":…}
    https://host/path -> 1628952396.2: {"lastUpdateId":…}

That is a header, a connection attempt, a message sent, a message received, the body of an HTTP
answer. Times are seconds since 1970. Bytes stand as Python writes them, ``b'\\x1f\\x8b…'``
(``cryptofeed/raw_data_collection.py`` of bmoscon/cryptofeed, 2026-11).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from wsproxy.model import BINARY, Kind
from wsproxy.recording import events
from wsproxy.recording.formats.base import Bad, Item, Origin, Run, lines, opcode_of, runs

_received = re.compile(rb"(\d{9,10})(?:\.(\d+))?: (.*)").fullmatch
_other = re.compile(
    rb"((?:wss?|https?)://\S+) (<->|<-|->) (\d{9,10})(?:\.(\d+))?(?:: (.*))?"
).fullmatch
_HEADER = b"configuration: "
_WHY = "the recorder connected anew"
_BAD = (SyntaxError, TypeError, ValueError, MemoryError, RecursionError)
"""What ast.literal_eval raises."""


class Cryptofeed:
    """Reads one file."""

    def __init__(self, name: str) -> None:
        self._stream = name.removesuffix(".gz").removesuffix(".zst")
        self._origin = Origin(f"cryptofeed:{name}", self._stream)
        self._is_open = False
        self._last_ns = 0

    def read(self, chunk: bytes, bad: Bad) -> Iterator[Run]:
        """Messages both ways, HTTP bodies, and where connections began."""
        return runs(self._items(chunk, bad))

    def _items(self, chunk: bytes, bad: Bad) -> Iterator[Item]:
        for index, line in enumerate(lines(chunk)):
            if not line or line.startswith(_HEADER):
                continue
            try:
                if found := _received(line):
                    self._last_ns = _nanoseconds(found[1], found[2])
                    yield self._message(Kind.MESSAGE, found[3])
                elif found := _other(line):
                    url, sign, seconds, fraction, data = found.groups()
                    now_ns = _nanoseconds(seconds, fraction)
                    yield from self._something(url.decode(), sign, now_ns, data or b"")
                    self._last_ns = now_ns
                else:
                    bad(index, "it is no line of cryptofeed's")
            except _BAD as error:
                bad(index, f"it cannot be understood: {error}")

    def _something(self, url: str, sign: bytes, now_ns: int, data: bytes) -> Iterator[Item]:
        if sign == b"<->":
            if self._is_open:
                end = events.closed(1006, _WHY, "network")
                yield Item(Kind.CLOSED, self._origin, 1, now_ns, end)
                gap = events.gap([], _WHY, self._last_ns)
                yield Item(Kind.GAP, self._origin, 1, now_ns, gap)
            self._is_open = True
            self._origin = Origin(url, self._stream)
            yield Item(Kind.OPENED, self._origin, 1, now_ns, events.opened())
        elif sign == b"<-":
            self._last_ns = now_ns
            yield self._message(Kind.REQUEST, data)
        else:
            body = events.attachment(url, 200, {}, _content(data), asked_ns=now_ns)
            yield Item(Kind.ATTACHMENT, self._origin, 1, now_ns, body)

    def _message(self, kind: Kind, data: bytes) -> Item:
        payload = _content(data)
        opcode = opcode_of(payload) if payload is data else BINARY
        return Item(kind, self._origin, opcode, self._last_ns, payload)


def _content(data: bytes) -> bytes:
    """The bytes of what cryptofeed's Python wrote; raises what _BAD names."""
    if not data.startswith((b"b'", b'b"')):
        return data
    value = ast.literal_eval(data.decode())
    if not isinstance(value, bytes):
        raise TypeError("it is no bytes")
    return value


def _nanoseconds(seconds: bytes, fraction: bytes | None) -> int:
    return int(seconds) * 10**9 + int((fraction or b"")[:9].ljust(9, b"0"))


def is_line(line: bytes) -> bool:
    """Whether this is a line of the format."""
    return line.startswith(_HEADER) or bool(_received(line) or _other(line))
