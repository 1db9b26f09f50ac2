"""What a replay knows beside the streams: REST answers that were recorded, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property, partial
from operator import attrgetter
from typing import NamedTuple
from urllib.parse import urlsplit

from wsproxy.errors import RecordingError
from wsproxy.model import Message, StreamKey
from wsproxy.recording.events import attachment, read_event
from wsproxy.recording.reader import Recording
from wsproxy.replay.books import Follower, Snapshot
from wsproxy.replay.programme import Programme
from wsproxy.venues.base import Book, Rest, RestAnswer, Venue
from wsproxy.venues.registry import VENUES

_LEVELS = 5000
"""Of each side, in a snapshot that is worked out: as many as the largest recorded one has."""


class _Kept(NamedTuple):
    """A recorded answer, but for its body, which ``read`` gives."""

    time: int
    url: str
    streams: tuple[str, ...]
    connection: int
    number: int | None
    """The last that it holds, if it is a snapshot."""
    read: Callable[[], bytes]


def books(recording: Recording) -> Callable[[StreamKey, int], bytes | None]:
    """What ``Archive.snapshot`` says of the streams of this recording."""
    programme = Programme([recording])
    archives: dict[str, Archive] = {}

    def book(stream: StreamKey, wall_ns: int) -> bytes | None:
        venue = VENUES.get(stream.venue)
        if venue is None or venue.rest is None:
            return None
        if stream.venue not in archives:
            archives[stream.venue] = Archive(programme, venue, venue.rest)
        return archives[stream.venue].snapshot(stream.name, wall_ns)

    return book


class Archive:
    """One venue's REST interface, as a programme has it.

    Recordings are read when somebody asks, which can take its time; one question at a time.
    """

    def __init__(self, programme: Programme, venue: Venue, rest: Rest) -> None:
        self._programme = programme
        self._venue = venue
        self._rest = rest
        self._followers: dict[str, Follower] = {}

    def answer(self, path: str, query: str, wall_ns: int) -> tuple[RestAnswer | None, str]:
        """What the venue would have answered then to a GET request, and what to warn of.

        None where the path is not one of its REST interface; the warning is mostly empty.
        """
        moment = _Moment(self, wall_ns)
        return self._rest.answer(path, query, moment), moment.warning

    @cached_property
    def streams(self) -> frozenset[str]:
        """The venue's streams that the recording holds."""
        return self._programme.held(self._venue.profile.name)

    def attached(self, path: str, wall_ns: int) -> bytes | None:
        """The last answer to this path that was recorded by then, else the first."""
        found = [kept for kept in self._kept if _is_plain(kept.url, path)]
        before = [kept for kept in found if kept.time <= wall_ns]
        chosen = before[-1] if before else next(iter(found), None)
        return None if chosen is None else chosen.read()

    def snapshot(self, stream: str, wall_ns: int) -> bytes | None:
        """A snapshot of the stream's book before this time, as an ATTACHMENT's payload.

        None for streams that need none, and where the book is not known.
        """
        request = self._rest.snapshot(stream, _LEVELS)
        follower = self.follower(stream)
        book = None if request is None else follower.at(wall_ns - 1)
        if request is None or book is None or follower.since >= wall_ns:
            return None
        return attachment(request.path, 200, {}, book.text(_LEVELS).encode(), wall_ns)

    def follower(self, stream: str) -> Follower:
        """What keeps the stream's book."""
        if stream not in self._followers:
            venue, key = self._venue, StreamKey(self._venue.profile.name, stream)
            self._followers[stream] = Follower(
                list(self._snapshots(stream)),
                partial(self._programme.messages, key),
                partial(venue.mark, stream=stream),
                self._rest.book,
            )
        return self._followers[stream]

    def _snapshots(self, stream: str) -> Iterator[Snapshot]:
        """Those of the stream's market.

        One that names neither a stream nor a market, as other recorders write it, is of the only
        market that there is, or of one whose messages stand on a connection of the same address.
        """
        for kept in self._kept:
            if kept.number is None:
                continue
            concerns = True if stream in kept.streams else self._rest.concerns(kept.url, stream)
            if concerns or (concerns is None and not kept.streams):
                is_certain = concerns or self._has_one_market
                near = None if is_certain else self._alike(kept.connection)
                yield Snapshot(kept.number, kept.time, near, kept.read)

    @cached_property
    def _has_one_market(self) -> bool:
        """Whether all books that need snapshots are of one market."""
        requests = {self._rest.snapshot(stream, 1) for stream in self.streams} - {None}
        return len(requests) == 1

    def _alike(self, connection: int) -> frozenset[int]:
        """The connections of the same address."""
        infos = self._programme.connections
        return frozenset(n for n, i in infos.items() if i.url == infos[connection].url)

    @cached_property
    def _kept(self) -> list[_Kept]:
        """All of them, by time."""
        records, name = self._programme.attachments(), self._venue.profile.name
        found = (self._keep(record) for record in records if record.venue == name)
        return sorted((kept for kept in found if kept is not None), key=attrgetter("time"))

    def _keep(self, record: Message) -> _Kept | None:
        status, url, body = _fields(record)
        if status != 200:
            return None
        number = self._rest.number(body)
        again = partial(self._read, record.time, record.connection, record.seq)
        return _Kept(record.time, url, record.streams, record.connection, number, again)

    def _read(self, time: int, connection: int, seq: int) -> bytes:
        """The body once more: together they are too large to be kept."""
        for record in self._programme.attachments(time):
            if (record.connection, record.seq) == (connection, seq):
                return _fields(record)[2]
        raise RecordingError(f"record {seq} of {self._programme.path} is there no more")


class _Moment:
    """The archive as of one moment: the ``Past`` that a venue answers from."""

    def __init__(self, archive: Archive, wall_ns: int) -> None:
        self.wall_ns = wall_ns
        self.warning = ""
        self._archive = archive

    @property
    def streams(self) -> Collection[str]:
        return self._archive.streams

    def attached(self, path: str) -> bytes | None:
        return self._archive.attached(path, self.wall_ns)

    def book(self, streams: Sequence[str]) -> Book | None:
        """Of these, the book that is the furthest."""
        known: tuple[Book, Follower] | None = None
        for follower in map(self._archive.follower, streams):
            book = follower.at(self.wall_ns)
            if book is not None and (known is None or book.number > known[0].number):
                known = book, follower
        if known is None:
            return None
        book, follower = known
        ahead_ns = follower.since - self.wall_ns
        if ahead_ns > 0:
            self.warning = (
                f"the first snapshot of {streams[0]} is of {ahead_ns / 1e9:.1f} s later: "
                "that book is not of the time when it was asked for"
            )
        return book


def _is_plain(url: str, path: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.path.endswith(path) and not parts.query


def _fields(record: Message) -> tuple[object, str, bytes]:
    """Status, URL and body of an attachment."""
    fields = read_event(record.payload)
    url, body = fields.get("url"), fields.get("body")
    return (
        fields.get("status"),
        url if isinstance(url, str) else "",
        body if isinstance(body, bytes) else b"",
    )
