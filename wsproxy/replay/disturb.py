"""Faults of messages: what is due is lost, late, or there twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import count

from wsproxy.config import SECOND_NS
from wsproxy.model import Batch, Kind
from wsproxy.replay.faults import Strike, chance
from wsproxy.replay.timeline import Due


def disturb(dues: Iterable[Due], strikes: Sequence[Strike], seed: int) -> Iterator[Due]:
    """The timeline with these faults. What is late keeps its place among messages of its streams.

    Messages are late in replayed time, so that nothing depends on the speed.
    """
    late: list[tuple[int, int, Due]] = []
    order = count()
    behind = 0
    busy = _Busy(strikes)
    for due in dues:
        while late and late[0][0] <= due.position:
            yield heappop(late)[2]
        batch = due.batch
        active = busy.at(batch.wall_ns) if batch.kind is Kind.MESSAGE else ()
        if not active and not late:
            yield due
            continue
        for index, (payload, streams) in enumerate(
            zip(batch.payloads, batch.streams, strict=True)
        ):
            delay, copies = 0, 1
            for strike in active:
                if strike.fault.hits(streams):
                    more, times = _effect(strike, batch, index, seed)
                    delay, copies = delay + more, copies * times
            position = due.position + delay
            waits = behind_of(late, streams, position)
            for _ in range(copies):
                one = Batch(
                    batch.kind, batch.connection, batch.wall_ns, batch.mono_ns, [payload], None, [streams]
                )
                if waits > due.position:
                    heappush(late, (waits, next(order), Due(waits, one)))
                else:
                    yield Due(due.position, one)
    while late:
        yield heappop(late)[2]
