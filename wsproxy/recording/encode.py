"""From batches of records to the bytes of a block: columns, compressed.

Runs in a worker thread. The work per message is done by loops in C (``map``, ``join``); Python
code runs once a batch.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain, repeat
from operator import mul, sub
from typing import NamedTuple
from zlib import crc32

import cbor2
import zstandard

from wsproxy.errors import RecordingError
from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind, StreamKey
from wsproxy.recording.columns import distinct, pack, signed, unsigned
from wsproxy.recording.frames import MAX_BLOCK_BYTES, BlockHead, Tally

PAYLOAD = b"\x67payload\x5a"
"""The map's last pair up to its length: the key, and a byte string with a length of 32 bits."""

LEVEL = 1
"""On exchange traffic, zstd's level 1 is both faster and smaller than level 3."""

QUIET_LEVEL = 7
"""For blocks of up to ``QUIET_BYTES``, which compress worse: 6 to 10 % smaller at 75 MB/s.

They are what a quiet second leaves, so a few milliseconds for each are not missed.
"""

QUIET_BYTES = 128 << 10


class Encoded(NamedTuple):
    """A BLOCK_HEAD and its BLOCK, ready to be appended to a part, and what the INDEX needs."""

    data: bytes
    head: BlockHead
    spans: dict[int, tuple[int, int]]
    """By stream number, the times of its first and its last message, wall clock, ns."""
    kinds: dict[int, int]
    """How many records of each kind."""


class BlockEncoder:
    """Makes the blocks of one part; numbers the streams in the order in which they first occur.

    ``connections`` has to hold each connection, by number, before a batch of it is encoded.
    """

    def __init__(self, identity: bytes, level: int = LEVEL) -> None:
        self.connections = {0: ConnectionInfo(0, "", "")}
        self.numbers: dict[StreamKey, int] = {}
        """The number of each stream so far."""
        self._mark = identity[:4]
        self._busy, self._quiet = (
            zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
            for level in (level, max(level, QUIET_LEVEL))
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
        tables = _Tables(self.numbers)
        sets = self._sets(batches, counts, tables)
        if len(sets) != total:
            raise ValueError("a batch has more streams than payloads")
        starts, walls, skews = _instants(batches, starts)

        kind = _spread([batch.kind for batch in batches], counts)
        stream = unsigned(sets, len(tables.sets) - 1)
        fields: dict[str, object] = {
            "seq": first_seq,
            "wall": walls[0],
            "mono": batches[0].mono_ns,
            "connections": {number: list(self.connections[number][1:]) for number in numbers},
            "streams": {number: list(key) for number, key in tables.streams.items()},
            "sets": tables.sets,
            "kind": pack(kind),
            "connection": pack(_spread(connections, counts)),
            "stream": pack(stream),
            "time": pack(_changes(walls, starts, total)),
        }
        if skews.count(skews[0]) != len(skews):
            fields["drift"] = pack(_changes(skews, starts, total))
        opcodes = _opcodes(batches, counts)
        if opcodes.count(TEXT) != total:
            fields["opcode"] = pack(array("B", opcodes))
        fields["length"] = pack(unsigned(lengths, max(lengths)))

        kinds = {value: kind.tobytes().count(value) for value in distinct(kind)}
        if kinds.keys() != {Kind.MESSAGE}:
            stream = _of_messages(stream, kind)

        content = _with_payload(fields, payloads, payload_bytes)
        block = (self._quiet if len(content) <= QUIET_BYTES else self._busy).compress(content)
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
            streams=_tallies(stream, lengths, tables),
            has_keyframe=Kind.KEYFRAME in kinds,
        )
        spans = _spans(stream, starts, walls, tables)
        return Encoded(head.encode() + block, head, spans, kinds)

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


def _instants(
    batches: Sequence[Batch], starts: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Where the time changes: which records, their wall clock, and how far mono is from it.

    ``starts`` is the first record of each batch.
    """
    walls = [batch.wall_ns for batch in batches]
    skews = [batch.mono_ns - batch.wall_ns for batch in batches]
    if all(batch.times is None for batch in batches):
        return starts, walls, skews
    each = [batch.times or (batch.wall_ns,) for batch in batches]
    counts = list(map(len, each))
    records = [range(start, start + n) for start, n in zip(starts, counts, strict=True)]
    return (
        list(chain.from_iterable(records)),
        list(chain.from_iterable(each)),
        list(chain.from_iterable(map(repeat, skews, counts))),
    )


def _changes(values: list[int], starts: list[int], total: int) -> array[int]:
    """How each record's value differs from that of the record before; the first's is 0.

    It changes only where ``starts`` says.
    """
    steps = map(sub, values[1:], values)
    if len(starts) == total:
        return signed([0, *steps])
    changes = [0] * total
    for start, change in zip(starts[1:], steps, strict=True):
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


def _of_messages(stream: array[int], kind: array[int]) -> array[int]:
    """The column of sets, but the empty set where a record is no message from the venue."""
    return array(stream.typecode, map(mul, stream, map(Kind.MESSAGE.__eq__, kind)))


def _tallies(of_messages: array[int], lengths: list[int], tables: _Tables) -> dict[int, Tally]:
    """What the block holds of each stream; only messages from the venue count."""
    messages = Counter(of_messages)
    sizes = [0] * len(tables.sets)
    for index, length in zip(of_messages, lengths, strict=True):
        sizes[index] += length
    tallies = dict.fromkeys(tables.streams, Tally(0, 0))
    for index, members in enumerate(tables.sets):
        for number in members:
            so_far = tallies[number]
            tallies[number] = Tally(so_far.messages + messages[index], so_far.size + sizes[index])
    return tallies


def _spans(
    of_messages: array[int], starts: list[int], walls: list[int], tables: _Tables
) -> dict[int, tuple[int, int]]:
    """The times of each stream's first and last message."""
    records: dict[int, tuple[int, int]] = {}
    for index, (first, last) in _ends(of_messages).items():
        for number in tables.sets[index]:
            first_so_far, last_so_far = records.get(number, (first, last))
            records[number] = (min(first_so_far, first), max(last_so_far, last))

    def time(record: int) -> int:
        return walls[bisect_right(starts, record) - 1]

    return {number: (time(first), time(last)) for number, (first, last) in records.items()}


def _ends(column: array[int]) -> dict[int, tuple[int, int]]:
    """Where each value stands for the first and for the last time."""
    if column.typecode == "B":  # usual, and then a search is much faster than a dict
        data = column.tobytes()
        return {value: (data.find(value), data.rfind(value)) for value in set(data)}
    places = range(len(column))
    lasts = dict(zip(column, places, strict=True))
    firsts = dict(zip(reversed(column), reversed(places), strict=True))
    return {value: (firsts[value], last) for value, last in lasts.items()}
