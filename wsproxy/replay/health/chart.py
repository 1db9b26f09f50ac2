"""What a picture of a recording shows: messages, holes and latencies over time, in buckets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wsproxy.model import Instant, StreamKey
from wsproxy.replay.health.quantiles import Quantiles

BUCKETS = 160


class Lane:
    """One row of the picture: a stream, or several together."""

    def __init__(self, keys: Sequence[StreamKey]) -> None:
        self.keys = keys
        self.messages = [0] * BUCKETS
        self.latency = [Quantiles() for _ in range(BUCKETS)]
        self._has_hole = bytearray(BUCKETS)

    def add(self, bucket: int, latency: int | None) -> None:
        """A message."""
        self.messages[bucket] += 1
        if latency is not None:
            self.latency[bucket].add(latency)

    def hole(self, first: int, last: int) -> None:
        """From the one bucket to the other, at least one of the streams was not there."""
        self._has_hole[first : last + 1] = b"\1" * (last + 1 - first)

    @property
    def holes(self) -> Iterator[tuple[int, int]]:
        """The runs of buckets with holes: the first, and the one behind the last."""
        end = 0
        while (start := self._has_hole.find(1, end)) >= 0:
            end = self._has_hole.find(0, start)
            end = BUCKETS if end < 0 else end
            yield start, end


class Chart:
    """Observes an examination.

    The ``most`` streams that come first have lanes of their own, the others one together; another
    one shows everything. Memory does not depend on how many streams there are.
    """

    def __init__(
        self, start: Instant, duration: int, keys: Sequence[StreamKey], most: int = 12
    ) -> None:
        self.start = start
        self.duration = max(duration, BUCKETS * 1_000)
        """ns. A bucket has one µs at least."""
        own, rest = (keys, []) if len(keys) <= most + 1 else (keys[:most], keys[most:])
        self.every = Lane(keys) if len(keys) > 1 else None
        self.lanes = [Lane([key]) for key in own]
        self.rest = Lane(rest) if rest else None
        self._lanes = {lane.keys[0]: lane for lane in self.lanes}
        self._lanes |= {key: self.rest for key in rest if self.rest is not None}

    def message(self, key: StreamKey, now: int, latency: int | None) -> None:
        """A message of the stream came, at this time on the monotonic clock."""
        bucket = self._bucket(now)
        self._lanes[key].add(bucket, latency)
        if self.every is not None:
            self.every.add(bucket, latency)

    def hole(self, key: StreamKey, start: int, end: int) -> None:
        """The stream was not there between these times."""
        first, last = self._bucket(start), self._bucket(end - 1)
        self._lanes[key].hole(first, last)
        if self.every is not None:
            self.every.hole(first, last)

    def _bucket(self, now: int) -> int:
        at = (now - self.start.mono_ns) * BUCKETS // self.duration
        return min(max(at, 0), BUCKETS - 1)
