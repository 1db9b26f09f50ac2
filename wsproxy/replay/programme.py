"""What a replay plays: one recording, or several on one clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, reduce
from heapq import merge
from itertools import accumulate, chain
from operator import attrgetter, or_

from msgspec.structs import replace

from wsproxy.model import Batch, ConnectionInfo, Kind, Message, Run, StreamKey
from wsproxy.recording.events import read_event
from wsproxy.recording.reader import Recording
from wsproxy.recording.times import Moment, moment

_KNOWING = (Kind.ACKNOWLEDGED, Kind.KEYFRAME)


class Programme:
    """Several recordings, merged by time, then as they were named.

    ``offsets_ns`` are added to the times of each, so that recordings of different days can be
    played side by side. Connection numbers would collide: those of each recording are raised by
    the largest of those before. The monotonic clocks of different runs have nothing in common:
    all are shifted so that they tell the time that passed by the wall clock of the first.
    """

    def __init__(self, recordings: Sequence[Recording], offsets_ns: Sequence[int] = ()) -> None:
        self.path = recordings[0].path
        """Of several recordings: the first."""
        self.names = [str(recording.path) for recording in recordings]
        offsets = [*offsets_ns, *[0] * (len(recordings) - len(offsets_ns))]
        known = [recording.connections for recording in recordings]
        bases = accumulate((max(infos, default=0) for infos in known), initial=0)
        self._tracks = [
            _Track(recording, offset, base)
            for recording, offset, base in zip(recordings, offsets, bases, strict=False)
        ]
        self.connections: dict[int, ConnectionInfo] = {
            number + track.base: info
            for track, infos in zip(self._tracks, known, strict=True)
            for number, info in infos.items()
        }
        """Every connection, by number."""

    @cached_property
    def first(self) -> int:
        """The earliest time, wall clock, ns; 0 where there are no records."""
        return min((track.first for track in self._tracks if track.first is not None), default=0)

    @cached_property
    def last(self) -> int:
        """The latest time, wall clock, ns; 0 where there are no records."""
        return max((track.last for track in self._tracks if track.last is not None), default=0)

    def moment(self, value: Moment) -> int:
        """A point in time, counted from ``first`` or ``last`` if it says so: ns since 1970.

        Raises ConfigError if it is none.
        """
        return moment(value, self.first, self.last)

    @cached_property
    def venues(self) -> list[str]:
        """The venues of the streams."""
        keys = reduce(or_, (track.recording.streams.keys() for track in self._tracks))
        return sorted({key.venue for key in keys} - {""})

    def batches(self, start: int | None = None, end: int | None = None) -> Iterator[Batch]:
        """The records of every kind, together where they arrived together; start ≤ time < end."""
        if len(self._tracks) == 1 and not self._tracks[0].offset_ns:
            return self._tracks[0].recording.batches(start, end)
        lanes = [track.batches(start, end) for track in self._tracks]
        return merge(*lanes, key=attrgetter("wall_ns"))

    def runs(self, start: int | None = None, end: int | None = None) -> Iterator[Run] | None:
        """The same records, many at once; None where that cannot be had."""
        if len(self._tracks) > 1 or self._tracks[0].offset_ns:
            return None
        return self._tracks[0].recording.runs(start, end)

    def messages(
        self, stream: StreamKey, start: int | None = None, end: int | None = None
    ) -> Iterator[Message]:
        """The messages of one stream; start ≤ time < end, wall clock, ns."""
        lanes = [track.messages(stream, start, end) for track in self._tracks]
        return lanes[0] if len(lanes) == 1 else merge(*lanes, key=attrgetter("time"))

    def attachments(self, at: int | None = None) -> Iterator[Message]:
        """The answers of REST interfaces, or those of one time (wall clock, ns), in no order."""
        return chain.from_iterable(track.attachments(at) for track in self._tracks)

    def states(self, time: int) -> dict[StreamKey, bytes]:
        """What a client that joins at this time has to be told first, by stream.

        At the beginning these are the keyframes that come before the first message.
        """
        if time <= self.first:
            return dict(self._opening_keyframes())
        known: dict[StreamKey, bytes] = {}
        for track in self._tracks:
            if track.first is not None:
                known |= track.recording.state_at(time - track.offset_ns)
        return known

    def _opening_keyframes(self) -> Iterator[tuple[StreamKey, bytes]]:
        for batch in self.batches():
            if batch.kind is Kind.MESSAGE:
                return
            if batch.kind is Kind.KEYFRAME and batch.connection in self.connections:
                venue = self.connections[batch.connection].venue
                for payload, streams in zip(batch.payloads, batch.streams, strict=True):
                    for stream in streams:
                        yield StreamKey(venue, stream), payload

    def held(self, venue: str) -> frozenset[str]:
        """The streams of a venue that came, or were granted and stayed quiet; not the refused."""
        held: set[str] = set()
        for track in self._tracks:
            streams = {k: i for k, i in track.recording.streams.items() if k.venue == venue}
            held.update(key.name for key, info in streams.items() if info.messages)
            quiet = [key for key, info in streams.items() if not info.messages]
            if quiet:
                for known in track.recording.messages(quiet, kinds=_KNOWING):
                    held.update(known.streams)
        return frozenset(held)

    def refused(self, venue: str) -> dict[str, str]:
        """The streams that the venue refused, and why, in its own words."""
        reasons: dict[str, str] = {}
        for track in self._tracks:
            streams = track.recording.streams.items()
            silent = [key for key, i in streams if key.venue == venue and not i.messages]
            if silent:
                for record in track.recording.messages(silent, kinds=(Kind.REFUSED,)):
                    why = str(read_event(record.payload).get("why", ""))
                    reasons.update(dict.fromkeys(record.streams, why))
        return reasons


class _Track:
    """One recording of several; ``base`` is added to the number of each connection."""

    def __init__(self, recording: Recording, offset_ns: int, base: int) -> None:
        self.recording = recording
        self.offset_ns = offset_ns
        self.base = base
        info = recording.info
        self.first = None if info.first is None else info.first + offset_ns
        self.last = None if info.last is None else info.last + offset_ns

    def batches(self, start: int | None, end: int | None) -> Iterator[Batch]:
        offset_ns, base = self.offset_ns, self.base
        recorded = self.recording.batches(
            None if start is None else start - offset_ns, None if end is None else end - offset_ns
        )
        mono_shift = self._mono_shift
        for batch in recorded:
            batch.wall_ns += offset_ns
            batch.mono_ns += mono_shift
            if batch.connection:
                batch.connection += base
            yield batch

    def messages(self, stream: StreamKey, start: int | None, end: int | None) -> Iterator[Message]:
        if stream not in self.recording.streams:
            return iter(())
        offset_ns = self.offset_ns
        recorded = self.recording.messages(
            stream,
            None if start is None else start - offset_ns,
            None if end is None else end - offset_ns,
        )
        return map(self._moved, recorded) if offset_ns or self.base else recorded

    def attachments(self, at: int | None) -> Iterator[Message]:
        return map(self._moved, self.recording.attachments(at and at - self.offset_ns))

    def _moved(self, record: Message) -> Message:
        number = record.connection and record.connection + self.base
        return replace(record, time=record.time + self.offset_ns, connection=number)

    @cached_property
    def _mono_shift(self) -> int:
        """What makes the monotonic clock tell the wall clock's time."""
        first = next(self.recording.batches(), None)
        return 0 if first is None else first.wall_ns + self.offset_ns - first.mono_ns
