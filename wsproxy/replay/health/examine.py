"""One pass over a recording, with an eye on everything that its health depends on.

Memory is bounded by the number of streams and connections, not by that of records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import ConnectionInfo, Kind, Message, StreamKey
from wsproxy.recording.decode import Selection
from wsproxy.recording.events import read_event
from wsproxy.recording.rewrite import Progress
from wsproxy.recording.source import Source
from wsproxy.recording.summary import Summary
from wsproxy.recording.survey import Loss, survey
from wsproxy.replay.health.clock import Clock, Comparison
from wsproxy.replay.health.numbers import ConnectionNumbers
from wsproxy.replay.health.stream import StreamHealth
from wsproxy.venues.registry import VENUES

_ALL = Selection()
_MONOTONIC = "monotonic"
"""The source of CLOCK records about the machine's own other clock, which every record has."""


class Observer(Protocol):
    """Sees what the examination sees; times are monotonic, ns."""

    def message(self, key: StreamKey, now: int, latency: int | None) -> object:
        """A message of the stream came, so long after the venue sent it."""

    def hole(self, key: StreamKey, start: int, end: int) -> object:
        """The stream was not there between these times. They come by their ends, and overlap."""


@dataclass
class Health:
    """What was found."""

    path: Path
    first: int | None
    last: int | None
    """The earliest and the latest time, wall clock, ns."""
    streams: dict[StreamKey, StreamHealth]
    clock: Clock = field(default_factory=Clock)
    connections: dict[ConnectionInfo, ConnectionNumbers] = field(default_factory=dict)
    """Those whose venue numbers their messages."""
    records: int = 0
    messages: int = 0
    """Of the streams that were looked at; one of several streams counts once."""
    gaps: int = 0
    damage: list[DamagedRecording] = field(default_factory=list)
    lost_records: int = 0
    """To damage, as far as it can be told."""
    cut: int = 0
    """Bytes of blocks that were never finished."""


def examine(
    path: Path,
    streams: Collection[StreamKey] | None = None,
    *,
    observer: Observer | None = None,
    progress: Progress | None = None,
) -> Health:
    """Read a recording from end to end; of ``streams`` only (None: all) but for its clock.

    Damage is passed over and told. Raises RecordingError if there is no recording, or it cannot
    be read.
    """
    summary = Source(path, skip_damage=True).summary
    examination = _Examination(path, summary, streams, observer)
    for found in survey(path):
        if isinstance(found, Loss):
            examination.lost(found)
        elif found.block is not None:
            for record in found.block.messages(_ALL):
                examination.record(record)
            if progress is not None:
                progress(found.place.head.latest)
    return examination.finish()


class _Examination:
    def __init__(
        self,
        path: Path,
        summary: Summary,
        wanted: Collection[StreamKey] | None,
        observer: Observer | None,
    ) -> None:
        on_hole = None if observer is None else observer.hole
        self._observe = None if observer is None else observer.message
        self._infos = summary.connections
        self._streams = {
            key: StreamHealth(key, VENUES.get(key.venue), on_hole)
            for key in summary.streams
            if wanted is None or key in wanted
        }
        self._health = Health(path, summary.first, summary.last, self._streams)
        self._clock = self._health.clock
        self._now = self._wall = 0
        self._numbers: dict[int, ConnectionNumbers] = {}

    def record(self, record: Message) -> None:
        """Take in a record."""
        health = self._health
        health.records += 1
        self._now, self._wall = record.mono, record.time
        self._clock.record(record.time, record.mono)
        if record.kind == Kind.MESSAGE:
            self._message(record)
        elif record.kind in _EVENTS:
            with suppress(RecordingError):  # what cannot be understood says nothing
                self._event(record, read_event(record.payload))

    def _message(self, record: Message) -> None:
        venue = VENUES.get(record.venue)
        latency = None
        if venue is not None:
            number = venue.sequence(record.payload)
            if number is not None:
                self._count(record.connection, number)
            sent = venue.event_time(record.payload)
            latency = None if sent is None else record.time - sent
        seen = False
        for name in record.streams:
            key = StreamKey(record.venue, name)
            stream = self._streams.get(key)
            if stream is not None:
                seen = True
                stream.message(record.connection, record.payload, record.mono, latency)
                if self._observe is not None:
                    self._observe(key, record.mono, latency)
        self._health.messages += seen

    def _count(self, connection: int, number: int) -> None:
        numbers = self._numbers.get(connection)
        if numbers is None:
            numbers = self._numbers[connection] = ConnectionNumbers()
            self._health.connections[self._infos[connection]] = numbers
        numbers.feed(number)

    def _event(self, record: Message, fields: dict[str, object]) -> None:
        now, connection = record.mono, record.connection
        named = [StreamKey(record.venue, name) for name in record.streams]
        streams = [self._streams[key] for key in named if key in self._streams]
        match record.kind:
            case Kind.SUBSCRIBED:
                for stream in streams:
                    stream.cover.ask(now)
            case Kind.ACKNOWLEDGED:
                for stream in streams:
                    stream.granted(connection, now)
            case Kind.REFUSED | Kind.UNSUBSCRIBED:
                for stream in streams:
                    stream.given_up(connection, now)
            case Kind.CLOSED:
                by_us = fields.get("by") == "us"
                for stream in self._streams.values():
                    stream.closed(connection, now, by_us=by_us)
            case Kind.GAP:
                self._gap(record, fields, streams)
            case Kind.CLOCK if fields.get("source") != _MONOTONIC:
                offset, error = fields.get("offset"), fields.get("error")
                if isinstance(offset, int):
                    certain = error if isinstance(error, int) else None
                    source = str(fields.get("source", ""))
                    self._clock.compared(Comparison(source, offset, certain))

    def _gap(self, record: Message, fields: dict[str, object], streams: list[StreamHealth]) -> None:
        since = fields.get("since")
        affected: Iterable[StreamHealth] = streams
        if not record.streams:
            affected = [
                stream
                for stream in self._streams.values()
                if not record.connection or record.connection in stream.cover.carriers
            ]
        self._health.gaps += 1
        for stream in affected:
            stream.gaps += 1
            if isinstance(since, int):
                stream.cover.hole(record.mono - (record.time - since), record.mono)

    def lost(self, loss: Loss) -> None:
        """Take in what is damaged or cut off."""
        health = self._health
        health.damage += loss.damage
        health.cut += loss.cut
        health.lost_records += loss.records or 0
        if loss.is_harmless:
            return
        start = self._now
        if loss.until is not None:
            end = loss.until.mono_ns
            if not health.records:
                start = end - (loss.until.wall_ns - (health.first or loss.until.wall_ns))
        else:
            self._now = end = start + max(0, (health.last or 0) - self._wall)
        for stream in self._streams.values():
            if not loss.is_exact or stream.key in loss.messages:
                stream.cover.hole(start, end)

    def finish(self) -> Health:
        """Everything was taken in."""
        for stream in self._streams.values():
            stream.finish(self._now)
        return self._health


_EVENTS = frozenset(
    {
        Kind.SUBSCRIBED,
        Kind.ACKNOWLEDGED,
        Kind.REFUSED,
        Kind.UNSUBSCRIBED,
        Kind.CLOSED,
        Kind.GAP,
        Kind.CLOCK,
    }
)
