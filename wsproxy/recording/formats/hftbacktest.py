"""The files of hftbacktest's collector: ``1723161255030314667 {"stream":…}``, one message a line.

The number is the local time, ns since 1970, in 19 digits: hftbacktest's converters cut the line
there (nkaz001/hftbacktest: collector/src/file.rs and data/utils/binancefutures.py, 2026-11).
A depth snapshot that the collector fetched by REST stands between the messages, as an object that
begins with ``lastUpdateId`` and no word of where it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from wsproxy.errors import RecordingError
from wsproxy.model import TEXT, Kind, Message
from wsproxy.recording.events import attachment
from wsproxy.recording.formats.base import Bad, Item, Origin, Run, attached, lines, opcode_of, runs

_line = re.compile(rb"(\d{19}) (.+)").fullmatch
_SNAPSHOT = b'{"lastUpdateId":'


class Hftbacktest:
    """Reads one file."""

    def __init__(self, name: str) -> None:
        self._origin = Origin(f"hftbacktest:{name}", name.partition(".")[0])

    def read(self, chunk: bytes, bad: Bad) -> Iterator[Run]:
        """Messages, and attachments where a REST snapshot stands between them."""
        return runs(self._items(chunk, bad))

    def _items(self, chunk: bytes, bad: Bad) -> Iterator[Item]:
        origin = self._origin
        for index, line in enumerate(lines(chunk)):
            found = _line(line)
            if found is None:
                bad(index, "it is not a time of 19 digits, a space and a message")
                continue
            time, payload = int(found[1]), found[2]
            if payload.startswith(_SNAPSHOT):
                body = attachment("", 200, {}, payload, asked_ns=time)
                yield Item(Kind.ATTACHMENT, origin, 1, time, body)
            else:
                yield Item(Kind.MESSAGE, origin, opcode_of(payload), time, payload)


def is_line(line: bytes) -> bool:
    """Whether this is a line of the format."""
    return _line(line) is not None


def write_line(message: Message) -> bytes:
    """The message, or the body of an attachment, as a line; empty for other kinds.

    Raises RecordingError where a line cannot hold it.
    """
    if message.kind == Kind.ATTACHMENT:
        _, payload = attached(message.payload)
    elif message.kind == Kind.MESSAGE:
        payload = message.payload
    else:
        return b""
    if b"\n" in payload or opcode_of(payload) != TEXT or not 10**18 <= message.time < 10**19:
        raise RecordingError(
            f"record {message.seq} does not fit into a line of hftbacktest's: it is no text, has a "
            "line break, or a time outside of 2001 to 2286"
        )
    return b"%d %b\n" % (message.time, payload)
