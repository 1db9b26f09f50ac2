"""Faults of messages: what is due is lost, late, or comes twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count

from wsproxy.config import SECOND_NS
from wsproxy.model import Batch, Kind
from wsproxy.replay.faults import Strike, chance
from wsproxy.replay.timeline import Due


def disturb(dues: Iterable[Due], strikes: Sequence[Strike], seed: int) -> Iterator[Due]:
    """The timeline with these faults, all of streams and in order of their beginning.

    What is late keeps its place among the messages of its streams. It is late in replayed time,
    so nothing depends on the speed.
    """
    late: list[tuple[int, int, Due]] = []
    held: dict[str, int] = {}
    """The position up to which messages of a stream have to wait for one before."""
    order, active = count(), _Active(strikes)
    for due in dues:
        while late and late[0][0] <= due.position:
            yield heappop(late)[2]
        batch = due.batch
        faults = active.at(batch.wall_ns)
        if batch.kind is not Kind.MESSAGE or not (faults or late):
            yield due
            continue
        for index, streams in enumerate(batch.streams):
            hits = [strike for strike in faults if strike.fault.hits(streams)]
            delay = sum(_delay(strike, batch, index, seed) for strike in hits)
            position = max(due.position + delay, *(held.get(stream, 0) for stream in streams))
            message = Due(position, _alone(batch, index, position - due.position))
            for _ in range(_copies(hits)):
                if position > due.position:
                    held.update(dict.fromkeys(streams, position))
                    heappush(late, (position, next(order), message))
                else:
                    yield message
    while late:
        yield heappop(late)[2]


class _Active:
    """Which strikes last at a time that hardly ever goes back."""

    def __init__(self, strikes: Sequence[Strike]) -> None:
        self._ahead = list(reversed(strikes))
        self._lasting: list[Strike] = []

    def at(self, time: int) -> list[Strike]:
        while self._ahead and self._ahead[-1].begin <= time:
            self._lasting.append(self._ahead.pop())
        if self._lasting:
            self._lasting = [strike for strike in self._lasting if time < strike.end]
        return self._lasting


def _delay(strike: Strike, batch: Batch, index: int, seed: int) -> int:
    """How late a message is, ns."""
    delay = int(strike.fault.delay * SECOND_NS)
    match strike.fault.kind:
        case "freeze":
            return strike.end - batch.wall_ns
        case "latency":
            return delay
        case "jitter":
            return int(chance(seed, strike.number, batch.wall_ns, batch.connection, index) * delay)
    return 0


def _copies(strikes: Iterable[Strike]) -> int:
    """How often a message comes."""
    copies = 1
    for strike in strikes:
        copies *= {"gap": 0, "duplicate": 2}.get(strike.fault.kind, 1)
    return copies


def _alone(batch: Batch, index: int, later: int) -> Batch:
    """One message of a batch, by itself, so much later."""
    return Batch(
        batch.kind,
        batch.connection,
        batch.wall_ns + later,
        batch.mono_ns + later,
        [batch.payloads[index]],
        None,
        [batch.streams[index]],
    )
