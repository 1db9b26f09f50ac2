"""From batches of records to the bytes of a block: columns, compressed.

Runs in a worker thread. The work per message is done by loops in C (``map``, ``join``); Python
code runs once a batch.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, compress, count, repeat
from operator import mul, sub
from typing import NamedTuple
from zlib import crc32

import cbor2
import zstandard

from wsproxy.errors import RecordingError
from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind, StreamKey
from wsproxy.recording.columns import distinct, pack, signed, unsigned
from wsproxy.recording.frames import MAX_BLOCK_BYTES, BlockHead, Tally
from wsproxy.recording.streamtable import EMPTY, StreamTable

STREAMS = b"\x67streams"
SETS = b"\x64sets"
PAYLOAD = b"\x67payload\x5a"
"""Keys of the map. Its last pair is of a byte string with a length of 32 bits."""
_ARRAY, _MAP = 4, 5
"""Major types of CBOR (RFC 8949, section 3.1)."""

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
        self._table = StreamTable()
        self._mark = identity[:4]
        self._busy, self._quiet = (
            zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
            for level in (level, max(level, QUIET_LEVEL))
        )

    @property
    def numbers(self) -> Mapping[StreamKey, int]:
        """The number of each stream so far."""
        return self._table.numbers

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
        indexes, sets = self._sets(batches, connections, counts)
        if len(indexes) != total:
            raise ValueError("a batch has more streams than payloads")
        members = self._table.members(sets) if min(sets) < EMPTY else []
        streams = list(dict.fromkeys(chain.from_iterable(members))) if members else sets[1:]
        starts, walls, skews = _instants(batches, starts)

        kind = _spread(list(bytes([batch.kind for batch in batches])), counts)
        stream = unsigned(indexes, len(sets) - 1)
        before: dict[str, object] = {
            "seq": first_seq,
            "wall": walls[0],
            "mono": batches[0].mono_ns,
            "connections": {number: list(self.connections[number][1:]) for number in numbers},
        }
        columns: dict[str, object] = {
            "kind": pack(kind),
            "connection": pack(_spread(connections, counts)),
            "stream": pack(stream),
            "time": pack(_changes(walls, starts, total)),
        }
        if skews.count(skews[0]) != len(skews):
            columns["drift"] = pack(_changes(skews, starts, total))
        opcodes = _opcodes(batches, counts)
        if opcodes:
            columns["opcode"] = pack(array("B", opcodes))
        columns["length"] = pack(unsigned(lengths, max(lengths)))
        definitions, listed = self._table.defined(streams), self._table.listed(sets)
        content = _content(before, definitions, listed, columns, payloads, payload_bytes)

        kinds = {value: kind.tobytes().count(value) for value in distinct(kind)}
        if kinds.keys() != {Kind.MESSAGE}:
            stream = _of_messages(stream, kind)
        times = _times(starts, walls, total)
        if members:
            stream, lengths, times = _apart(stream, lengths, times, members, streams)
        tallies, spans = _tallies(stream, lengths, times, streams)

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
            streams=tallies,
            has_keyframe=Kind.KEYFRAME in kinds,
        )
        return Encoded(head.encode() + block, head, spans, kinds)

    def _sets(
        self, batches: Sequence[Batch], connections: list[int], counts: list[int]
    ) -> tuple[list[int], list[int]]:
        """For each record, the index of its set of streams; and by index, these sets' numbers."""
        self._table.begin()
        number_of = {
            number: self._table.sets(self.connections[number].venue).__getitem__
            for number in set(connections)
        }
        names = [
            batch.streams
            if len(batch.streams) == count
            else batch.streams + [()] * (count - len(batch.streams))
            for batch, count in zip(batches, counts, strict=True)
        ]
        of_batch = [number_of[number] for number in connections]
        index_of = defaultdict(count(1).__next__, {EMPTY: 0})
        of_records = chain.from_iterable(map(map, of_batch, names))
        return list(map(index_of.__getitem__, of_records)), list(index_of)


def _spread(values: list[int], counts: list[int]) -> array[int]:
    """Each batch's value, once for each of its records."""
    code = unsigned((), max(values)).typecode
    wide = {value: array(code, [value]) for value in set(values)}
    if len(wide) == 1:
        return wide[values[0]] * sum(counts)
    column = array(code)
    column.frombytes(
        b"".join([wide[value].tobytes() * n for value, n in zip(values, counts, strict=True)])
    )
    return column


def _opcodes(batches: Sequence[Batch], counts: list[int]) -> bytes:
    """Each record's; empty where all are text."""
    given = [batch.opcodes for batch in batches]
    if not any(given):
        return b""
    text = bytes([TEXT])
    opcodes = b"".join([one or text * count for one, count in zip(given, counts, strict=True)])
    if len(opcodes) != sum(counts):
        raise ValueError("a batch does not have an opcode for each payload")
    return b"" if opcodes.count(TEXT) == len(opcodes) else opcodes


def _instants(
    batches: Sequence[Batch], starts: list[int]
) -> tuple[list[int], list[int], list[int]]:
    """Where the time changes: which records, their wall clock, and how far mono is from it.

    ``starts`` is the first record of each batch.
    """
    walls = [batch.wall_ns for batch in batches]
    skews = [batch.mono_ns - batch.wall_ns for batch in batches]
    given = [batch.times for batch in batches]
    if not any(given):
        return starts, walls, skews
    each = [times or (wall,) for times, wall in zip(given, walls, strict=True)]
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
    steps = signed([0, *map(sub, values[1:], values)])
    if len(starts) == total:
        return steps
    changes = array(steps.typecode, bytes(total * steps.itemsize))
    for start, change in zip(starts, steps, strict=True):
        changes[start] = change
    return changes


def _times(starts: list[int], walls: list[int], total: int) -> list[int]:
    """The wall clock of each record."""
    if len(starts) == total:
        return walls
    return list(chain.from_iterable(map(repeat, walls, map(sub, (*starts[1:], total), starts))))


def _content(
    before: dict[str, object],
    definitions: list[bytes],
    sets: list[bytes],
    columns: dict[str, object],
    payloads: list[bytes],
    payload_bytes: int,
) -> bytes:
    """The CBOR map of these fields and columns, between them the tables of streams and of sets,
    and as its last pair the payloads end to end.

    What is long is put in by hand: cbor2 needs longer to copy it than zstd to compress it.
    """
    pairs = len(before) + len(columns) + 3  # less than 24, as for all maps here
    parts = [
        _heading(_MAP, pairs),
        cbor2.dumps(before)[1:],
        STREAMS,
        _heading(_MAP, len(definitions)),
        *definitions,
        SETS,
        _heading(_ARRAY, len(sets)),
        *sets,
        cbor2.dumps(columns)[1:],
        PAYLOAD,
        struct.pack(">I", payload_bytes),
    ]
    size = sum(map(len, parts)) + payload_bytes
    if size > MAX_BLOCK_BYTES:
        raise RecordingError(
            f"a block of {size} bytes is more than a recording can hold ({MAX_BLOCK_BYTES})"
        )
    return b"".join(parts + payloads)


def _heading(major: int, items: int) -> bytes:
    """How a CBOR item of this major type with so many items begins."""
    heading = bytearray(cbor2.dumps(items))
    heading[0] |= major << 5
    return bytes(heading)


def _of_messages(stream: array[int], kind: array[int]) -> array[int]:
    """The column of sets, but the empty set where a record is no message from the venue."""
    return array(stream.typecode, map(mul, stream, map(Kind.MESSAGE.__eq__, kind)))


def _apart(
    of_messages: array[int],
    lengths: list[int],
    times: list[int],
    members: Sequence[tuple[int, ...]],
    streams: list[int],
) -> tuple[array[int], list[int], list[int]]:
    """The columns as if each record that names several streams were several, each of one.

    Streams are named by their place in ``streams``, from 1.
    """
    place = {number: index for index, number in enumerate(streams, 1)}
    places = [[place[number] for number in numbers] for numbers in members]
    several = list(map(list(map(len, places)).__getitem__, of_messages))
    return (
        unsigned(list(chain.from_iterable(map(places.__getitem__, of_messages))), len(streams)),
        list(chain.from_iterable(map(repeat, lengths, several))),
        list(chain.from_iterable(map(repeat, times, several))),
    )


def _tallies(
    of_messages: array[int], lengths: list[int], times: list[int], streams: list[int]
) -> tuple[dict[int, Tally], dict[int, tuple[int, int]]]:
    """What the block holds of each stream, and the times of its first and its last message.

    Only messages from the venue count. Streams are named by their place in ``streams``, from 1;
    0 is none.
    """
    room = len(streams) + 1
    messages, sizes, firsts, lasts = [0] * room, [0] * room, [0] * room, [0] * room
    if of_messages.typecode == "B":  # usual, and then a search is much faster than a loop
        for index, length in zip(of_messages, lengths, strict=True):
            sizes[index] += length
        data = of_messages.tobytes()
        messages = list(map(data.count, range(room)))
        for index in compress(range(room), messages):
            firsts[index], lasts[index] = times[data.find(index)], times[data.rfind(index)]
    else:
        for index, length, time in zip(of_messages, lengths, times, strict=True):
            if not messages[index]:
                firsts[index] = time
            messages[index] += 1
            sizes[index] += length
            lasts[index] = time
    del messages[0], sizes[0], firsts[0], lasts[0]
    tallies = dict(zip(streams, map(Tally, messages, sizes), strict=True))
    spans = zip(streams, zip(firsts, lasts, strict=True), strict=True)
    return tallies, dict(compress(spans, messages))
