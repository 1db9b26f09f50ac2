"""Which connections carry a stream, and whose messages of it go to clients.

Mostly one carries it and all it says is delivered. With redundancy always, and for a while when
a stream changes connections, several do: then a ``Join`` makes one of their messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from wsproxy.hub.join import Item, Join, Lead, Removed
from wsproxy.hub.link import Link, Phase
from wsproxy.venues.base import Span, State, Venue


class Carriers:
    """The links of every stream, in the order in which they came to carry it.

    To a join, a line is a connection: it has the connection's number. ``known`` gives the
    late-join state of a stream, ``last`` its last sequence numbers, as far as there are any.
    """

    def __init__(
        self,
        venue: Venue,
        known: Callable[[str], State | None],
        last: Callable[[str], Span | None],
    ) -> None:
        self.joins: dict[str, Join] = {}
        self.joining: dict[str, None] = {}
        """Streams with a line that has not joined, or may not have."""
        self._venue = venue
        self._known = known
        self._last = last
        self._links: dict[str, list[Link]] = {}

    def of(self, stream: str) -> Sequence[Link]:
        """The links that carry it."""
        return self._links.get(stream, ())

    def streams(self) -> Iterable[str]:
        """Every stream that is carried."""
        return self._links.keys()

    def add(self, stream: str, link: Link) -> None:
        """A link carries the stream from now on, too."""
        links = self._links.setdefault(stream, [])
        links.append(link)
        if len(links) > 1:
            self._joined(stream)

    def remove(self, stream: str, link: Link, now_ns: int) -> Removed:
        """A link does not carry the stream any more."""
        links = self._links[stream]
        links.remove(link)
        removed = self._cut(stream, link, now_ns)
        if not links:
            del self._links[stream]
            self._forget(stream)
        return removed

    def asked(self, link: Link, streams: Iterable[str]) -> None:
        """A link asks the venue for these streams: messages may come."""
        for stream in streams:
            if len(self._links.get(stream, ())) < 2 and stream not in self.joins:
                continue
            join = self._joined(stream)
            if link.number is not None and link.number not in join.lines:
                join.add(link.number, source=not join.lines)
                self.joining[stream] = None

    def acknowledged(self, link: Link, streams: Iterable[str], now_ns: int) -> None:
        """The venue granted these streams to a link."""
        for stream in streams:
            join = self.joins.get(stream)
            if join is not None and link.number is not None and link.number in join.lines:
                join.acknowledged(link.number, now_ns)

    def ended(self, stream: str, link: Link, now_ns: int) -> Removed:
        """The connection of a link has ended; the link still is to carry the stream."""
        came = stream in link.delivered or link.streams[stream] is Phase.LIVE
        join = self.joins.get(stream)
        if join is None:
            return Removed(whole=not came, items=[])
        nothing_came = not came and join.last_ns is None
        removed = self._cut(stream, link, now_ns)
        return Removed(removed.whole or nothing_came, removed.items)

    def time_ns(self, stream: str, now_ns: int) -> int:
        """The time as its lines have it: a recording brings now what others brought long ago."""
        recorded = (link.last_message.mono_ns for link in self.of(stream) if link.is_recorded)
        return min(recorded, default=now_ns)

    def leads(self) -> dict[int | None, Lead]:
        """By connection, how often and by how much it was the first with what others carry, too."""
        leads: dict[int | None, Lead] = {}
        for join in self.joins.values():
            for line, lead in join.leads().items():
                so_far = leads.get(line, Lead(0, 0))
                leads[line] = Lead(so_far.wins + lead.wins, so_far.lead_ns + lead.lead_ns)
        return leads

    def is_delivered(self, stream: str, links: Iterable[Link]) -> bool:
        """Whether one of these links, of several that carry the stream, delivers all of it."""
        join = self.joins.get(stream)
        return join is not None and any(
            link.number is not None and link.number in join.lines and join.is_joined(link.number)
            for link in links
        )

    def may_deliver(self, stream: str, link: Link) -> bool:
        """Whether messages of the stream are wanted from this link."""
        return not link.is_torn and link in self.of(stream)

    def deliver(self, stream: str, link: Link, payload: bytes, now_ns: int) -> list[Item]:
        """What clients get now that a link brought a message of the stream."""
        if link.number is None or not self.may_deliver(stream, link):
            return []
        join = self.joins.get(stream)
        if join is None:
            return [Item(link.number, payload)]
        if link.number not in join.lines:
            return []
        items = join.offer(link.number, payload, now_ns)
        if len(join.joined) < len(join.lines):
            self.joining[stream] = None
        elif items and len(join.lines) == len(self._links[stream]) == 1:
            self._forget(stream)  # alone, and with the first message that is new not behind either
        return items

    def _joined(self, stream: str) -> Join:
        """The join of a stream that several links carry."""
        join = self.joins.get(stream)
        if join is None:
            known = partial(self._known, stream) if self._venue.state(stream) is not None else None
            join = Join(
                self._venue,
                stream,
                last=self._last(stream),
                known=known,
                heard=partial(self._heard, stream),
                silence_ns=self._venue.profile.silence_ns,
            )
            self.joins[stream] = join
            for link in self._links[stream]:
                if link.number is not None and link.streams[stream] is not Phase.PLANNED:
                    join.add(link.number, source=True)
        return join

    def _heard(self, stream: str, number: int) -> int:
        """When anything came on the connection of this number; monotonic clock."""
        heard = (link.last_message.mono_ns for link in self.of(stream) if link.number == number)
        return max(heard, default=0)

    def _cut(self, stream: str, link: Link, now_ns: int) -> Removed:
        join = self.joins.get(stream)
        if join is None or link.number is None or link.number not in join.lines:
            return Removed(whole=True, items=[])
        removed = join.remove(link.number, now_ns)
        if not join.lines:
            self._forget(stream)
        return removed

    def _forget(self, stream: str) -> None:
        self.joins.pop(stream, None)
        self.joining.pop(stream, None)
