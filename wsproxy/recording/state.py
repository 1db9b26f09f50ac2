"""A stream's late-join state at some time: from its last keyframe, and the messages since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from wsproxy.model import Kind, Message, StreamKey
from wsproxy.recording.decode import Block, Selection
from wsproxy.recording.part import Part, Place
from wsproxy.recording.source import Source


class State(Protocol):
    """What a client that joins a stream late has to be told first."""

    def feed(self, payload: bytes) -> None:
        """Take in a message of the stream, or a keyframe, as it was recorded."""

    def snapshot(self) -> bytes | None:
        """The state now, as the venue spells it; None if nothing is known."""


States = Callable[[StreamKey], State | None]
"""Gives a fresh state for a stream, or None where a late joiner is told nothing."""

_KEYFRAMES = frozenset({Kind.KEYFRAME})
_KINDS = frozenset({Kind.MESSAGE, Kind.KEYFRAME, Kind.GAP})


def states_at(
    source: Source, time: int, streams: Iterable[StreamKey], states: States
) -> dict[StreamKey, bytes]:
    """The states of these streams after all records before this time; of those that are known.

    Reads from the earliest of the streams' last keyframes on, and for streams that have none
    from the beginning. A gap that names a stream ends what is known of it.
    """
    known = {key: state for key in streams if (state := states(key)) is not None}
    keyframes = _last_keyframes(source, time, known.keys())
    others = known.keys() - keyframes.keys()
    begin = min((keyframe.time for keyframe in keyframes.values()), default=None)
    for keys, near in ((frozenset(keyframes), begin), (frozenset(others), None)):
        for message in _messages(source, Selection(_KINDS, keys, end=time), near):
            for name in message.streams:
                key = StreamKey(message.venue, name)
                state = known.get(key) if key in keys else None
                if state is None or (key in keyframes and message.seq < keyframes[key].seq):
                    continue
                if message.kind != Kind.GAP:
                    state.feed(message.payload)
                elif (fresh := states(key)) is not None:
                    known[key] = fresh
    snapshots = ((key, state.snapshot()) for key, state in known.items())
    return {key: snapshot for key, snapshot in snapshots if snapshot is not None}


def _messages(source: Source, selection: Selection, near: int | None) -> Iterator[Message]:
    if selection.streams:
        for block in source.blocks(selection, near):
            yield from block.messages(selection)


def _last_keyframes(
    source: Source, time: int, streams: Collection[StreamKey]
) -> dict[StreamKey, Message]:
    """The last keyframe of each of these streams before this time, where there is one."""
    found: dict[StreamKey, Message] = {}
    missing = frozenset(streams)
    if not missing:
        return found
    for block in _blocks_backwards(source, time):
        found |= {
            StreamKey(message.venue, name): message
            for message in block.messages(Selection(_KEYFRAMES, missing, end=time))
            for name in message.streams
        }
        missing -= found.keys()
        if not missing:
            break
    return found


def _blocks_backwards(source: Source, time: int) -> Iterator[Block]:
    for part in source.parts_backwards():
        for place in _places_backwards(part, time):
            block = part.load(place)
            if block is not None:
                yield block


def _places_backwards(part: Part, time: int) -> Iterator[Place]:
    """The blocks that hold keyframes, and records before this time, from the last to the first."""
    if part.index is None:
        places = [place for place in part.places() if place.head.has_keyframe]
        yield from (place for place in reversed(places) if place.head.earliest < time)
        return
    for number in reversed(part.index.keyframes):
        if part.index.earliest[number] < time:
            place = part.place(number)
            if place is not None:
                yield place
