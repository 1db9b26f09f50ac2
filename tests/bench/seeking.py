"""A recording of many GB that is made in seconds, to seek in.

It repeats a sample with shifted time. Its heads, indexes and seek tables are complete, and of the
size that they really have; of its blocks only those are written to which a seek will lead. The rest
of the files are holes: nobody reads them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from random import Random
from typing import NamedTuple

import wsproxy
from wsproxy.model import Batch, ConnectionInfo
from wsproxy.recording.encode import BlockEncoder, Encoded
from wsproxy.recording.frames import PartHead
from wsproxy.recording.index import IndexBuilder
from wsproxy.recording.writer import BLOCK_BYTES

_IDENTITY = bytes(range(16))


class Target(NamedTuple):
    """Where a seek leads."""

    time: int
    payload: bytes
    """Of the first message then."""


def blocks(batches: Iterable[Batch]) -> list[list[Batch]]:
    """Batches as the writer would put them together."""
    found: list[list[Batch]] = []
    held = BLOCK_BYTES
    for batch in batches:
        if held >= BLOCK_BYTES:
            found.append([])
            held = 0
        found[-1].append(batch)
        held += sum(map(len, batch.payloads))
    return found


class _Part:
    """A part with holes."""

    def __init__(self, path: Path, number: int, seq: int, venue: str) -> None:
        head = PartHead(_IDENTITY, number, seq, (venue,), "bench", 0, 0, {}).encode()
        self._file = path.open("xb")
        self._file.write(head)
        self._index = IndexBuilder(len(head))
        self.size = len(head)

    def add(self, block: Encoded, *, hole: bool) -> None:
        if not hole:
            self._file.seek(self.size)
            self._file.write(block.data)
        self._index.add(block)
        self.size += len(block.data)

    def close(self, encoder: BlockEncoder) -> None:
        index = self._index.encode(encoder.numbers, encoder.connections)
        assert index
        self._file.seek(self.size)
        self._file.write(index)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()


def make(
    directory: Path,
    blocks: Sequence[Sequence[Batch]],
    connection: ConnectionInfo,
    *,
    size: int,
    part_bytes: int,
    targets: int,
    lead_in: bool = False,
) -> list[Target]:
    """Make a recording of so many bytes; the places in it to which one can seek.

    ``blocks`` are the sample, ascending in time: the batches of each block. With ``lead_in``
    everything is there that comes before a target in its repetition of the sample, and the first
    repetition.
    """
    directory.mkdir()
    encoder = BlockEncoder(_IDENTITY)
    encoder.connections[connection.number] = connection
    encoded = [encoder.encode(block, 0) for block in blocks]
    period = encoded[-1].head.latest - encoded[0].head.earliest + 1_000_000
    in_all = size // (sum(len(block.data) for block in encoded) // len(blocks))
    candidates: Sequence[int] = range(in_all)
    wanted: set[int] = set()
    if lead_in:
        candidates = [number for number in candidates if number % len(blocks)]
        wanted.update(range(len(blocks)))
    chosen = set(Random(1).sample(candidates, targets))
    wanted |= chosen
    if lead_in:
        for target in chosen:
            wanted.update(range(target - target % len(blocks), target))
    found = []
    seq = 0
    numbers = count(1)
    part: _Part | None = None
    for number in range(in_all):
        if part is None or part.size >= part_bytes:
            if part is not None:
                part.close(encoder)
            index = next(numbers)
            part = _Part(directory / f"{index:06}.wsr.zst", index, seq, connection.venue)
        shift = number // len(blocks) * period
        block = blocks[number % len(blocks)]
        if number in wanted:
            real = encoder.encode([_shifted(batch, shift) for batch in block], seq)
            part.add(real, hole=False)
            if number in chosen:
                found.append(Target(block[0].wall_ns + shift, block[0].payloads[0]))
        else:
            part.add(_moved(encoded[number % len(blocks)], shift, seq), hole=True)
        seq += encoded[number % len(blocks)].head.count
    assert part is not None
    part.close(encoder)
    return found


def _shifted(batch: Batch, shift: int) -> Batch:
    at = (batch.wall_ns + shift, batch.mono_ns + shift)
    times = None if batch.times is None else [time + shift for time in batch.times]
    names = batch.streams
    return Batch(batch.kind, batch.connection, *at, batch.payloads, batch.opcodes, names, times)


def _moved(block: Encoded, shift: int, seq: int) -> Encoded:
    """What the index has to know of the block at another time."""
    head = block.head
    head = replace(head, first_seq=seq, earliest=head.earliest + shift, latest=head.latest + shift)
    spans = {stream: (first + shift, last + shift) for stream, (first, last) in block.spans.items()}
    return Encoded(block.data, head, spans, block.kinds)


def seconds(directory: Path, targets: Sequence[Target], *, cold: bool) -> Iterator[float]:
    """How long it takes to open the recording and to have the first message, for each target.

    ``cold``: the system has forgotten the files before.
    """
    for target in targets:
        if cold:
            _forget(directory)
        begin = time.perf_counter()
        message = next(wsproxy.open(directory).messages(start=target.time))
        yield time.perf_counter() - begin
        assert (message.time, message.payload) == target


def _forget(directory: Path) -> None:
    for path in directory.iterdir():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
