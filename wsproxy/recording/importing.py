"""Records of other recorders as batches of ours: connections numbered, streams named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, pairwise
from operator import le

from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind
from wsproxy.recording.formats.base import Origin, Run

Name = Callable[[Sequence[bytes], str], list[tuple[str, ...]]]
"""Names the streams of messages; the text is for those whose streams nobody knows."""


class Importer:
    """Numbers connections from 1, and keeps the monotonic clock, which no other recorder has.

    It begins as the wall clock and runs along with it; where the wall clock goes back, it stays.
    """

    def __init__(self, venue: str, name: Name, stream: str | None = None) -> None:
        """``stream`` is the name for messages whose streams nobody knows, if not the file's own."""
        self._venue = venue
        self._name = name
        self._stream = stream
        self._numbers: dict[Origin, int] = {}
        self._skew = 0
        """The monotonic clock minus the wall clock, ns."""
        self._last: int | None = None
        """The wall clock of the last record."""

    def batches(
        self, runs: Iterable[Run], introduce: Callable[[ConnectionInfo], None]
    ) -> Iterator[Batch]:
        """These records; ``introduce`` is told of each connection before its first batch."""
        for run in runs:
            if not run.payloads:
                continue
            number = self._numbers.get(run.origin)
            if number is None:
                number = self._numbers[run.origin] = len(self._numbers) + 1
                introduce(ConnectionInfo(number, self._venue, run.origin.url))
            streams = self._streams(run)
            opcodes = None if run.opcode == TEXT else bytes([run.opcode]) * len(run.payloads)
            for start, end in _rising(run.times):
                yield self._batch(run, number, streams, opcodes, slice(start, end))

    def _batch(
        self,
        run: Run,
        number: int,
        streams: list[tuple[str, ...]],
        opcodes: bytes | None,
        part: slice,
    ) -> Batch:
        times = run.times[part]
        if self._last is not None and times[0] < self._last:
            self._skew += self._last - times[0]
        self._last = times[-1]
        return Batch(
            run.kind,
            number,
            times[0],
            times[0] + self._skew,
            run.payloads[part],
            None if opcodes is None else opcodes[part],
            streams[part],
            times,
        )

    def _streams(self, run: Run) -> list[tuple[str, ...]]:
        if run.kind is not Kind.MESSAGE:
            return []
        return self._name(run.payloads, self._stream or run.origin.stream)


def _rising(times: Sequence[int]) -> list[tuple[int, int]]:
    """The runs in which time does not go back: begin and end of each."""
    if all(map(le, times, islice(times, 1, None))):
        return [(0, len(times))]
    steps = [i for i, (one, other) in enumerate(pairwise(times), 1) if other < one]
    return list(pairwise([0, *steps, len(times)]))
