"""The INDEX of a part: where each block lies, and what the part holds altogether.

It is written when a part is closed in order, with zstd's seek table behind it, so that a reader
finds a time or a stream without walking the part. docs/recording-format.md, sections 9 and 10.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple
from zlib import crc32

import cbor2

from wsproxy.model import ConnectionInfo, StreamKey
from wsproxy.recording import seektable
from wsproxy.recording.columns import SIGNED, pack, unpack, unsigned
from wsproxy.recording.encode import Encoded
from wsproxy.recording.frames import INDEX, MAX_FRAME_BYTES, frame
from wsproxy.recording.presence import Presence, blocks_with

_TABLE = struct.Struct("<II")
_TIMES = "q"


class StreamTotal(NamedTuple):
    """What a part holds of a stream. Only messages from the venue count."""

    messages: int
    bytes: int
    """Of the payloads."""
    first: int | None
    last: int | None
    """Wall clock of the first and the last message, ns; None where there is none."""


@dataclass(frozen=True, slots=True)
class Index:
    """What the INDEX of a part says."""

    offsets: Sequence[int]
    """Of each block's BLOCK_HEAD."""
    seqs: Sequence[int]
    """Each block's first sequence number."""
    latest: Sequence[int]
    """The latest time of each block and of all before it, wall clock, ns: never decreasing."""
    earliest: Sequence[int]
    """The earliest time of each block and of all behind it: never decreasing."""
    keyframes: Sequence[int]
    """The blocks that hold a keyframe, ascending."""
    records: int
    payload_bytes: int
    kinds: Mapping[int, int]
    """How many records of each kind."""
    connections: Mapping[int, ConnectionInfo]
    streams: Mapping[int, StreamKey]
    totals: Mapping[int, StreamTotal]
    """By stream number."""
    seek_table_bytes: int
    seek_table_crc: int
    """Size and CRC32 of the seek table that follows."""
    _span: int
    _presence: Mapping[int, bytes]

    def blocks(
        self,
        start: int | None = None,
        end: int | None = None,
        streams: Collection[StreamKey] | None = None,
    ) -> Iterable[int]:
        """The numbers, ascending, of all blocks that may hold what is wanted, and of few more.

        ``start`` ≤ time < ``end``, wall clock, ns; a record of one of the ``streams``.
        """
        low = 0 if start is None else bisect_left(self.latest, start)
        high = len(self.offsets) if end is None else bisect_left(self.earliest, end)
        if streams is None:
            return range(low, high)
        numbers = [number for number, key in self.streams.items() if key in streams]
        return blocks_with(self._presence, self._span, numbers, range(low, high))

    @property
    def first(self) -> int | None:
        """The earliest time of the part."""
        return self.earliest[0] if self.earliest else None

    @property
    def last(self) -> int | None:
        """The latest time of the part."""
        return self.latest[-1] if self.latest else None

    @classmethod
    def decode(cls, body: bytes) -> Index:
        """Understand an INDEX's body.

        Raises one of NOT_AS_SPECIFIED (see ``decode``) if it is not as it should be.
        """
        table_bytes, table_crc = _TABLE.unpack_from(body)
        fields = cbor2.loads(memoryview(body)[_TABLE.size :])
        numbers = unpack(fields["stream"])
        totals = map(
            _total,
            unpack(fields["messages"]),
            unpack(fields["bytes"]),
            unpack(fields["first"], SIGNED),
            unpack(fields["last"], SIGNED),
        )
        index = cls(
            offsets=unpack(fields["offset"]),
            seqs=unpack(fields["seq"]),
            latest=unpack(fields["latest"], SIGNED),
            earliest=unpack(fields["earliest"], SIGNED),
            keyframes=unpack(fields["keyframes"]),
            records=int(fields["records"]),
            payload_bytes=int(fields["payload"]),
            kinds=dict(fields["kinds"]),
            connections={
                number: ConnectionInfo(number, str(venue), str(url))
                for number, (venue, url) in fields["connections"].items()
            },
            streams={
                number: StreamKey(str(venue), str(name))
                for number, (venue, name) in zip(numbers, fields["names"], strict=True)
            },
            totals=dict(zip(numbers, totals, strict=True)),
            seek_table_bytes=table_bytes,
            seek_table_crc=table_crc,
            _span=int(fields["span"]),
            _presence=dict(zip(numbers, map(bytes, fields["presence"]), strict=True)),
        )
        if len({len(index.offsets), len(index.seqs), len(index.latest), len(index.earliest)}) > 1:
            raise ValueError("the index's columns are of unequal length")
        if index._span < 1 or (index.keyframes and index.keyframes[-1] >= len(index.offsets)):
            raise ValueError("the index has impossible values")
        return index


class IndexBuilder:
    """Collects what the INDEX and the seek table will say, block by block."""

    def __init__(self, head_bytes: int) -> None:
        """The part's HEAD is so long."""
        self._end = head_bytes
        self._frames = array("I", (head_bytes, 0))
        self._offsets = array("Q")
        self._seqs = array("Q")
        self._earliest = array(_TIMES)
        self._latest = array(_TIMES)
        self._keyframes = array("I")
        self._records = 0
        self._payload_bytes = 0
        self._kinds: Counter[int] = Counter()
        self._presence = Presence()
        self._messages, self._sizes, self._firsts, self._lasts = [0], [0], [0], [0]
        """By stream number, its messages, their bytes, and the times of the first and the last."""

    def add(self, block: Encoded) -> None:
        """Count in a block that was appended to the part."""
        head = block.head
        if head.has_keyframe:
            self._keyframes.append(len(self._offsets))
        self._offsets.append(self._end)
        self._seqs.append(head.first_seq)
        self._earliest.append(head.earliest)
        self._latest.append(head.latest)
        self._records += head.count
        self._payload_bytes += head.payload_bytes
        self._kinds.update(block.kinds)
        self._presence.add(head.streams)
        self._frames.extend((len(block.data) - head.block_bytes, 0))
        self._frames.extend((head.block_bytes, head.content_bytes))
        self._end += len(block.data)
        messages, sizes, firsts, lasts = self._messages, self._sizes, self._firsts, self._lasts
        missing = max(head.streams, default=0) + 1 - len(messages)
        for column in (messages, sizes, firsts, lasts):
            column.extend([0] * missing)
        for number, (first, last) in block.spans.items():
            if not messages[number]:
                firsts[number] = first
            lasts[number] = last
        for number, tally in head.streams.items():
            messages[number] += tally.messages
            sizes[number] += tally.size

    def encode(
        self, streams: Mapping[StreamKey, int], connections: Mapping[int, ConnectionInfo]
    ) -> bytes:
        """The INDEX and the seek table; empty if the INDEX would be too large for a frame."""
        rows = self._presence.rows
        numbers = list(rows)
        names = {number: list(key) for key, number in streams.items()}
        messages, sizes, firsts, lasts = (
            [column[number] for number in numbers]
            for column in (self._messages, self._sizes, self._firsts, self._lasts)
        )
        offsets, seqs = self._offsets, self._seqs
        earliest = array(_TIMES, accumulate(reversed(self._earliest), min))
        earliest.reverse()
        fields = {
            "offset": pack(unsigned(offsets, offsets[-1] if offsets else 0)),
            "seq": pack(unsigned(seqs, seqs[-1] if seqs else 0)),
            "latest": pack(array(_TIMES, accumulate(self._latest, max))),
            "earliest": pack(earliest),
            "keyframes": pack(self._keyframes),
            "records": self._records,
            "payload": self._payload_bytes,
            "kinds": dict(self._kinds),
            "connections": {n: list(info[1:]) for n, info in connections.items() if n},
            "stream": pack(unsigned(numbers, max(numbers, default=0))),
            "names": [names[number] for number in numbers],
            "messages": pack(unsigned(messages, max(messages, default=0))),
            "bytes": pack(unsigned(sizes, max(sizes, default=0))),
            "first": pack(array(_TIMES, firsts)),
            "last": pack(array(_TIMES, lasts)),
            "span": self._presence.span,
            "presence": list(rows.values()),
        }
        body = cbor2.dumps(fields)
        index_bytes = len(frame(INDEX, b"")) + _TABLE.size + len(body)
        if index_bytes - 8 > MAX_FRAME_BYTES:
            return b""
        table = seektable.encode(self._frames + array("I", (index_bytes, 0)))
        return frame(INDEX, _TABLE.pack(len(table), crc32(table)) + body) + table


def _total(messages: int, size: int, first: int, last: int) -> StreamTotal:
    return StreamTotal(messages, size, first, last) if messages else StreamTotal(0, 0, None, None)
