"""A second reader of recordings, written from docs/recording-format.md; it knows no wsproxy.

``records(path)`` gives every record of a part that is not damaged, as tuples of sequence number,
wall clock, monotonic clock, kind, connection, venue, streams, opcode and payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any
from zlib import crc32

import cbor2
import zstandard

Record = tuple[int, int, int, int, int, str, list[str], int, bytes]

TYPES = {64: "B", 69: "H", 70: "I", 71: "Q", 78: "i", 79: "q"}


def column(item: Any) -> tuple[int, ...]:
    code = TYPES[item.tag]
    count = len(item.value) // struct.calcsize("<" + code)
    return struct.unpack(f"<{count}{code}", item.value)


def blocks(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """The offset and the body of each BLOCK_HEAD, and its BLOCK; to the end, or to the cut."""
    offset, table = 0, b""
    while len(data) - offset >= 16:
        begin = offset
        magic, size, tag, crc = struct.unpack_from("<II4sI", data, offset)
        if magic == 0x184D2A5E:
            whole, offset = data[offset : offset + 8 + size], offset + 8 + size
            assert offset > len(data) or table == struct.pack("<II", len(whole), crc32(whole))
            continue
        assert magic == 0x184D2A57
        assert crc == crc32(data[offset : offset + 12])
        body, offset = data[offset + 16 : offset + 4 + size], offset + 8 + size
        if offset > len(data):
            return
        assert struct.unpack_from("<I", data, offset - 4)[0] == crc32(body)
        assert begin or (tag, body[:2]) == (b"WSPH", b"\1\0")
        if tag == b"WSPI":
            table = body[:8]
        if tag == b"WSPB":
            length, _, crc = struct.unpack_from("<III", body, 8)
            block, offset = data[offset : offset + length], offset + length
            if offset > len(data):
                return
            assert crc == crc32(block)
            yield begin, body, block


def index(data: bytes) -> dict[str, Any] | None:
    """What the INDEX says, found from the end of the part; None if it was not closed in order."""
    frames, _, magic = struct.unpack_from("<IBI", data, len(data) - 9)
    if magic != 0x8F92EAB1:
        return None
    (size,) = struct.unpack_from("<I", data, len(data) - 17)
    offset = len(data) - (17 + 8 * frames) - size
    assert data[offset + 8 : offset + 12] == b"WSPI"
    fields: dict[str, Any] = cbor2.loads(data[offset + 24 : offset + size - 4])
    return {k: column(v) if isinstance(v, cbor2.CBORTag) else v for k, v in fields.items()}


def records(path: Path) -> Iterator[Record]:
    for _, _, block in blocks(path.read_bytes()):
        fields = cbor2.loads(zstandard.ZstdDecompressor().decompress(block))
        columns = {k: column(v) for k, v in fields.items() if isinstance(v, cbor2.CBORTag)}
        length = columns["length"]
        walls = list(accumulate(columns["time"], initial=fields["wall"]))[1:]
        drifts = columns.get("drift", [0] * len(length))
        skews = list(accumulate(drifts, initial=fields["mono"] - fields["wall"]))[1:]
        ends = list(accumulate(length))
        for i, number in enumerate(columns["connection"]):
            yield (
                fields["seq"] + i,
                walls[i],
                walls[i] + skews[i],
                columns["kind"][i],
                number,
                fields["connections"][number][0] if number else "",
                [fields["streams"][stream][1] for stream in fields["sets"][columns["stream"][i]]],
                columns.get("opcode", [1] * len(length))[i],
                fields["payload"][ends[i] - length[i] : ends[i]],
            )
