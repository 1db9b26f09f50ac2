"""Reads a recording: what it holds, its messages, and its batches as they arrived.

Memory stays bounded by one block, however large the recording is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Batch, ConnectionInfo, Kind, Message, StreamKey
from wsproxy.recording.decode import Block, Selection
from wsproxy.recording.frames import Tally
from wsproxy.recording.part import Part, Place
from wsproxy.recording.times import Moment, moment
from wsproxy.recording.writer import PART_SUFFIX

_PART_NAME = re.compile(r"\d{6,}" + re.escape(PART_SUFFIX))

Streams = StreamKey | str | Iterable[StreamKey | str]
"""One stream or several; text is ``venue:name``, or a name alone, at whichever venue."""


class StreamInfo(NamedTuple):
    """What a recording holds of a stream. Only messages from the venue count."""

    messages: int
    bytes: int
    """Of the payloads; a message of several streams counts for each."""
    first: int | None
    last: int | None
    """Wall clock of the first and the last message, ns; None where there is none."""


class RecordingInfo(NamedTuple):
    """What a recording holds altogether."""

    path: Path
    parts: int
    disk_bytes: int
    raw_bytes: int
    """Of all payloads."""
    records: int
    first: int | None
    last: int | None
    """The earliest and the latest time, wall clock, ns; None where there are no records."""
    connections: tuple[ConnectionInfo, ...]
    venues: tuple[str, ...]
    cut: int
    """Bytes of blocks that were begun and never finished: what a kill leaves behind."""
    damage: tuple[DamagedRecording, ...]
    """What was found damaged so far: in the frames around the blocks always, within a block once
    that was read."""

    @property
    def duration(self) -> int:
        """From the first to the last record, ns."""
        return 0 if self.first is None or self.last is None else self.last - self.first


def open(path: str | Path, *, damaged: Literal["raise", "skip"] = "raise") -> Recording:
    """A recording: a directory of parts, or one part.

    With ``damaged="raise"``, iterating over damaged bytes raises DamagedRecording once everything
    before them was given; with ``"skip"`` it goes on with the next good block, and
    ``Recording.info.damage`` says what was passed over. Either way a last block that was never
    finished is the end, and ``info.cut`` says how many bytes it has.

    Raises RecordingError if there is no recording.
    """
    path = Path(path)
    if not path.exists():
        raise RecordingError(f"{path} does not exist")
    parts = [path]
    if path.is_dir():
        found = [file for file in path.iterdir() if _PART_NAME.fullmatch(file.name)]
        parts = sorted(found, key=lambda file: int(file.name.removesuffix(PART_SUFFIX)))
        if not parts:
            raise RecordingError(f"{path} holds no recording (no files named 000001{PART_SUFFIX})")
    recording = Recording(path, parts, skip_damage=damaged == "skip")
    with suppress(DamagedRecording), Part(parts[0], recording.note):
        pass  # what is no recording is said at once; damage when it is met
    return recording


class Recording:
    """A recording that was opened with ``open``. What it says was counted when first asked."""

    def __init__(self, path: Path, parts: list[Path], *, skip_damage: bool) -> None:
        self.path = path
        self._parts = parts
        self._skip_damage = skip_damage
        self._damage: dict[tuple[str, int], DamagedRecording] = {}

    @property
    def info(self) -> RecordingInfo:
        """What the recording holds altogether; damage does not raise here."""
        summary = self._summary
        connections = tuple(summary.connections.values())
        return RecordingInfo(
            path=self.path,
            parts=len(self._parts),
            disk_bytes=summary.disk_bytes,
            raw_bytes=summary.raw_bytes,
            records=summary.records,
            first=summary.first,
            last=summary.last,
            connections=connections,
            venues=tuple(dict.fromkeys([*summary.venues, *(c.venue for c in connections)])),
            cut=summary.cut,
            damage=tuple(self._damage.values()),
        )

    @property
    def streams(self) -> dict[StreamKey, StreamInfo]:
        """Every stream that a record names, in the order in which they first occur."""
        return dict(self._summary.streams)

    @property
    def connections(self) -> dict[int, ConnectionInfo]:
        """Every connection that a record belongs to, by number."""
        return dict(self._summary.connections)

    def messages(
        self,
        streams: Streams | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        kinds: Iterable[int] | None = (Kind.MESSAGE,),
    ) -> Iterator[Message]:
        """The records, in the order of their arrival.

        ``streams`` are those wanted (None: all); ``start`` ≤ time < ``end``, see ``Moment``;
        ``kinds`` are those wanted (None: all, also kinds that this version does not know, as
        plain numbers).

        Raises RecordingError if a stream does not occur, ConfigError if a time is none.
        """
        selection = Selection(
            kinds=None if kinds is None else frozenset(kinds),
            streams=None if streams is None else self._resolve(streams),
            start=self._moment(start),
            end=self._moment(end),
        )
        blocks = self._blocks(selection)
        return chain.from_iterable(block.messages(selection) for block in blocks)

    def batches(self, start: Moment | None = None, end: Moment | None = None) -> Iterator[Batch]:
        """Records of every kind known, together where they arrived together.

        A batch is a run of records of equal kind, connection and time; ``start`` and ``end`` as
        with ``messages``.
        """
        selection = Selection(start=self._moment(start), end=self._moment(end))
        blocks = self._blocks(selection)
        return chain.from_iterable(block.batches(selection) for block in blocks)

    def note(self, damage: DamagedRecording) -> None:
        """Keep this damage for ``info``, and raise it unless damage is to be skipped."""
        self._remember(damage)
        if not self._skip_damage:
            raise damage

    def _remember(self, damage: DamagedRecording) -> None:
        self._damage.setdefault((damage.path, damage.offset), damage)

    def _blocks(self, selection: Selection) -> Iterator[Block]:
        """The blocks that may hold wanted records."""
        before: Part | None = None
        for path in self._parts:
            with Part(path, self.note) as part:
                part.follow(before)
                streams: dict[int, StreamKey] = {}
                for place in part.places():
                    if not selection.overlaps(place.head):
                        continue
                    if selection.streams is not None and not any(
                        number not in streams or streams[number] in selection.streams
                        for number in place.head.streams
                    ):
                        continue
                    block = part.load(place)
                    if block is not None:
                        streams.update(block.streams)
                        yield block
                before = part

    def _moment(self, value: Moment | None) -> int | None:
        return None if value is None else moment(value, self._summary.first or 0)

    def _resolve(self, streams: Streams) -> frozenset[StreamKey]:
        wanted = [streams] if isinstance(streams, StreamKey | str) else streams
        known = self._summary.streams
        keys: set[StreamKey] = set()
        for stream in wanted:
            text = str(stream)
            found = {key for key in known if str(key) == text}
            if not found and not isinstance(stream, StreamKey):
                found = {key for key in known if key.name == text}
            if not found:
                raise RecordingError(
                    f"{self.path} holds no stream {text}{_suggestion(text, known)}"
                )
            keys |= found
        return frozenset(keys)

    @cached_property
    def _summary(self) -> _Summary:
        summary = _Summary()
        before: Part | None = None
        for path in self._parts:
            with Part(path, self._remember) as part:
                part.follow(before)
                summary.add(part)
                before = part
        return summary


@dataclass
class _Summary:
    """What the heads of all blocks say, and the few blocks that complete it."""

    disk_bytes: int = 0
    raw_bytes: int = 0
    records: int = 0
    cut: int = 0
    first: int | None = None
    last: int | None = None
    venues: list[str] = field(default_factory=list)
    connections: dict[int, ConnectionInfo] = field(default_factory=dict)
    streams: dict[StreamKey, StreamInfo] = field(default_factory=dict)

    def add(self, part: Part) -> None:
        """Count a part in."""
        if part.head is not None:
            self.venues.extend(part.head.venues)
        names: dict[int, StreamKey] = {}
        firsts: dict[int, Place] = {}
        lasts: dict[int, Place] = {}
        for place in part.places():
            head = place.head
            self.records += head.count
            self.raw_bytes += head.payload_bytes
            self.first = head.earliest if self.first is None else min(self.first, head.earliest)
            self.last = head.latest if self.last is None else max(self.last, head.latest)
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
                    self._count(names[number], tally)
                if tally.messages:
                    firsts.setdefault(number, place)
                    lasts[number] = place
        for place in {p.offset: p for p in (*firsts.values(), *lasts.values())}.values():
            block = part.load(place)
            if block is not None:
                self._add_times(block)
        self.disk_bytes += part.size
        self.cut += part.cut

    def _count(self, key: StreamKey, tally: Tally) -> None:
        so_far = self.streams.get(key, StreamInfo(0, 0, None, None))
        self.streams[key] = so_far._replace(
            messages=so_far.messages + tally.messages, bytes=so_far.bytes + tally.size
        )

    def _add_times(self, block: Block) -> None:
        for number, (first, last) in block.spans().items():
            key = block.streams[number]
            so_far = self.streams[key]
            self.streams[key] = so_far._replace(
                first=first if so_far.first is None else min(first, so_far.first),
                last=last if so_far.last is None else max(last, so_far.last),
            )


def _suggestion(text: str, known: Iterable[StreamKey]) -> str:
    names = [spelling for key in known for spelling in (str(key), key.name)]
    close = get_close_matches(text, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
