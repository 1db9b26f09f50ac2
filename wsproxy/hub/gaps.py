"""Holes in streams: noticed by a lost connection or by a jump of the venue's sequence numbers.

A hole is complete when its end is known. For a stream whose numbers have no gaps that is its next
message, which also says whether anything was missed at all; for any other, the venue's new grant.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
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
        self._sequences: dict[str, Sequenced] = {}

    def watch(self, stream: str, payload: bytes) -> Sequenced | None:
        """The stream's sequence, which wants all messages from this one on; None if it has none."""
        sequence = self._sequences.get(stream)
        if sequence is None:
            numbers = self._venue.numbers(stream)
            if numbers is None or numbers([payload])[0] is None:
                self.live([stream])
                return None
            sequence = self._sequences[stream] = Sequenced(stream, numbers)
        return sequence

    def feed(self, sequences: Sequence[Sequenced], payloads: Sequence[bytes]) -> None:
        """Take in delivered messages, each of the stream whose sequence is given with it."""
        readers = dict.fromkeys([sequence.read for sequence in sequences])
        for read in readers:
            if len(readers) > 1:
                mine = [sequence.read == read for sequence in sequences]
                self._feed(list(compress(sequences, mine)), read(list(compress(payloads, mine))))
            else:
                self._feed(sequences, read(payloads))

    def _feed(
        self, sequences: Sequence[Sequenced], numbers: Sequence[tuple[int, int] | None]
    ) -> None:
        holes, seen_ns = self.holes, self.wall_ns
        for sequence, found in zip(sequences, numbers, strict=True):
            if found is None:
                continue
            first, before = found[0], sequence.last
            if before is None:
                sequence.begin = first
            elif first != before + 1 or (holes and sequence.stream in holes):
                self.followed(sequence.stream, before, first, sequence.seen_ns)
                if first != before + 1:
                    sequence.begin = first
            sequence.first, sequence.last = found
            sequence.seen_ns = seen_ns

    def feed_one(self, sequence: Sequenced, payload: bytes) -> None:
        """Take in one delivered message."""
        self.feed([sequence], [payload])

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


class Sequenced:
    """The numbers of one stream, which have no gaps."""

    __slots__ = ("begin", "first", "last", "read", "seen_ns", "stream")

    def __init__(self, stream: str, read: Numbers) -> None:
        self.stream = stream
        self.read = read
        self.first = 0
        self.last: int | None = None
        """The numbers of the last message."""
        self.begin = 0
        """The first number of the run without a break that ``last`` is the end of."""
        self.seen_ns = 0
        """When the last message came, wall clock."""
