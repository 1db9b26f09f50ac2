"""Whether two recordings hold the same messages, stream by stream; and where they first do not.

The same is what a client of the stream would see: the numbers that a venue gives to the frames of
a connection, and the other streams of a frame, do not count. Neither do times: those of arrival.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from itertools import zip_longest
from typing import NamedTuple, Protocol

from wsproxy.model import Message, StreamKey
from wsproxy.recording.reader import Recording
from wsproxy.venues.base import Numbered, Venue
from wsproxy.venues.registry import VENUES

_CONTEXT = 2

Essence = Callable[[Message], bytes]


class Difference(NamedTuple):
    """The first message of a stream that is not the same in both, counted from 0.

    ``one`` and ``two`` are the messages there, None where a recording has no more; ``before`` are
    those just before, in the first recording.
    """

    stream: StreamKey
    position: int
    before: tuple[Message, ...]
    one: Message | None
    two: Message | None


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


def differences(one: Recording, two: Recording) -> Iterator[Difference]:
    """The first difference of each stream that differs, in the order of the streams' names.

    Both recordings are read once, and each stream that differs once more. Raises RecordingError
    as ``Recording.messages`` does.
    """
    mine, other = _fingerprints(one), _fingerprints(two)
    for stream in sorted(mine.keys() | other.keys()):
        if mine.get(stream) != other.get(stream):
            yield _first(stream, one, two)


def _fingerprints(recording: Recording) -> dict[StreamKey, bytes]:
    essences: dict[StreamKey, tuple[_Hash, Essence]] = {}
    for message in recording.messages():
        for name in message.streams:
            stream = StreamKey(message.venue, name)
            if stream not in essences:
                essences[stream] = hashlib.sha256(), essence(stream)
            found, read = essences[stream]
            content = read(message)
            found.update(b"%d:" % len(content))
            found.update(content)
    return {stream: found.digest() for stream, (found, _) in essences.items()}


def _first(stream: StreamKey, one: Recording, two: Recording) -> Difference:
    read = essence(stream)
    before: deque[Message] = deque(maxlen=_CONTEXT)
    pairs = zip_longest(_messages(one, stream), _messages(two, stream))
    for position, (mine, other) in enumerate(pairs):
        if mine is None or other is None or read(mine) != read(other):
            return Difference(stream, position, tuple(before), mine, other)
        before.append(mine)
    raise AssertionError("the recordings have changed meanwhile")


def _messages(recording: Recording, stream: StreamKey) -> Iterator[Message]:
    return recording.messages(stream) if stream in recording.streams else iter(())


def essence(stream: StreamKey) -> Essence:
    """What counts of a message of this stream."""
    venue = VENUES.get(stream.venue)
    if venue is None:
        return lambda message: message.payload
    return _Seen(venue, stream.name).of


class _Seen:
    """A stream's messages as its clients see them."""

    def __init__(self, venue: Venue, stream: str) -> None:
        path, _, query = venue.endpoint(stream).partition("?")
        self._view = venue.session(path, query).view
        self._render = venue.render
        self._alone = frozenset({stream})

    def of(self, message: Message) -> bytes:
        wanted = self._alone if len(message.streams) > 1 else None
        body = self._render(message.payload, self._view, wanted)
        return body.head + body.tail if isinstance(body, Numbered) else body
