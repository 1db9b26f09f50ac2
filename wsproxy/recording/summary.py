"""What a recording holds altogether: counted from the index of each part, or by walking it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from wsproxy.model import ConnectionInfo, Instant, StreamKey
from wsproxy.recording.decode import Block
from wsproxy.recording.frames import Tally
from wsproxy.recording.index import Index
from wsproxy.recording.part import Part, Place


class StreamInfo(NamedTuple):
    """What a recording holds of a stream. Only messages from the venue count."""

    messages: int
    bytes: int
    """Of the payloads; a message of several streams counts for each."""
    first: int | None
    last: int | None
    """Wall clock of the first and the last message, ns; None where there is none."""

    def plus(self, other: StreamInfo) -> StreamInfo:
        """This and what is elsewhere."""
        return StreamInfo(
            self.messages + other.messages,
            self.bytes + other.bytes,
            earlier(self.first, other.first),
            later(self.last, other.last),
        )


_NOTHING = StreamInfo(0, 0, None, None)


@dataclass
class Summary:
    """What the parts that were added hold."""

    parts: int = 0
    disk_bytes: int = 0
    raw_bytes: int = 0
    records: int = 0
    cut: int = 0
    first: int | None = None
    last: int | None = None
    began: Instant | None = None
    """Both clocks at one instant, as the first head that can be read has them."""
    kinds: Counter[int] | None = field(default_factory=Counter)
    """How many records of each kind; None where a part has no index."""
    venues: list[str] = field(default_factory=list)
    connections: dict[int, ConnectionInfo] = field(default_factory=dict)
    streams: dict[StreamKey, StreamInfo] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Count a part in."""
        self.parts += 1
        self.disk_bytes += part.size
        if part.head is not None:
            self.venues.extend(part.head.venues)
            self.began = self.began or Instant(part.head.wall_ns, part.head.mono_ns)
        if part.index is None:
            self.kinds = None
            self._walk(part)
        else:
            self._look_up(part.index)
            if part.head is not None:
                part.next_seq = part.head.first_seq + part.index.records
        self.cut += part.cut

    def _look_up(self, index: Index) -> None:
        self.records += index.records
        self.raw_bytes += index.payload_bytes
        self._reach(index.first, index.last)
        if self.kinds is not None:
            self.kinds.update(index.kinds)
        self.connections.update(index.connections)
        for number, total in index.totals.items():
            self._count(index.streams[number], StreamInfo(*total))

    def _walk(self, part: Part) -> None:
        """Read the heads of all blocks, and the few blocks that complete them."""
        names: dict[int, StreamKey] = {}
        firsts: dict[int, Place] = {}
        lasts: dict[int, Place] = {}
        for place in part.places():
            head = place.head
            self.records += head.count
            self.raw_bytes += head.payload_bytes
            self._reach(head.earliest, head.latest)
            if not (
                names.keys() >= head.streams.keys()
                and self.connections.keys() >= set(head.connections)
            ):
                block = part.load(place)
                if block is not None:
                    names.update(block.streams)
                    self.connections.update(block.connections)
            for number, tally in head.streams.items():
                if number in names:
                    self._count(names[number], _counted(tally))
                if tally.messages:
                    firsts.setdefault(number, place)
                    lasts[number] = place
        for place in {p.offset: p for p in (*firsts.values(), *lasts.values())}.values():
            block = part.load(place)
            if block is not None:
                self._add_times(block)

    def _add_times(self, block: Block) -> None:
        for number, (first, last) in block.spans().items():
            self._count(block.streams[number], StreamInfo(0, 0, first, last))

    def _count(self, key: StreamKey, info: StreamInfo) -> None:
        self.streams[key] = self.streams.get(key, _NOTHING).plus(info)

    def _reach(self, first: int | None, last: int | None) -> None:
        self.first = earlier(self.first, first)
        self.last = later(self.last, last)


def _counted(tally: Tally) -> StreamInfo:
    return StreamInfo(tally.messages, tally.size, None, None)


def earlier(one: int | None, other: int | None) -> int | None:
    """The earlier of two times, of which any may be missing."""
    return other if one is None else one if other is None else min(one, other)


def later(one: int | None, other: int | None) -> int | None:
    """The later of two times, of which any may be missing."""
    return other if one is None else one if other is None else max(one, other)
