"""Records in the formats of others: what ``wsproxy export`` writes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from typing import BinaryIO, NamedTuple, cast

import zstandard

from wsproxy.errors import RecordingError
from wsproxy.model import ConnectionInfo, Kind, Message
from wsproxy.recording import ndjson
from wsproxy.recording.formats import hftbacktest, jsonl

_LINES = 1024
"""So many are written at once."""

_Connections = Mapping[int, ConnectionInfo]
_Write = Callable[[Iterable[Message], _Connections, BinaryIO], int]


class Export(NamedTuple):
    """A format: how records are written, which returns how many were."""

    write: _Write
    kinds: frozenset[int] | None = None
    """The kinds of record that it has a place for; None is all."""
    is_binary: bool = False


def _lines(
    line: Callable[[Message, _Connections], bytes],
    messages: Iterable[Message],
    connections: _Connections,
    file: BinaryIO,
) -> int:
    count = 0
    rest = (line(message, connections) for message in messages)
    while some := list(islice(rest, _LINES)):
        file.write(b"".join(some))
        count += len(some)
    return count


def _parquet(messages: Iterable[Message], _connections: _Connections, file: BinaryIO) -> int:
    try:
        from wsproxy.recording.formats import parquet
    except ImportError:
        raise RecordingError("parquet needs pyarrow: pip install 'wsproxy[parquet]'") from None
    return parquet.write(messages, file)


EXPORTS = {
    "parquet": Export(_parquet, is_binary=True),
    "ndjson": Export(partial(_lines, lambda message, _: ndjson.line(message))),
    "hftbacktest": Export(
        partial(_lines, lambda message, _: hftbacktest.write_line(message)),
        frozenset({Kind.MESSAGE, Kind.ATTACHMENT}),
    ),
    "jsonl": Export(
        partial(_lines, jsonl.write_line),
        frozenset({Kind.MESSAGE, Kind.REQUEST, Kind.ATTACHMENT}),
    ),
}


@contextmanager
def compressing(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """What is written to it reaches the file as its name says: ``.gz``, ``.zst``, or as it is."""
    if name.endswith(".gz"):
        # without name and time, equal records make equal files
        with gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
            yield cast(BinaryIO, compressed)
    elif name.endswith(".zst"):
        compressor = zstandard.ZstdCompressor(write_checksum=True)
        with compressor.stream_writer(file, closefd=False) as stream:
            yield cast(BinaryIO, stream)
    else:
        yield file
