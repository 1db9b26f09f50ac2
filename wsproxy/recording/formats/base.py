"""What the formats of other recorders have in common: lines, each with a time and a message."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple, Protocol

from wsproxy.errors import RecordingError
from wsproxy.model import BINARY, TEXT, Kind
from wsproxy.recording.events import read_event


class Origin:
    """A connection, as far as a file tells of it. Each object is a connection of its own."""

    __slots__ = ("stream", "url")

    def __init__(self, url: str, stream: str) -> None:
        self.url = url
        """The address, or ``format:name`` where the file does not say it."""
        self.stream = stream
        """The name for messages whose streams nobody knows."""


class Run(NamedTuple):
    """Records of one kind and connection that follow each other, each with its time."""

    kind: Kind
    origin: Origin
    times: Sequence[int]
    """Wall clock, ns."""
    payloads: list[bytes]
    opcode: int = TEXT


Bad = Callable[[int, str], None]
"""Is told of a line that cannot be understood: which line of the chunk, from 0, and why.

May raise; otherwise the line is passed over.
"""


class Format(Protocol):
    """Reads one file, chunk by chunk; each is whole lines."""

    def read(self, chunk: bytes, bad: Bad) -> Iterator[Run]:
        """The records of these lines, in order."""


class Item(NamedTuple):
    """One record of a line."""

    kind: Kind
    origin: Origin
    opcode: int
    time: int
    payload: bytes


def runs(items: Iterable[Item]) -> Iterator[Run]:
    """The records of equal kind, connection and opcode, together."""
    for (kind, origin, opcode), group in groupby(items, itemgetter(0, 1, 2)):
        members = list(group)
        times = [item[3] for item in members]
        yield Run(kind, origin, times, [item[4] for item in members], opcode)


def lines(chunk: bytes) -> list[bytes]:
    """Its lines, without line ends."""
    found = chunk.split(b"\n")
    if not found[-1]:
        del found[-1]
    return found


def opcode_of(payload: bytes) -> int:
    """That of a text message if it can be one."""
    if payload.isascii():
        return TEXT
    try:
        payload.decode()
    except UnicodeDecodeError:
        return BINARY
    return TEXT


def attached(payload: bytes) -> tuple[str, bytes]:
    """URL and body of an ATTACHMENT; raises RecordingError if it has none."""
    event = read_event(payload)
    url, body = event.get("url"), event.get("body")
    if not isinstance(url, str) or not isinstance(body, bytes):
        raise RecordingError("an attachment has no url or no body")
    return url, body
