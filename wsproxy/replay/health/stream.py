"""The health of one stream of a recording."""

from __future__ import annotations

from collections.abc import Callable

from wsproxy.model import StreamKey
from wsproxy.replay.health.cover import Cover
from wsproxy.replay.health.numbers import StreamNumbers
from wsproxy.replay.health.quantiles import Quantiles
from wsproxy.replay.health.silence import Silence
from wsproxy.venues.base import Span, Venue

_ENOUGH = 100
"""Messages with a venue time from which on their percentiles mean something."""
_EARLY = 0.01

OnHole = Callable[[StreamKey, int, int], object]
"""Is told of each time, monotonic, ns, when a stream was not there; they may overlap."""


class StreamHealth:
    """Collects what is known of a stream, record by record; complete after ``finish``.

    Times are monotonic, ns.
    """

    def __init__(self, key: StreamKey, venue: Venue | None, on_hole: OnHole | None) -> None:
        self.key = key
        self.messages = 0
        self.gaps = 0
        """GAP records about it."""
        self.numbers: StreamNumbers | None = None
        """None where the venue does not number the stream without gaps."""
        self.latency = Quantiles()
        """Receive time minus venue time, ns, of the messages that have one."""
        self.early = 0
        """Messages that were received before the venue sent them, as the clocks say."""
        self.cover = Cover(self._hole)
        self.silence = Silence()
        self._venue = venue
        self._on_hole = on_hole

    @property
    def is_mute(self) -> bool:
        """Whether it was granted and said nothing at all."""
        return not self.messages and self.cover.wanted > self.cover.missing

    @property
    def offset(self) -> int | None:
        """By how much the clock is behind the venue's at least, ns; None if that cannot be told.

        It takes more than one message in a hundred: a single one may be the venue's mistake.
        """
        lowest = self.latency.quantile(_EARLY) if self.latency.count >= _ENOUGH else None
        return None if lowest is None else max(0, -lowest)

    @property
    def slowness(self) -> int | None:
        """What 99 of 100 latencies do not exceed, ns; None if there are too few to tell."""
        return self.latency.quantile(0.99) if self.latency.count >= _ENOUGH else None

    def message(self, connection: int, payload: bytes, now: int, latency: int | None) -> None:
        """A message came. The hot path of health checks."""
        if connection not in self.cover.carriers and not self.cover.is_late(connection):
            self.granted(connection, now)
        if not self.messages and self._is_numbered(payload):
            self.numbers = StreamNumbers()
        self.messages += 1
        self.silence.message(now)
        if latency is not None:
            self.latency.add(latency)
            self.early += latency < 0
        if self.numbers is not None and self._venue is not None:
            span = self._venue.mark(payload, self.key.name)
            if isinstance(span, Span):
                self.numbers.feed(connection, span)

    def _is_numbered(self, payload: bytes) -> bool:
        """Whether the stream has numbers without gaps, as its first message tells."""
        mark = None if self._venue is None else self._venue.mark(payload, self.key.name)
        return isinstance(mark, Span) and mark.gapless

    def granted(self, connection: int, now: int) -> None:
        """A connection carries it."""
        self.cover.carry(connection, now)
        self.silence.start(now)

    def given_up(self, connection: int, now: int) -> None:
        """It was refused, or is not wanted any more, on a connection."""
        self.cover.give_up(connection, now)
        if not self.cover.carriers:
            self.silence.stop(now)
            if self.numbers is not None:
                self.numbers.restart()

    def closed(self, connection: int, now: int, *, by_us: bool) -> None:
        """A connection ended, or the recorder closed it."""
        if connection in self.cover.carriers:
            self.cover.drop(connection, now, by_us=by_us)
            if self.numbers is not None:
                self.numbers.leave(connection)
            if not self.cover.carriers:
                self.silence.stop(now)

    def finish(self, now: int) -> None:
        """The recording ends."""
        self.cover.finish(now)
        self.silence.stop(now)

    def _hole(self, start: int, end: int) -> None:
        self.silence.hole(start, end)
        if self._on_hole is not None:
            self._on_hole(self.key, start, end)
