"""All of a recording, damaged or not: each good block, and each loss in its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Instant, StreamKey
from wsproxy.recording.decode import Block
from wsproxy.recording.frames import INDEX, SEEK_TABLE, BlockHead
from wsproxy.recording.indexcheck import IndexCheck
from wsproxy.recording.part import Part, Place
from wsproxy.recording.source import Source


class Sound(NamedTuple):
    """A good block."""

    part: Part
    """Open until the next one is asked for."""
    place: Place
    block: Block | None
    """None where only the heads are read."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Damage, or an end that was cut off, and what it costs."""

    damage: tuple[DamagedRecording, ...]
    """In order. Empty where a writer was killed: that is no damage."""
    cut: int
    """Bytes of a block that was never finished."""
    records: int | None
    """How many are lost; None where nothing tells."""
    since: int | None
    """The latest time of the last good block before, wall clock, ns; None if there is none."""
    until: Instant | None
    """The first good record behind; None if there is none, or if only heads were read."""
    connections: frozenset[int]
    messages: Mapping[StreamKey, int]
    """By stream, how many messages of it are lost: what the heads of damaged blocks say."""
    is_exact: bool
    """Whether those heads, and so ``connections`` and ``messages``, account for all records."""

    @property
    def is_harmless(self) -> bool:
        """Whether no record is lost: what is damaged can be done without."""
        return self.records == 0


def survey(path: Path, *, load: bool = True) -> Iterator[Sound | Loss]:
    """The good blocks of a recording in order; before each, what was lost since the one before.

    Without ``load``, blocks are not decompressed: only heads and indexes are checked.

    Raises RecordingError if there is no recording, or it cannot be read.
    """
    source = Source(path, skip_damage=True)
    losses = _Losses(source)
    for part in source.parts():
        losses.begin(part)
        check = None if part.index is None else IndexCheck(part.index)
        for place in part.places():
            block = part.load(place) if load else None
            if load and block is None:
                losses.add(place.head)
                continue
            yield from losses.before(place.head.first_seq, block)
            yield Sound(part, place, block)
            losses.good(place.head, block)
            if check is not None:
                check.add(place, block)
        losses.cut = part.cut
        is_whole = all(damaged != str(part.path) for damaged, _ in source.damage)
        if check is not None and is_whole and check.disagreement:
            why = f"the index is wrong about {check.disagreement}"
            source.note(DamagedRecording(str(part.path), check.end, why))
    yield from losses.at_end()


class _Losses:
    """What was lost since the last good block."""

    def __init__(self, source: Source) -> None:
        self.cut = 0
        self._source = source
        self._told = 0
        self._next_seq: int | None = None
        self._end_seq: int | None = None
        """The number behind the last record of this part, where its index tells."""
        self._since: int | None = None
        self._names: dict[int, StreamKey] = {}
        """Of this part's streams, as far as they are known."""
        self._forget()

    def _forget(self) -> None:
        self.cut = 0
        # What the heads of damaged blocks say.
        self._blocks = 0
        self._records = 0
        self._connections: set[int] = set()
        self._messages: Counter[StreamKey] = Counter()
        self._is_named = True

    def begin(self, part: Part) -> None:
        """Go on with this part."""
        head, index = part.head, part.index
        self._names = {} if index is None else dict(index.streams)
        self._end_seq = None
        if head is not None:
            self._next_seq = head.first_seq if self._next_seq is None else self._next_seq
            self._end_seq = None if index is None else head.first_seq + index.records

    def good(self, head: BlockHead, block: Block | None) -> None:
        """Count in a good block."""
        self._next_seq = head.first_seq + head.count
        self._since = head.latest
        if block is not None:
            self._names.update(block.streams)

    def add(self, head: BlockHead) -> None:
        """Count in a damaged block."""
        self._blocks += 1
        self._records += head.count
        self._connections.update(head.connections)
        for number, tally in head.streams.items():
            if number in self._names:
                self._messages[self._names[number]] += tally.messages
            else:
                self._is_named = False

    def before(self, seq: int, block: Block | None) -> Iterator[Loss]:
        """What was lost before the good block that begins with this sequence number."""
        lost = 0 if self._next_seq is None else max(0, seq - self._next_seq)
        until = None if block is None else Instant(block.wall, block.mono)
        return self._loss(lost, until)

    def at_end(self) -> Iterator[Loss]:
        """What was lost behind the last good block."""
        if self._end_seq is not None and self._next_seq is not None:
            return self._loss(max(0, self._end_seq - self._next_seq), None)
        serious = [damage for damage in self._new() if not _is_dispensable(damage)]
        is_known = not self.cut and len(serious) == self._blocks
        return self._loss(self._records if is_known else None, None)

    def _new(self) -> tuple[DamagedRecording, ...]:
        return tuple(self._source.damage.values())[self._told :]

    def _loss(self, records: int | None, until: Instant | None) -> Iterator[Loss]:
        damage = self._new()
        self._told += len(damage)
        if damage or records or self.cut:
            yield Loss(
                damage=damage,
                cut=self.cut,
                records=records,
                since=self._since,
                until=until,
                connections=frozenset(self._connections),
                messages=self._messages,
                is_exact=self._is_named and records == self._records,
            )
        self._forget()


def _is_dispensable(damage: DamagedRecording) -> bool:
    """Whether it is an INDEX or a seek table that is damaged: every record is there without."""
    path = Path(damage.path)
    try:
        with path.open("rb") as file:
            file.seek(damage.offset)
            start = file.read(12)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
    return start[8:12] == INDEX or start[:4] == SEEK_TABLE.to_bytes(4, "little")
