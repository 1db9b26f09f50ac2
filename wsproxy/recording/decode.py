"""From the bytes of a block to its records. The counterpart of ``encode``.

As there, the work per message is done by loops in C (``map``, ``zip``, ``compress``).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate, compress, count, islice, repeat
from operator import add, ne
from typing import TypeVar, cast
from zlib import crc32

import cbor2
import zstandard

from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind, Message, StreamKey
from wsproxy.recording.columns import BYTES, SIGNED, unpack
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
        content = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
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
        self._content = content
        self._kind = unpack(fields["kind"], BYTES)
        self._connection = unpack(fields["connection"])
        self._stream = unpack(fields["stream"])
        self._opcode = unpack(fields["opcode"], BYTES) if "opcode" in fields else None
        self._walls = _sums(unpack(fields["time"], SIGNED), fields["wall"])
        skew = fields["mono"] - fields["wall"]
        if "drift" in fields:
            self._monos = list(map(add, self._walls, _sums(unpack(fields["drift"], SIGNED), skew)))
        else:
            self._monos = list(map(add, self._walls, repeat(skew)))
        self._length = unpack(fields["length"])
        self._payload_at = base
        self._check(fields["seq"])

    def _check(self, seq: object) -> None:
        n = self.head.count
        columns = (
            self._kind,
            self._connection,
            self._stream,
            self._walls,
            self._monos,
            self._length,
            range(n) if self._opcode is None else self._opcode,
        )
        if any(len(column) != n for column in columns) or seq != self.head.first_seq:
            raise ValueError("the block and its head disagree")
        if sum(self._length) != self.head.payload_bytes:
            raise ValueError("the payloads are not as long as their lengths say")
        connections = {0, *self.connections}
        if max(self._stream) >= len(self.sets) or not connections.issuperset(self._connection):
            raise ValueError("a record names a stream or connection that is not defined")

    def messages(self, selection: Selection) -> Iterator[Message]:
        """The records that are wanted, in order."""
        chosen = self._chosen(selection)

        def pick(column: Iterable[_T]) -> Iterable[_T]:
            return column if chosen is None else compress(column, chosen)

        seq = self.head.first_seq
        venues = {0: ""} | {number: info.venue for number, info in self.connections.items()}
        rows = zip(
            pick(range(seq, seq + self.head.count)),
            pick(self._walls),
            pick(self._monos),
            map(_KINDS.__getitem__, pick(self._kind)),
            pick(self._connection),
            map(venues.__getitem__, pick(self._connection)),
            map(self._names.__getitem__, pick(self._stream)),
            repeat(TEXT) if self._opcode is None else pick(self._opcode),
            pick(self._payloads()),
            strict=False,
        )
        # What Message._make does, without a Python call for each record.
        return cast("Iterator[Message]", map(tuple.__new__, repeat(Message), rows))

    def _payloads(self) -> Iterator[bytes]:
        """Each record's payload: read from the content like a file, which is faster than slices."""
        content = BytesIO(self._content)
        content.seek(self._payload_at)
        return map(content.read, self._length)

    def _chosen(self, selection: Selection) -> list[bool] | None:
        """For each record whether it is wanted; None if all are."""
        tests: list[Iterable[bool]] = []
        if selection.kinds is not None and not selection.kinds.issuperset(self._kind):
            tests.append(map(selection.kinds.__contains__, self._kind))
        if selection.streams is not None:
            wanted = selection.streams
            numbers = {number for number, key in self.streams.items() if key in wanted}
            of_set = [not numbers.isdisjoint(members) for members in self.sets]
            tests.append(map(of_set.__getitem__, self._stream))
        if selection.start is not None and self.head.earliest < selection.start:
            tests.append(map(selection.start.__le__, self._walls))
        if selection.end is not None and self.head.latest >= selection.end:
            tests.append(map(selection.end.__gt__, self._walls))
        return list(map(all, zip(*tests, strict=True))) if tests else None

    def batches(self, selection: Selection) -> Iterator[Batch]:
        """The runs of one kind, connection and time; of the selection, only the times count."""
        keys = list(zip(self._kind, self._connection, self._walls, self._monos, strict=True))
        inner = compress(count(1), map(ne, keys, islice(keys, 1, None)))
        starts = [0, *inner]
        payloads = self._payloads()
        for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
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
                None if self._opcode is None else self._opcode[start:end].tobytes(),
                list(map(self._names.__getitem__, self._stream[start:end])),
            )

    def spans(self) -> dict[int, tuple[int, int]]:
        """The times of the first and the last message of each stream that has one."""
        spans: dict[int, tuple[int, int]] = {}
        for kind, index, time in zip(self._kind, self._stream, self._walls, strict=True):
            if kind == Kind.MESSAGE:
                for number in self.sets[index]:
                    spans[number] = (spans.get(number, (time, time))[0], time)
        return spans


def _sums(changes: array[int], start: int) -> list[int]:
    sums = list(accumulate(changes, initial=start))
    del sums[0]
    return sums


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is not text")
    return value
