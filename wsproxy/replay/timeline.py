"""The timeline of a replay: which records, in which order, and how far apart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate, compress, islice, takewhile
from typing import NamedTuple, TypeVar

from wsproxy.model import Batch, Kind, Run

_T = TypeVar("_T")

PLAYED = frozenset({Kind.MESSAGE, Kind.GAP})
FAITHFUL = PLAYED | {Kind.ACKNOWLEDGED, Kind.CLOSED}
"""What is played if connections end as they ended then."""


class Due(NamedTuple):
    """Records that are due together, at this position of the timeline: ns since its first.

    Of a stretch they are those of its last record.
    """

    position: int
    batch: Batch


def timeline(
    batches: Iterable[Batch], *, kinds: frozenset[Kind] = PLAYED, max_idle_ns: int | None = None
) -> Iterator[Due]:
    """The records of these kinds in order, each with its position.

    What belongs to no connection is left out, and of the messages and gaps what belongs to no
    stream (the venue's replies to the recorder). Positions never go back. Where nothing comes for
    longer than ``max_idle_ns``, the next comes after so long.
    """
    last_ns: int | None = None
    position = 0
    for recorded in batches:
        batch = with_streams(recorded, kinds)
        if batch is None:
            continue
        if last_ns is None:
            last_ns = batch.mono_ns
        passed = batch.mono_ns - last_ns
        if passed > 0:
            last_ns = batch.mono_ns
            position += passed if max_idle_ns is None else min(passed, max_idle_ns)
        yield Due(position, batch)


class Stretches:
    """The same timeline of one recording, of which many moments can be taken at once.

    The batches of a stretch belong to one kind and one venue.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs = iter(runs)
        self._run = Run(Kind.MESSAGE, (), (), (), [], [])
        self._ends: list[int] = []
        """Of each record, the bytes of the run up to its end."""
        self._at = 0
        self._first_ns: int | None = None
        self._position = 0

    def next(self, most_bytes: int = 0) -> Due | None:
        """What is due next: at one moment, or a stretch of about so many bytes; None at the end."""
        if self._at == len(self._ends) and not self._turn():
            return None
        run, at = self._run, self._at
        end = self._behind(most_bytes) if most_bytes else self._behind_moment()
        last = end - 1
        passed = max(run.monos[at:end]) - (self._first_ns or 0)
        self._at, self._position = end, max(self._position, passed)
        batch = Batch(
            run.kind,
            run.connections[at],
            run.walls[last],
            run.monos[last],
            run.payloads[at:end],
            None,
            run.streams[at:end],
        )
        return Due(self._position, batch)

    def _turn(self) -> bool:
        """Whether there is another run with anything in it that is played."""
        for run in self._runs:
            played = _played(run)
            if played.payloads:
                self._run, self._at = played, 0
                self._ends = list(accumulate(map(len, played.payloads)))
                if self._first_ns is None:
                    self._first_ns = played.monos[0]
                return True
        return False

    def _behind(self, most_bytes: int) -> int:
        at = self._at
        before = self._ends[at - 1] if at else 0
        return max(at + 1, bisect_right(self._ends, before + most_bytes))

    def _behind_moment(self) -> int:
        run, at = self._run, self._at
        moment = run.connections[at], run.walls[at], run.monos[at]
        columns = (islice(column, at, None) for column in (run.connections, run.walls, run.monos))
        return at + sum(1 for _ in takewhile(moment.__eq__, zip(*columns, strict=True)))


def _played(run: Run) -> Run:
    """Only what concerns a venue's stream."""
    if run.kind not in PLAYED:
        return Run(run.kind, (), (), (), [], [])
    if all(run.streams) and all(run.connections):
        return run
    wanted = list(map(all, zip(run.connections, run.streams, strict=True)))

    def pick(column: Iterable[_T]) -> list[_T]:
        return list(compress(column, wanted))

    return Run(
        run.kind,
        pick(run.connections),
        pick(run.walls),
        pick(run.monos),
        pick(run.payloads),
        pick(run.streams),
    )


def with_streams(batch: Batch, kinds: frozenset[Kind]) -> Batch | None:
    """Only what concerns a venue's stream; None if there is nothing, or it is of another kind."""
    if batch.kind not in kinds or not batch.connection:
        return None
    if batch.kind not in PLAYED or all(batch.streams):
        return batch
    kept = [(p, s) for p, s in zip(batch.payloads, batch.streams, strict=True) if s]
    if not kept:
        return None
    payloads, streams = zip(*kept, strict=True)
    return Batch(
        batch.kind,
        batch.connection,
        batch.wall_ns,
        batch.mono_ns,
        list(payloads),
        None,
        list(streams),
    )
