"""JSON lines: ``{"t":…,"conn":…,"dir":…,"m":…}``, one message a line.

``t`` is when it was received, ns since 1970; ``conn`` the connection; ``dir`` says ``in`` (from the
venue), ``out`` (to it) or ``http`` (the body of an HTTP answer, with its ``url``); ``m`` is the
message. Of a binary message ``b64`` has the bytes of the wire, ``enc`` says how they are compressed
(``gzip``, ``deflate-raw``, ``none``), and ``m`` is the text that this gives, if it is any.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from typing import Literal

import msgspec

from wsproxy.model import BINARY, TEXT, ConnectionInfo, Kind, Message
from wsproxy.recording.events import attachment
from wsproxy.recording.formats.base import Bad, Origin, Run, attached, lines

PREFIX = "jsonl:"


class _Row(msgspec.Struct, gc=False, omit_defaults=True, kw_only=True):
    t: int
    conn: str
    dir: Literal["in", "out", "http"]
    url: str | None = None
    m: str
    enc: str | None = None
    b64: str = ""


_decoder = msgspec.json.Decoder(_Row)
_encode = msgspec.json.Encoder().encode
_of_run = attrgetter("conn", "dir", "enc")
_KINDS = {"in": Kind.MESSAGE, "out": Kind.REQUEST, "http": Kind.ATTACHMENT}
_DIRECTIONS: dict[int, Literal["in", "out", "http"]] = {
    Kind.MESSAGE: "in",
    Kind.REQUEST: "out",
    Kind.ATTACHMENT: "http",
}
_BAD = (msgspec.DecodeError, ValueError)


class JsonLines:
    """Reads one file."""

    def __init__(self, name: str) -> None:
        del name  # each line names its connection
        self._origins: dict[str, Origin] = {}

    def read(self, chunk: bytes, bad: Bad) -> Iterator[Run]:
        """The payload is what crossed the wire: ``b64`` of a binary message."""
        rows, wires = _rows(chunk, bad)
        end = 0
        for (conn, direction, enc), group in groupby(rows, _of_run):
            origin = self._origins.get(conn)
            if origin is None:
                origin = self._origins[conn] = Origin(PREFIX + conn, conn)
            run = list(group)
            begin, end = end, end + len(run)
            times, payloads = [row.t for row in run], wires[begin:end]
            if direction == "http":
                bodies = [
                    attachment(row.url or "", 200, {}, body, asked_ns=row.t)
                    for row, body in zip(run, payloads, strict=True)
                ]
                yield Run(Kind.ATTACHMENT, origin, times, bodies)
            else:
                yield Run(_KINDS[direction], origin, times, payloads, BINARY if enc else TEXT)


def _wire(row: _Row) -> bytes:
    return a2b_base64(row.b64, strict_mode=True) if row.enc else row.m.encode()


def _rows(chunk: bytes, bad: Bad) -> tuple[list[_Row], list[bytes]]:
    """The rows and what crossed the wire: all at once if they are good, which is much faster."""
    try:
        rows = _decoder.decode_lines(chunk)
        return rows, list(map(_wire, rows))
    except _BAD:
        good = list(_good_rows(chunk, bad))
        return [row for row, _ in good], [wire for _, wire in good]


def _good_rows(chunk: bytes, bad: Bad) -> Iterator[tuple[_Row, bytes]]:
    for index, line in enumerate(lines(chunk)):
        try:
            row = _decoder.decode(line)
            wire = _wire(row)
        except _BAD as error:
            bad(index, f"it is no message in JSON lines: {error}")
        else:
            yield row, wire


def is_line(line: bytes) -> bool:
    """Whether this is a line of the format."""
    try:
        _decoder.decode(line)
    except _BAD:
        return False
    return True


def write_line(message: Message, connections: Mapping[int, ConnectionInfo]) -> bytes:
    """The record as a line; empty where the format has none for its kind.

    A connection that came from another source is called ``venue-number``.
    """
    direction = _DIRECTIONS.get(message.kind)
    if direction is None:
        return b""
    connection = connections.get(message.connection)
    if connection is not None and connection.url.startswith(PREFIX):
        name = connection.url.removeprefix(PREFIX)
    else:
        name = f"{message.venue}-{message.connection}"
    row = _Row(t=message.time, conn=name, dir=direction, m="")
    if direction == "http":
        row.url, wire = attached(message.payload)
    else:
        wire = message.payload
    text = _text(wire)
    if text is None or (message.opcode == BINARY and direction != "http"):
        row.enc, row.m = _decompressed(wire)
        row.b64 = b64encode(wire).decode()
    else:
        row.m = text
    return _encode(row) + b"\n"


_WBITS = {"gzip": 31, "deflate-raw": -15}


def _decompressed(wire: bytes) -> tuple[str, str]:
    """How the text is compressed, and the text; empty where there is none."""
    for name, wbits in _WBITS.items():
        stream = zlib.decompressobj(wbits)
        with suppress(zlib.error, UnicodeDecodeError):
            text = stream.decompress(wire, _MOST_BYTES).decode()
            if stream.eof and not stream.unused_data:
                return name, text
    return "none", _text(wire) or ""


_MOST_BYTES = 64 << 20


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None
