"""A stream's book at any moment of a replay: a recorded snapshot, and the messages behind it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from wsproxy.model import Message
from wsproxy.venues.base import Book, Mark, Span

_NEAR_NS = 10_000_000_000
"""A snapshot mostly fits a message that came at most so long before or behind it."""

_number = attrgetter("number")

Read = Callable[[int | None, int | None], Iterator[Message]]
"""Gives the stream's messages, start ≤ time < end, wall clock, ns."""


class Snapshot(NamedTuple):
    """A recorded snapshot of a book; ``read`` gives its body."""

    number: int
    """The last (see ``Span``) that it holds."""
    time: int
    """When it was recorded, wall clock, ns."""
    connections: frozenset[int] | None
    """Those whose messages it fits; None where it is certain of which market it is."""
    read: Callable[[], bytes]


class Follower:
    """Keeps one stream's book as time goes on; where time goes back, it begins again.

    The book begins anew with each snapshot that fits, because none holds all levels. It ends
    where numbers are missing. ``make`` gives the book of a snapshot's body.
    """

    def __init__(
        self,
        snapshots: Sequence[Snapshot],
        read: Read,
        mark: Callable[[bytes], Mark],
        make: Callable[[bytes], Book],
    ) -> None:
        self.since = 0
        """When the message came that the book's snapshot goes on with, wall clock, ns."""
        self._snapshots = sorted(snapshots, key=_number)
        self._read = read
        self._mark = mark
        self._make = make
        self._book: Book | None = None
        self._last: int | None = None
        """The last number that came."""
        self._next: int | None = None
        """All messages before this time are taken in."""

    def at(self, time: int) -> Book | None:
        """The book after all messages up to this time (wall clock, ns); None if none is known.

        Where no snapshot was recorded yet of an unbroken run of messages, it is the first that
        comes: ``since`` is then later than the time.
        """
        if not self._snapshots:
            return None
        if self._book is not None and self._next is not None and self._next <= time + 1:
            self._go_on(time)
            if self._book is not None:
                return self._book
        before = [one.time for one in self._snapshots if one.time <= time]
        near = max(before) - _NEAR_NS if before else None
        for start, end in ((near, time + _NEAR_NS), (None, None)):
            self._book = self._last = None
            self._next = start
            self._go_on(time)
            self._book = self._book or self._ahead(end)
            if self._book is not None:
                break
        return self._book

    def _go_on(self, time: int) -> None:
        for message in self._read(self._next, time + 1):
            self._take(message)
        self._next = time + 1

    def _take(self, message: Message) -> None:
        span = self._new(message)
        if span is None:
            return
        if self._is_hole(span):
            self._book = None
        self._last = span.last
        fitting = self._fitting(span, message)
        if fitting is not None:
            self._book = fitting
        if self._book is not None and self._book.number < span.last:
            self._book.feed(message.payload)

    def _ahead(self, end: int | None) -> Book | None:
        """The first snapshot that the run of messages, as it goes on from here, reaches."""
        reached = self._last
        try:
            for message in self._read(self._next, end):
                span = self._new(message)
                if span is None:
                    continue
                if self._is_hole(span) or span.first - 1 > self._snapshots[-1].number:
                    return None
                fitting = self._fitting(span, message)
                if fitting is not None:
                    return fitting
                self._last = span.last
            return None
        finally:
            self._last = reached

    def _new(self, message: Message) -> Span | None:
        """What the message covers; None if nothing that has not come on another connection."""
        mark = self._mark(message.payload)
        if not isinstance(mark, Span) or (self._last is not None and mark.last <= self._last):
            return None
        return mark

    def _is_hole(self, span: Span) -> bool:
        return self._last is not None and span.first > self._last + 1

    def _fitting(self, span: Span, message: Message) -> Book | None:
        """The book of the last snapshot that this message continues."""
        index = bisect_right(self._snapshots, span.last, key=_number)
        while index and self._snapshots[index - 1].number >= span.first - 1:
            index -= 1
            snapshot = self._snapshots[index]
            if snapshot.connections is None or message.connection in snapshot.connections:
                self.since = message.time
                return self._make(snapshot.read())
        return None
