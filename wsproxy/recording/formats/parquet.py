"""Records as a Parquet file. Only this module needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from wsproxy.model import Kind, Message

SCHEMA = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("ns", tz="UTC"), nullable=False),
        pa.field("mono", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("connection", pa.int64(), nullable=False),
        pa.field("venue", pa.string(), nullable=False),
        pa.field("streams", pa.list_(pa.string()), nullable=False),
        pa.field("opcode", pa.uint8(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
"""``kind`` is the word that ``wsproxy cat`` prints, or the number of a kind that is not known."""

_MOST_ROWS = 1 << 16
_MOST_BYTES = 32 << 20
"""Of a row group's payloads: what has to be held in memory at once."""


def write(messages: Iterable[Message], file: BinaryIO) -> int:
    """Write all of them; return how many."""
    count = 0
    with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
        for group in _groups(messages):
            writer.write_table(_table(group))
            count += len(group)
    return count


def _groups(messages: Iterable[Message]) -> Iterator[list[Message]]:
    group: list[Message] = []
    size = 0
    for message in messages:
        group.append(message)
        size += len(message.payload)
        if len(group) == _MOST_ROWS or size >= _MOST_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _table(group: list[Message]) -> pa.Table:
    columns = {
        "seq": [message.seq for message in group],
        "time": [message.time for message in group],
        "mono": [message.mono for message in group],
        "kind": [_word(message.kind) for message in group],
        "connection": [message.connection for message in group],
        "venue": [message.venue for message in group],
        "streams": [message.streams for message in group],
        "opcode": [message.opcode for message in group],
        "payload": [message.payload for message in group],
    }
    return pa.table(columns, schema=SCHEMA)


def _word(kind: Kind | int) -> str:
    return kind.name.lower() if isinstance(kind, Kind) else str(kind)
