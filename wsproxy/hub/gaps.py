"""Holes in streams: noticed by a lost connection or by a jump of the venue's sequence numbers.

A hole is complete when its end is known. For a stream whose numbers have no gaps that is its next
message, which also says whether anything was missed at all; for any other, the venue's new grant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from wsproxy.venues.base import Numbers, Span, Venue


class Gap(NamedTuple):
    """Messages of these streams may be missing between two moments."""

    connection: int
    """The one that was lost, or on which the numbers jumped."""
    streams: tuple[str, ...]
    why: str
    since_ns: int
    """Wall clock. The gap ends when it is reported, unless ``until_ns`` says when."""
    last: int | None = None
    first: int | None = None
    """Sequence numbers before and behind it, where the venue has them."""
    until_ns: int | None = None
    """Where it ended earlier than it is reported."""

    @property
    def missed(self) -> int | None:
        """How many numbers are missing; None if nothing says so."""
        return None if self.last is None or self.first is None else self.first - self.last - 1


class Hole(NamedTuple):
    """A gap whose end is not known yet."""

    connection: int
    why: str
    since_ns: int
    until_ns: int | None = None
    """When the messages behind it came, where they are here already."""


class Gaps:
    """The holes in the streams of one venue. Complete ones collect in ``found``."""

    def __init__(self, venue: Venue) -> None:
        self.found: list[Gap] = []
        self.jumps: list[Gap] = []
        """Those of ``found`` that came unannounced, on a healthy connection."""
        self.wall_ns = 0
        """When the messages that are fed now came, and on which connection."""
        self.connection = 0
        self._venue = venue
        self.holes: dict[str, Hole] = {}
        """The streams of which messages are being missed."""
        self._sequences: dict[str, Sequence] = {}

    def watch(self, stream: str, payload: bytes) -> Callable[[bytes], None] | None:
        """What to feed the stream's messages to, from this one on; None if it has no sequence."""
        sequence = self._sequences.get(stream)
        if sequence is None:
            numbers = self._venue.numbers(stream)
            if numbers is None or numbers(payload) is None:
                self.live([stream])
                return None
            sequence = self._sequences[stream] = Sequence(self, numbers, stream)
        return sequence.feed

    def lost(self, streams: Iterable[str], hole: Hole) -> None:
        """Messages of these streams are being missed from now on."""
        for stream in streams:
            self.holes.setdefault(stream, hole)

    def live(self, streams: Iterable[str]) -> None:
        """Messages of these streams come again."""
        ended: dict[Hole, list[str]] = {}
        for stream in streams:
            if stream in self.holes and stream not in self._sequences:
                ended.setdefault(self.holes.pop(stream), []).append(stream)
        self.found += [
            Gap(hole.connection, tuple(names), hole.why, hole.since_ns, until_ns=hole.until_ns)
            for hole, names in ended.items()
        ]

    def end(self, streams: Iterable[str]) -> None:
        """Nothing more will come of these: their holes end here."""
        for stream in streams:
            self._sequences.pop(stream, None)
        self.live(streams)

    def forget(self, stream: str) -> None:
        """The stream is not wanted any more: what is missed is no loss."""
        self.holes.pop(stream, None)
        self._sequences.pop(stream, None)

    def finish(self) -> None:
        """Nothing more will come: every hole ends here."""
        self.end(list(self.holes))

    def followed(self, stream: str, last: int, first: int, since_ns: int) -> None:
        """Between these two sequence numbers there was a hole, or it might have been one."""
        hole = self.holes.pop(stream, None)
        if first == last + 1:
            return
        if first <= last:  # the venue counts anew: the numbers say nothing about what was missed
            if hole is not None:
                self.found.append(Gap(hole.connection, (stream,), hole.why, hole.since_ns))
            return
        why = f"the sequence jumped from {last} to {first}"
        if hole is None:
            gap = Gap(self.connection, (stream,), why, since_ns, last, first)
            self.jumps.append(gap)
        else:
            since_ns = min(hole.since_ns, since_ns)
            gap = Gap(hole.connection, (stream,), hole.why, since_ns, last, first, hole.until_ns)
        self.found.append(gap)

    def pass_over(self) -> None:
        """Report nothing of what was found since the last time."""
        self.found.clear()
        self.jumps.clear()

    def take(self) -> list[Gap]:
        """The complete gaps since the last time."""
        found, self.found = self.found, []
        return found

    def take_jumps(self) -> list[Gap]:
        """Those of them that nobody has been told of."""
        jumps, self.jumps = self.jumps, []
        return jumps

    def last(self, stream: str) -> Span | None:
        """The last numbers of a stream that has some."""
        sequence = self._sequences.get(stream)
        if sequence is None or sequence.last is None:
            return None
        return Span(sequence.first, sequence.last, gapless=True)

    def run(self, stream: str) -> Span | None:
        """The numbers that came without a break up to the last; None if none has come."""
        sequence = self._sequences.get(stream)
        if sequence is None or sequence.last is None:
            return None
        return Span(sequence.begin, sequence.last, gapless=True)

    @property
    def open(self) -> int:
        """How many streams have a hole now."""
        return len(self.holes)


class Sequence:
    """Watches the numbers of one stream. ``feed`` runs once a message."""

    __slots__ = ("_gaps", "_numbers", "_seen_ns", "_stream", "begin", "first", "last")

    def __init__(self, gaps: Gaps, numbers: Numbers, stream: str) -> None:
        self.first = 0
        self.last: int | None = None
        """The numbers of the last message."""
        self.begin = 0
        """The first number of the run without a break that ``last`` is the end of."""
        self._gaps = gaps
        self._numbers = numbers
        self._stream = stream
        self._seen_ns = 0

    def feed(self, payload: bytes) -> None:
        """Take in one delivered message."""
        numbers = self._numbers(payload)
        if numbers is None:
            return
        gaps, before, first = self._gaps, self.last, numbers[0]
        self.first, self.last = numbers
        if before is None:
            self.begin = first
        elif first != before + 1 or self._stream in gaps.holes:
            gaps.followed(self._stream, before, first, self._seen_ns)
            if first != before + 1:
                self.begin = first
        self._seen_ns = gaps.wall_ns
