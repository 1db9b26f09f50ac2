"""Keyframes: now and then the state of each stream, so that a reader need not begin at the start.

Sorting and spelling a large book holds up the event loop (46,000 levels: about 15 ms), so streams
take turns, evenly over the interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import trio

from wsproxy.app.board import Feed
from wsproxy.app.tape import Tape
from wsproxy.model import Kind
from wsproxy.venues.base import Numbered


async def write_keyframes(tape: Tape, feeds: Iterable[Feed]) -> None:
    """Record the state of every stream that has one, until cancelled."""
    every = tape.settings.keyframe_seconds
    feeds = list(feeds)
    while True:
        streams = list(_known(feeds))
        for feed, stream in streams:
            await trio.sleep(every / len(streams))
            _write(tape, feed, stream)
        if not streams:
            await trio.sleep(every)


def _known(feeds: Iterable[Feed]) -> Iterator[tuple[Feed, str]]:
    for feed in feeds:
        for stream in feed.pool.carriers.streams():
            if feed.hub.known(stream) is not None:
                yield feed, stream


def _write(tape: Tape, feed: Feed, stream: str) -> None:
    """At once, so that exactly what has been recorded of the stream is in its state."""
    number = next((link.number for link in feed.pool.carriers.of(stream) if link.is_open), None)
    state = feed.hub.known(stream)
    body = None if state is None or number is None else state.snapshot()
    if body is not None and number is not None:
        payload = body.first() if isinstance(body, Numbered) else body
        tape.note(Kind.KEYFRAME, number, (stream,), payload)
