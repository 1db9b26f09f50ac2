"""From the bytes of a block to its records. The counterpart of ``encode``.

As there, the work per message is done by loops in C (``map``, ``zip``, ``compress``).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate, compress, count, islice, pairwise, repeat, starmap
from operator import add, ne
from typing import TypeVar
from zlib import crc32

import cbor2
import zstandard

from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind, Message, Run, StreamKey
from wsproxy.recording.columns import BYTES, SIGNED, distinct, is_constant, unpack
from wsproxy.recording.encode import PAYLOAD
from wsproxy.recording.frames import BlockHead

_T = TypeVar("_T")
_KNOWN = {kind.value: kind for kind in Kind}
_KINDS: list[Kind | int] = [_KNOWN.get(value, value) for value in range(256)]
_NO_PAYLOAD = PAYLOAD[:-1] + b"\x40"

NOT_AS_SPECIFIED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    cbor2.CBORDecodeError,
    zstandard.ZstdError,
)
"""What decoding raises where intact bytes do not hold what the format demands."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which records are wanted; ``None`` wants all. ``start`` ≤ time < ``end``, wall clock, ns."""

    kinds: frozenset[int] | None = None
    streams: frozenset[StreamKey] | None = None
    start: int | None = None
    end: int | None = None
    connections: frozenset[int] | None = None

    def overlaps(self, head: BlockHead) -> bool:
        """Whether the block has records of the wanted time."""
        return (self.start is None or self.start <= head.latest) and (
            self.end is None or head.earliest < self.end
        )


class Block:
    """The records of one block, still as columns."""

    def __init__(self, head: BlockHead, data: bytes) -> None:
        """Decompress and check a BLOCK; raises one of NOT_AS_SPECIFIED if it is not good."""
        if crc32(data) != head.block_crc:
            raise ValueError("the block's checksum does not match")
        if zstandard.frame_content_size(data) != head.content_bytes:
            raise ValueError("the block does not decompress to the size that its head states")
        content = _decompress(data)
        base = len(content) - head.payload_bytes
        opening = PAYLOAD + struct.pack(">I", head.payload_bytes)
        if content[base - len(opening) : base] != opening:
            raise ValueError("the payload does not stand at the block's end")
        fields = cbor2.loads(content[: base - len(opening)] + _NO_PAYLOAD)

        self.head = head
        self.connections: Mapping[int, ConnectionInfo] = {
            number: ConnectionInfo(number, _text(venue), _text(url))
            for number, (venue, url) in fields["connections"].items()
        }
        self.streams: Mapping[int, StreamKey] = {
            number: StreamKey(_text(venue), _text(name))
            for number, (venue, name) in fields["streams"].items()
        }
        self.sets: list[list[int]] = fields["sets"]
        self._names = [
            tuple([self.streams[number].name for number in members]) for members in self.sets
        ]
        self.content = content
        self.payload_at = base
        self.kind = unpack(fields["kind"], BYTES)
        self.connection = unpack(fields["connection"])
        self.stream = unpack(fields["stream"])
        self.wall = _number(fields["wall"])
        self.mono = _number(fields["mono"])
        self.time = unpack(fields["time"], SIGNED)
        self.drift = unpack(fields["drift"], SIGNED) if "drift" in fields else None
        self.opcode = unpack(fields["opcode"], BYTES) if "opcode" in fields else None
        self.length = unpack(fields["length"])
        self._check(fields["seq"])

    def _check(self, seq: object) -> None:
        columns = (
            self.kind,
            self.connection,
            self.stream,
            self.time,
            self.drift,
            self.opcode,
            self.length,
        )
        n = self.head.count
        if any(len(c) != n for c in columns if c is not None) or seq != self.head.first_seq:
            raise ValueError("the block and its head disagree")
        if sum(self.length) != self.head.payload_bytes:
            raise ValueError("the payloads are not as long as their lengths say")
        sets, connections = distinct(self.stream), distinct(self.connection)
        if not sets <= {*range(len(self.sets))} or not connections <= {0, *self.connections}:
            raise ValueError("a record names a stream or connection that is not defined")

    def renumber(self, shift: int) -> None:
        """Raise the number of each connection by so much; 0 stays none."""
        self.connections = {i.number: i for i in renumbered(self.connections.values(), shift)}
        self.connection = array("Q", [number and number + shift for number in self.connection])

    def messages(self, selection: Selection) -> Iterator[Message]:
        """The records that are wanted, in order."""
        chosen = self.chosen(selection)

        def pick(column: Iterable[_T]) -> Iterable[_T]:
            return column if chosen is None else compress(column, chosen)

        def entries(table: Mapping[int, _T] | Sequence[_T], column: array[int]) -> Iterable[_T]:
            if is_constant(column):
                return repeat(table[column[0]])
            return map(table.__getitem__, pick(column))

        seq = self.head.first_seq
        venues = {0: ""} | {number: info.venue for number, info in self.connections.items()}
        rows = zip(
            pick(range(seq, seq + self.head.count)),
            pick(self._walls()),
            pick(self._monos()),
            entries(_KINDS, self.kind),
            repeat(self.connection[0]) if is_constant(self.connection) else pick(self.connection),
            entries(venues, self.connection),
            entries(self._names, self.stream),
            repeat(TEXT) if self.opcode is None else pick(self.opcode),
            pick(self._payloads()),
            strict=False,
        )
        return starmap(Message, rows)

    def _walls(self) -> Iterator[int]:
        return _sums(self.time, self.wall)

    def _monos(self) -> Iterator[int]:
        changes = self.time if self.drift is None else map(add, self.time, self.drift)
        return _sums(changes, self.mono)

    def _payloads(self) -> Iterator[bytes]:
        """Each record's payload: read from the content like a file, which is faster than slices."""
        content = BytesIO(self.content)
        content.seek(self.payload_at)
        return map(content.read, self.length)

    def chosen(self, selection: Selection) -> list[bool] | None:
        """For each record whether it is wanted; None if all are."""
        tests: list[Iterable[bool]] = []
        if selection.kinds is not None and not distinct(self.kind) <= selection.kinds:
            tests.append(map(selection.kinds.__contains__, self.kind))
        if selection.streams is not None:
            wanted = selection.streams
            numbers = {number for number, key in self.streams.items() if key in wanted}
            of_set = [not numbers.isdisjoint(members) for members in self.sets]
            tests.append(map(of_set.__getitem__, self.stream))
        if selection.connections is not None:
            tests.append(map(selection.connections.__contains__, self.connection))
        if selection.start is not None and self.head.earliest < selection.start:
            tests.append(map(selection.start.__le__, self._walls()))
        if selection.end is not None and self.head.latest >= selection.end:
            tests.append(map(selection.end.__gt__, self._walls()))
        return list(map(all, zip(*tests, strict=True))) if tests else None

    def batches(self, selection: Selection) -> Iterator[Batch]:
        """The runs of one kind, connection and time; of the selection, only the times count."""
        keys = list(zip(self.kind, self.connection, self._walls(), self._monos(), strict=True))
        payloads = self._payloads()
        for start, end in _stretches(keys):
            kind, connection, wall, mono = keys[start]
            run = list(islice(payloads, end - start))
            known = _KNOWN.get(kind)
            if (
                known is None
                or (selection.start is not None and wall < selection.start)
                or (selection.end is not None and wall >= selection.end)
            ):
                continue
            yield Batch(
                known,
                connection,
                wall,
                mono,
                run,
                None if self.opcode is None else self.opcode[start:end].tobytes(),
                list(map(self._names.__getitem__, self.stream[start:end])),
            )

    def runs(self, selection: Selection) -> Iterator[Run]:
        """The runs of one venue and one known kind; of the selection, only the times count."""
        chosen = self.chosen(Selection(start=selection.start, end=selection.end))

        def pick(column: Iterable[_T]) -> list[_T]:
            return list(column if chosen is None else compress(column, chosen))

        kinds, connections, streams = pick(self.kind), pick(self.connection), pick(self.stream)
        walls, monos, payloads = pick(self._walls()), pick(self._monos()), pick(self._payloads())
        names = list(map(self._names.__getitem__, streams))
        venues = {0: ""} | {number: info.venue for number, info in self.connections.items()}
        for start, end in _stretches(list(zip(kinds, map(venues.get, connections), strict=True))):
            kind = _KNOWN.get(kinds[start])
            if kind is not None:
                here = slice(start, end)
                yield Run(
                    kind, connections[here], walls[here], monos[here], payloads[here], names[here]
                )

    def spans(self) -> dict[int, tuple[int, int]]:
        """The times of the first and the last message of each stream that has one."""
        spans: dict[int, tuple[int, int]] = {}
        for kind, index, time in zip(self.kind, self.stream, self._walls(), strict=True):
            if kind == Kind.MESSAGE:
                for number in self.sets[index]:
                    spans[number] = (spans.get(number, (time, time))[0], time)
        return spans


def renumbered(connections: Iterable[ConnectionInfo], shift: int) -> list[ConnectionInfo]:
    """These connections, with numbers that are larger by so much."""
    return [info._replace(number=info.number + shift) for info in connections]


def _stretches(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Where a key begins to repeat, and where it ends."""
    changes = compress(count(1), map(ne, keys, islice(keys, 1, None)))
    return pairwise([*([0] if keys else []), *changes, len(keys)])


def _sums(changes: Iterable[int], start: int) -> Iterator[int]:
    sums = accumulate(changes, initial=start)
    next(sums)
    return sums


_idle: list[zstandard.ZstdDecompressor] = []
"""They are dear to make, and each serves one thread at a time."""


def _decompress(data: bytes) -> bytes:
    try:
        decompressor = _idle.pop()
    except IndexError:
        decompressor = zstandard.ZstdDecompressor()
    content = decompressor.decompress(data, allow_extra_data=False)
    _idle.append(decompressor)
    return content


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a time is not a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is not text")
    return value
