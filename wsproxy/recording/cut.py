"""A piece of a recording: some of its time, some of its streams, and the state at its start."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from wsproxy.model import ConnectionInfo, Instant, Kind, Message, StreamKey
from wsproxy.recording.events import acknowledged
from wsproxy.recording.reader import Recording
from wsproxy.recording.rewrite import Progress, Written, made, rewrite
from wsproxy.recording.times import Moment

_OF_STREAMS = frozenset({Kind.MESSAGE, Kind.REQUEST, Kind.KEYFRAME, Kind.ATTACHMENT})
_STANDING = (Kind.ACKNOWLEDGED, Kind.REFUSED, Kind.UNSUBSCRIBED, Kind.CLOSED, Kind.ATTACHMENT)


Books = Callable[[StreamKey, int], bytes | None]
"""Gives a snapshot, as an ATTACHMENT's payload, of a stream's book before a time (wall clock, ns).

None for streams that need none, and where it is not known.
"""


def cut(
    recording: Recording,
    out: Path,
    *,
    streams: Sequence[StreamKey | str] = (),
    start: Moment | None = None,
    end: Moment | None = None,
    books: Books = lambda stream, time: None,
    progress: Progress | None = None,
) -> Written:
    """Write the records of ``start`` ≤ time < ``end`` as the new recording ``out``.

    With ``streams``, only the records that name one of them, and those that name none but say
    what happened at their venues. What was known at ``start`` comes first: see ``opening``.

    ``recording`` has to know the venues' states. Raises as ``rewrite`` and, where a stream does
    not occur or a time is none, as ``Recording.messages`` does.
    """
    wanted = recording.resolve(streams) if streams else None
    records = chosen(recording.messages(None, start, end, kinds=None), wanted)
    first = next(records, None)
    known: Iterator[Message] = iter(())
    if first is not None and start is not None:
        start_ns = recording.moment(start)
        at = Instant(start_ns, first.mono - (first.time - start_ns))
        known = opening(recording, at, wanted, books)
    return rewrite(
        chain(known, () if first is None else (first,), records),
        recording.connections,
        out,
        venues=recording.info.venues,
        tool="cut",
        progress=progress,
    )


def chosen(records: Iterator[Message], wanted: frozenset[StreamKey] | None) -> Iterator[Message]:
    """The records that belong into a cut of these streams; None wants all."""
    if wanted is None:
        yield from records
        return
    names: dict[str, set[str]] = {}
    for venue, name in wanted:
        names.setdefault(venue, set()).add(name)
    for message in records:
        here = names.get(message.venue)
        if message.streams:
            if here is not None and not here.isdisjoint(message.streams):
                yield message
        elif message.kind not in _OF_STREAMS and (here is not None or not message.connection):
            yield message


def opening(
    recording: Recording, at: Instant, wanted: frozenset[StreamKey] | None, books: Books
) -> Iterator[Message]:
    """What was known at this time of these streams, as records of this time.

    Which streams were granted, on which connection; of each stream its book, or else its last
    attachment; and, as a keyframe, the state of each stream that has one.
    """
    granted: dict[StreamKey, int] = {}
    attached: dict[StreamKey, Message] = {}
    for message in recording.messages(None, None, at.wall_ns, _STANDING):
        keys = [StreamKey(message.venue, name) for name in message.streams]
        match message.kind:
            case Kind.ACKNOWLEDGED:
                granted |= dict.fromkeys(keys, message.connection)
            case Kind.ATTACHMENT:
                attached |= dict.fromkeys(keys, message)
            case Kind.CLOSED:
                closed = message.connection
                granted = {key: number for key, number in granted.items() if number != closed}
            case _:
                for key in keys:
                    if granted.get(key) == message.connection:
                        del granted[key]
    if wanted is not None:
        granted = {key: number for key, number in granted.items() if key in wanted}
        attached = {key: message for key, message in attached.items() if key in wanted}
    infos = {0: ConnectionInfo(0, "", "")} | recording.connections
    for number in sorted(set(granted.values())):
        names = tuple(key.name for key, carrier in granted.items() if carrier == number)
        yield made(Kind.ACKNOWLEDGED, at, infos[number], names, acknowledged(names))
    of_venue = {info.venue: number for number, info in infos.items()}
    for key in sorted(recording.streams if wanted is None else wanted):
        book = books(key, at.wall_ns)
        if book is not None:
            attached.pop(key, None)
            info = infos[granted.get(key, of_venue[key.venue])]
            yield made(Kind.ATTACHMENT, at, info, (key.name,), book)
    for message in dict.fromkeys(attached.values()):
        info = infos[message.connection]
        yield made(Kind.ATTACHMENT, at, info, message.streams, message.payload)
    for key, payload in sorted(recording.state_at(at.wall_ns, wanted).items()):
        info = infos[granted.get(key, of_venue[key.venue])]
        yield made(Kind.KEYFRAME, at, info, (key.name,), payload)
