"""From batches of records to the bytes of a block: columns, compressed.

Runs in a worker thread. The work per message is done by loops in C (``map``, ``join``); Python
code runs once a batch.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain
from operator import sub
from typing import NamedTuple
from zlib import crc32

import cbor2
import zstandard

from wsproxy.errors import RecordingError
from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind, StreamKey
from wsproxy.recording.columns import pack, signed, unsigned
from wsproxy.recording.frames import MAX_BLOCK_BYTES, BlockHead, Tally

PAYLOAD = b"\x67payload\x5a"
"""The map's last pair up to its length: the key, and a byte string with a length of 32 bits."""

LEVEL = 1
"""On exchange traffic, zstd's level 1 is both faster and smaller than level 3."""


class Encoded(NamedTuple):
    """A BLOCK_HEAD and its BLOCK, ready to be appended to a part."""

    data: bytes
    records: int
    payload_bytes: int


class BlockEncoder:
    """Makes the blocks of one part; numbers the streams in the order in which they first occur.

    ``connections`` has to hold each connection, by number, before a batch of it is encoded.
    """

    def __init__(self, identity: bytes) -> None:
        self.connections = {0: ConnectionInfo(0, "", "")}
        self._mark = identity[:4]
        self._numbers: dict[StreamKey, int] = {}
        self._compressor = zstandard.ZstdCompressor(
            level=LEVEL, write_checksum=True, write_content_size=True
        )

    def encode(self, batches: Sequence[Batch], first_seq: int) -> Encoded:
        """One block of these batches: at least one, none of them empty.

        Raises RecordingError if the block would be larger than the format allows.
        """
        counts = [len(batch.payloads) for batch in batches]
        starts = list(accumulate(counts, initial=0))
        total = starts.pop()
        payloads = list(chain.from_iterable([batch.payloads for batch in batches]))
        lengths = list(map(len, payloads))
        payload_bytes = sum(lengths)
        connections = [batch.connection for batch in batches]
        numbers = sorted(set(connections) - {0})
        tables = _Tables(self._numbers)
        sets = self._sets(batches, counts, tables)
        if len(sets) != total:
            raise ValueError("a batch has more streams than payloads")
        walls = [batch.wall_ns for batch in batches]
        skews = [batch.mono_ns - batch.wall_ns for batch in batches]

        fields: dict[str, object] = {
            "seq": first_seq,
            "wall": walls[0],
            "mono": batches[0].mono_ns,
            "connections": {number: list(self.connections[number][1:]) for number in numbers},
            "streams": {number: list(key) for number, key in tables.streams.items()},
            "sets": tables.sets,
            "kind": pack(_spread([batch.kind for batch in batches], counts)),
            "connection": pack(_spread(connections, counts)),
            "stream": pack(unsigned(sets, len(tables.sets))),
            "time": pack(_changes(walls, starts, total)),
        }
        if skews.count(skews[0]) != len(skews):
            fields["drift"] = pack(_changes(skews, starts, total))
        opcodes = _opcodes(batches, counts)
        if opcodes.count(TEXT) != total:
            fields["opcode"] = pack(array("B", opcodes))
        fields["length"] = pack(unsigned(lengths, max(lengths)))

        content = _with_payload(fields, payloads, payload_bytes)
        block = self._compressor.compress(content)
        head = BlockHead(
            mark=self._mark,
            block_bytes=len(block),
            content_bytes=len(content),
            block_crc=crc32(block),
            payload_bytes=payload_bytes,
            first_seq=first_seq,
            count=total,
            earliest=min(walls),
            latest=max(walls),
            connections=numbers,
            streams=_tallies(batches, starts, sets, lengths, tables),
        )
        return Encoded(head.encode() + block, total, payload_bytes)

    def _sets(self, batches: Sequence[Batch], counts: list[int], tables: _Tables) -> list[int]:
        """For each record, the index of its set of streams."""
        connections = [batch.connection for batch in batches]
        lookups = {
            number: tables.of(self.connections[number].venue).__getitem__
            for number in set(connections)
        }
        named = [
            batch.streams
            if len(batch.streams) == count
            else batch.streams + [()] * (count - len(batch.streams))
            for batch, count in zip(batches, counts, strict=True)
        ]
        of_batch = [lookups[number] for number in connections]
        return list(chain.from_iterable(map(map, of_batch, named)))


class _Tables:
    """The streams that a block names: their definitions, and the sets that its records carry."""

    def __init__(self, numbers: dict[StreamKey, int]) -> None:
        self.numbers = numbers
        self.streams: dict[int, StreamKey] = {}
        self.sets: list[list[int]] = [[]]
        self._by_venue: dict[str, _Index] = {}

    def of(self, venue: str) -> _Index:
        """The index of a set, by the names of its streams at this venue."""
        index = self._by_venue.get(venue)
        if index is None:
            index = self._by_venue[venue] = _Index(venue, self)
        return index


class _Index(dict[tuple[str, ...], int]):
    def __init__(self, venue: str, tables: _Tables) -> None:
        super().__init__({(): 0})
        self._venue = venue
        self._tables = tables

    def __missing__(self, names: tuple[str, ...]) -> int:
        tables = self._tables
        members = []
        for name in names:
            key = StreamKey(self._venue, name)
            number = tables.numbers.setdefault(key, len(tables.numbers) + 1)
            tables.streams[number] = key
            members.append(number)
        index = self[names] = len(tables.sets)
        tables.sets.append(members)
        return index


def _spread(values: list[int], counts: list[int]) -> array[int]:
    """Each batch's value, once for each of its records."""
    narrow = unsigned((), max(values)).typecode
    wide = {value: array(narrow, [value]).tobytes() for value in set(values)}
    column = array(narrow)
    column.frombytes(b"".join([wide[value] * n for value, n in zip(values, counts, strict=True)]))
    return column


def _opcodes(batches: Sequence[Batch], counts: list[int]) -> bytes:
    text = bytes([TEXT])
    opcodes = b"".join(
        [batch.opcodes or text * count for batch, count in zip(batches, counts, strict=True)]
    )
    if len(opcodes) != sum(counts):
        raise ValueError("a batch does not have an opcode for each payload")
    return opcodes


def _changes(values: list[int], starts: list[int], total: int) -> array[int]:
    """How each record's value differs from that of the record before; the first's is 0.

    Within a batch nothing changes.
    """
    changes = [0] * total
    for start, change in zip(starts[1:], map(sub, values[1:], values), strict=True):
        changes[start] = change
    return signed(changes)


def _with_payload(fields: dict[str, object], payloads: list[bytes], payload_bytes: int) -> bytes:
    """The CBOR map of these fields and, as its last pair, the payloads end to end.

    The payload is put behind by hand: cbor2 needs longer to copy it than zstd to compress it.
    """
    columns = bytearray(cbor2.dumps(fields))
    columns[0] += 1  # a map of up to 23 pairs says their number in its first byte
    columns += PAYLOAD + struct.pack(">I", payload_bytes)
    if len(columns) + payload_bytes > MAX_BLOCK_BYTES:
        raise RecordingError(
            f"a block of {len(columns) + payload_bytes} bytes is more than a recording can hold "
            f"({MAX_BLOCK_BYTES})"
        )
    return b"".join((columns, *payloads))


def _tallies(
    batches: Sequence[Batch],
    starts: list[int],
    sets: list[int],
    lengths: list[int],
    tables: _Tables,
) -> dict[int, Tally]:
    """What the block holds of each stream; only messages from the venue count."""
    messages = Counter(sets)
    sizes = [0] * len(tables.sets)
    for index, length in zip(sets, lengths, strict=True):
        sizes[index] += length
    for batch, start in zip(batches, starts, strict=True):
        if batch.kind != Kind.MESSAGE:
            for record in range(start, start + len(batch.streams)):
                messages[sets[record]] -= 1
                sizes[sets[record]] -= lengths[record]
    tallies = dict.fromkeys(tables.streams, Tally(0, 0))
    for index, members in enumerate(tables.sets):
        for number in members:
            so_far = tallies[number]
            tallies[number] = Tally(so_far.messages + messages[index], so_far.size + sizes[index])
    return tallies
