"""The library's face: a recording, or several as one, and ways to iterate over what they hold.

Memory stays bounded by one block of each recording that is read at once, however large they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from functools import cached_property, reduce
from heapq import merge
from itertools import chain, pairwise
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Batch, ConnectionInfo, Kind, Message, Run, StreamKey
from wsproxy.recording.decode import Block, Selection
from wsproxy.recording.heap import keep_buffers
from wsproxy.recording.source import Source
from wsproxy.recording.state import States, states_at
from wsproxy.recording.summary import StreamInfo, earlier, later
from wsproxy.recording.times import Moment, moment

if TYPE_CHECKING:
    from wsproxy.recording.blocks import Columns

_T = TypeVar("_T")
_HTTP = ("http://", "https://")

Streams = StreamKey | str | Iterable[StreamKey | str]
"""One stream or several; text is ``venue:name``, or a name alone, at whichever venue."""


class RecordingInfo(NamedTuple):
    """What a recording holds altogether."""

    path: Path
    """Of several recordings: the first."""
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
    kinds: Mapping[int, int] | None
    """How many records of each kind; None where a part was not closed in order (or is still
    being written): only reading tells."""
    cut: int
    """Bytes of blocks that were begun and never finished: what a kill leaves behind."""
    damage: tuple[DamagedRecording, ...]
    """What was found damaged so far. What was read only by its index may have more."""

    @property
    def duration(self) -> int:
        """From the first to the last record, ns."""
        return 0 if self.first is None or self.last is None else self.last - self.first


def open(
    path: str | Path | Iterable[str | Path],
    *,
    damaged: Literal["raise", "skip"] = "raise",
    states: States | None = None,
) -> Recording:
    """Open one recording, or several as one: ``wsproxy.open``, which also knows the ``states``.

    Raises RecordingError if there is no recording.
    """
    keep_buffers()
    paths = [path] if isinstance(path, str | Path) else path
    sources = [Source(Path(path), skip_damage=damaged == "skip") for path in paths]
    if not sources:
        raise RecordingError("no recording was named")
    return Recording(sources, states)


class Recording:
    """A recording, or several, that were opened with ``open``.

    Several are merged by time, then by sequence number, then as they were named. Sequence numbers
    stay those of each recording, and only tell the order within it. Connection numbers would
    collide, so those of each recording are raised by the largest number of the recordings named
    before it. The monotonic clocks of different runs have nothing in common: those of all
    recordings but the first are shifted so that they tell the time that passed by the wall clock.

    What it says of itself was counted when first asked.
    """

    def __init__(self, sources: Sequence[Source], states: States | None) -> None:
        self.path = sources[0].path
        """Of several recordings: the first."""
        self._sources = sources
        self._states = states
        for before, source in pairwise(sources):
            taken = before.summary.connections
            source.first_connection = before.first_connection + max(taken, default=0)
            source.mono_shift = _skew(source) - _skew(sources[0])

    @property
    def info(self) -> RecordingInfo:
        """What the recording holds altogether; damage does not raise here."""
        summaries = [source.summary for source in self._sources]
        connections = tuple(self.connections.values())
        named = chain.from_iterable(summary.venues for summary in summaries)
        kinds = [summary.kinds for summary in summaries]
        return RecordingInfo(
            path=self.path,
            parts=sum(summary.parts for summary in summaries),
            disk_bytes=sum(summary.disk_bytes for summary in summaries),
            raw_bytes=sum(summary.raw_bytes for summary in summaries),
            records=sum(summary.records for summary in summaries),
            first=reduce(earlier, [summary.first for summary in summaries]),
            last=reduce(later, [summary.last for summary in summaries]),
            connections=connections,
            venues=tuple(dict.fromkeys([*named, *(c.venue for c in connections)])),
            kinds=None if None in kinds else sum(filter(None, kinds), Counter()),
            cut=sum(summary.cut for summary in summaries),
            damage=tuple(chain.from_iterable(s.damage.values() for s in self._sources)),
        )

    @property
    def streams(self) -> dict[StreamKey, StreamInfo]:
        """Every stream that a record names, in the order in which they first occur."""
        streams: dict[StreamKey, StreamInfo] = {}
        for source in self._sources:
            for key, info in source.summary.streams.items():
                streams[key] = streams[key].plus(info) if key in streams else info
        return streams

    @property
    def connections(self) -> dict[int, ConnectionInfo]:
        """Every connection that a record belongs to, by number."""
        return {
            number: info for source in self._sources for number, info in source.connections.items()
        }

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
        selection = self._selection(streams, start, end, kinds)
        return self._merged(selection, Block.messages, key=attrgetter("time", "seq"))

    def attachments(self, at: int | None = None) -> Iterator[Message]:
        """The records of kind ATTACHMENT, or those of one time (wall clock, ns), in no order.

        `record` keeps what it fetches on connections of its own: then few blocks are read.
        """
        kinds, end = frozenset({Kind.ATTACHMENT}), None if at is None else at + 1
        for source in self._sources:
            infos = source.connections.values()
            apart = frozenset(i.number for i in infos if i.url.startswith(_HTTP))
            others = frozenset(i.number for i in infos) - apart
            counted = source.summary.kinds
            left = None if counted is None or at is not None else counted[Kind.ATTACHMENT]
            for connections in (apart, others):
                if left == 0:
                    break
                selection = Selection(kinds, start=at, end=end, connections=connections)
                for block in source.blocks(selection):
                    for message in block.messages(selection):
                        left = None if left is None else left - 1
                        yield message

    def batches(self, start: Moment | None = None, end: Moment | None = None) -> Iterator[Batch]:
        """Records of every kind known, together where they arrived together.

        A batch is a run of records of equal kind, connection and time; ``start`` and ``end`` as
        with ``messages``.
        """
        selection = self._selection(None, start, end, None)
        return self._merged(selection, Block.batches, key=attrgetter("wall_ns"))

    def runs(self, start: Moment | None = None, end: Moment | None = None) -> Iterator[Run] | None:
        """Records of every kind known, as long as kind and venue stay the same; within a block.

        None where several recordings have to be merged; ``start`` and ``end`` as with ``messages``.
        """
        if len(self._sources) > 1:
            return None
        selection = self._selection(None, start, end, None)
        return self._merged(selection, Block.runs, key=attrgetter("walls"))

    def blocks(
        self,
        streams: Streams | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        kinds: Iterable[int] | None = (Kind.MESSAGE,),
    ) -> Iterator[Columns]:
        """The records that ``messages`` gives, as numpy columns, a block of the recording at once.

        Several recordings take turns by the time of each block's first record.

        Raises RecordingError if numpy is not there; otherwise as ``messages``.
        """
        try:
            from wsproxy.recording.blocks import columns
        except ImportError:
            raise RecordingError("blocks need numpy: pip install 'wsproxy[numpy]'") from None
        selection = self._selection(streams, start, end, kinds)
        return self._merged(selection, columns, key=lambda block: int(block.time[0]))

    def state_at(self, time: Moment, streams: Streams | None = None) -> dict[StreamKey, bytes]:
        """What a client that joins then has to be told first, by stream, as the venue spells it.

        It comes of all records before ``time``: the stream's last keyframe, and its messages
        since. ``messages(start=time)`` goes on from there. Streams of which nothing is known
        then, and those that tell a late joiner nothing, are left out.

        Raises RecordingError if a stream does not occur, ConfigError if a time is none.
        """
        if self._states is None:
            raise RecordingError(f"open {self.path} with wsproxy.open: it knows the venues' states")
        before = self.moment(time)
        wanted = self.resolve(streams) if streams is not None else frozenset(self.streams)
        known: dict[StreamKey, bytes] = {}
        for source in self._by_time:
            held = source.summary.streams
            here = wanted.intersection(held)
            states = states_at(source, before, here, self._states)
            for key in here - states.keys():
                if _is_before(held[key].first, before):
                    known.pop(key, None)  # what an earlier recording knew is not true any more
            known |= states
        return known

    def _selection(
        self,
        streams: Streams | None,
        start: Moment | None,
        end: Moment | None,
        kinds: Iterable[int] | None,
    ) -> Selection:
        return Selection(
            kinds=None if kinds is None else frozenset(kinds),
            streams=None if streams is None else self.resolve(streams),
            start=None if start is None else self.moment(start),
            end=None if end is None else self.moment(end),
        )

    def _merged(
        self,
        selection: Selection,
        read: Callable[[Block, Selection], Iterator[_T]],
        key: Callable[[_T], Any],
    ) -> Iterator[_T]:
        """What ``read`` gives of all blocks that may hold wanted records, in order."""

        def of_block(block: Block) -> Iterator[_T]:
            return read(block, selection)

        def of(source: Source) -> Iterator[_T]:
            return chain.from_iterable(map(of_block, source.blocks(selection)))

        def of_all(sources: list[Source]) -> Iterator[_T]:
            if len(sources) == 1:
                return of(sources[0])
            as_named = sorted(sources, key=self._sources.index)
            return merge(*map(of, as_named), key=key)

        if len(self._sources) == 1:
            return of(self._sources[0])
        return chain.from_iterable(map(of_all, self._groups))

    @cached_property
    def _by_time(self) -> list[Source]:
        """The recordings that hold records, by their first."""
        return sorted(
            (source for source in self._sources if source.summary.records),
            key=lambda source: source.summary.first or 0,
        )

    @property
    def _groups(self) -> list[list[Source]]:
        """The recordings, together where they overlap in time: only those have to be merged."""
        groups: list[list[Source]] = []
        end = 0
        for source in self._by_time:
            first, last = source.summary.first or 0, source.summary.last or 0
            if groups and first <= end:
                groups[-1].append(source)
            else:
                groups.append([source])
            end = max(end, last)
        return groups

    def moment(self, value: Moment) -> int:
        """A point in time, counted from the first or last message if it says so: ns since 1970.

        Raises ConfigError if it is none.
        """
        is_absolute = isinstance(value, int | datetime)
        first = None if is_absolute else reduce(earlier, [s.summary.first for s in self._sources])
        is_back = isinstance(value, str) and value.lstrip().startswith("-")
        last = reduce(later, [s.summary.last for s in self._sources]) if is_back else None
        return moment(value, first or 0, last)

    def resolve(self, streams: Streams) -> frozenset[StreamKey]:
        """The keys of these streams; raises RecordingError if one does not occur."""
        wanted = [streams] if isinstance(streams, StreamKey | str) else streams
        known = self.streams
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


def _skew(source: Source) -> int:
    """How far the wall clock was ahead of the monotonic one when the recording began."""
    began = source.summary.began
    return 0 if began is None else began.wall_ns - began.mono_ns


def _is_before(time: int | None, other: int) -> bool:
    return time is not None and time < other


def _suggestion(text: str, known: Iterable[StreamKey]) -> str:
    names = [spelling for key in known for spelling in (str(key), key.name)]
    close = get_close_matches(text, names, n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
