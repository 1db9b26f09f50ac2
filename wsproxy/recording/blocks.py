"""A block's records as numpy columns. Only this module needs numpy."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsproxy.model import TEXT, ConnectionInfo, StreamKey
from wsproxy.recording.decode import Block, Selection

Unsigned = NDArray[np.unsignedinteger[Any]]
"""As narrow as it was recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Records of one block, as columns with one element a record.

    What a record says is described at ``Message``. The payloads stay where decompression put
    them: that of record i is ``payload[offset[i] : offset[i] + length[i]]``. ``payload`` may hold
    others, between those, that were not asked for. Nothing may be written to.
    """

    seq: NDArray[np.int64]
    time: NDArray[np.int64]
    """Wall clock, ns since the Unix epoch: ``time.view("datetime64[ns]")``."""
    mono: NDArray[np.int64]
    kind: NDArray[np.uint8]
    connection: Unsigned
    stream: Unsigned
    """Which of ``sets`` the record names."""
    opcode: NDArray[np.uint8]
    offset: NDArray[np.int64]
    length: Unsigned
    payload: NDArray[np.uint8]
    sets: tuple[tuple[StreamKey, ...], ...]
    """The first is empty. Each block has its own."""
    connections: Mapping[int, ConnectionInfo]

    def __len__(self) -> int:
        return len(self.seq)

    def where(self, chosen: NDArray[np.bool_]) -> Columns:
        """Only these records; the payloads are not copied."""
        return replace(
            self,
            seq=self.seq[chosen],
            time=self.time[chosen],
            mono=self.mono[chosen],
            kind=self.kind[chosen],
            connection=self.connection[chosen],
            stream=self.stream[chosen],
            opcode=self.opcode[chosen],
            offset=self.offset[chosen],
            length=self.length[chosen],
        )

    def payloads(self) -> list[bytes]:
        """A copy of each record's payload."""
        data = self.payload.data
        begins = self.offset.tolist()
        ends = (self.offset + self.length).tolist()
        return [bytes(data[begin:end]) for begin, end in zip(begins, ends, strict=True)]


def columns(block: Block, selection: Selection) -> Iterator[Columns]:
    """The wanted records of the block; nothing if there are none."""
    n, first = block.head.count, block.head.first_seq
    changes = _view(block.time)
    time = np.cumsum(changes, dtype=np.int64)
    time += block.wall
    if block.drift is None:
        mono = time + (block.mono - block.wall)
    else:
        mono = np.cumsum(changes + _view(block.drift), dtype=np.int64)
        mono += block.mono
    length = _view(block.length)
    offset = np.cumsum(length, dtype=np.int64)
    offset -= length
    text = np.broadcast_to(np.uint8(TEXT), n)
    everything = Columns(
        seq=np.arange(first, first + n, dtype=np.int64),
        time=time,
        mono=mono,
        kind=_view(block.kind),
        connection=_view(block.connection),
        stream=_view(block.stream),
        opcode=text if block.opcode is None else _view(block.opcode),
        offset=offset,
        length=length,
        payload=np.frombuffer(block.content, np.uint8, offset=block.payload_at),
        sets=tuple(tuple(block.streams[number] for number in members) for members in block.sets),
        connections=block.connections,
    )
    chosen = block.chosen(selection)
    if chosen is None:
        yield everything
    elif any(chosen):
        yield everything.where(np.array(chosen, np.bool_))


def _view(column: array[int]) -> NDArray[Any]:
    return np.asarray(column)
