"""What comes from the venue, on its way to clients: the data plane's first half.

Each message is named by its streams, copies of what another connection brought are dropped, and
holes are noticed. What is known already goes through ``route`` a chunk at a time; its loop runs
once a message, all else is rare.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from wsproxy.hub.carriers import Carriers
from wsproxy.hub.gaps import Gaps
from wsproxy.hub.join import Item
from wsproxy.hub.link import Link
from wsproxy.hub.routing import Route, Routing
from wsproxy.model import BINARY, Batch, Instant
from wsproxy.venues.base import Data, Reading, Unknown, Venue

_COUNTED_WITHIN = 100
"""Of so many messages of a connection one has a number, if any ever has."""


class Intake:
    """Takes in the messages of one venue's connections."""

    def __init__(self, venue: Venue, routing: Routing, carriers: Carriers, gaps: Gaps) -> None:
        self.messages = 0
        """Those that were delivered, or would have been had somebody wanted them."""
        self.gaps = gaps
        self.released: list[tuple[str, Item]] = []
        """Messages that were held back, now on their way to clients, each with its stream."""
        self.broken: list[tuple[Link, str]] = []
        """Connections that lost messages, and how that showed."""
        self.progressed: set[str] = set()
        """Streams that may have been taken over by another connection."""
        self._venue = venue
        self._routing = routing
        self._carriers = carriers
        self._shared: dict[tuple[tuple[str, ...], tuple[str, ...]], Route] = {}
        """Routes of streams that several connections carry, by what is carried and delivered."""
        self._aside: set[str] = set()
        """Streams whose messages in the present batch are recorded as released, to keep order."""
        routing.gaps = gaps

    @property
    def is_restless(self) -> bool:
        """Whether something came up that the control plane has to see to."""
        return bool(
            self.progressed or self.released or self.broken or self.gaps.found or self.gaps.jumps
        )

    def route(self, link: Link, batch: Batch, start: int = 0, frames: bytes | None = None) -> int:
        """Spread the messages of a batch from index ``start`` and name their streams.

        ``frames`` are all messages of the batch as ``encode_all`` would encode them, if somebody
        has that. Returns the index of the first message that only ``read`` can understand, or
        ``len(batch.payloads)`` when all is done.
        """
        if not start:
            self.begin(link, batch)
            if batch.opcodes is None:
                found = list(map(link.routes.get, self._venue.keys(batch.payloads)))
                if None not in found:
                    self._spread(batch, batch.payloads, cast("list[Route]", found), frames)
                    return len(found)
        payloads = batch.payloads[start:] if start else batch.payloads
        binary = -1 if batch.opcodes is None else batch.opcodes.find(BINARY, start)
        if binary >= 0:
            payloads = payloads[: binary - start]
        key_of, known = self._venue.key, link.routes
        routes: list[Route] = []
        done = first = 0
        for done, payload in enumerate(payloads):
            key = key_of(payload)
            if key is None:
                break
            route = known.get(key)
            if route is None:
                carried = self._venue.streams(key, link.endpoint)
                route = self._learn(link, key, carried, payload)
                if route is None:
                    self._spread(batch, payloads[first:done], routes)
                    batch.streams.append(self.take(link, carried, payload, batch.mono_ns))
                    routes, first = [], done + 1
                    continue
            routes.append(route)
        else:
            done = len(payloads)
        self._spread(batch, payloads[first:done] if first else payloads, routes)
        return start + done

    def read(self, link: Link, batch: Batch, position: int) -> Reading:
        """Understand a message that ``route`` did not; data is spread, all else is returned."""
        payload = batch.payloads[position]
        if batch.opcodes is not None and batch.opcodes[position] == BINARY:
            reading: Reading = Unknown("a binary message")  # clients are sent text, which is UTF-8
        else:
            reading = self._venue.read(payload, link.endpoint)
        names: tuple[str, ...] = ()
        if isinstance(reading, Data):
            names = self.take(link, reading.streams, payload, batch.mono_ns)
        batch.streams.append(names)
        return reading

    def release(self, stream: str, items: Iterable[Item]) -> None:
        """Deliver messages that were held back."""
        for item in items:
            carried = self._carried(item.payload, self._venue.endpoint(stream))
            self._deliver(item.payload, carried or (stream,), (stream,))
            self.released.append((stream, item))
            self._aside.add(stream)

    def forget(self, stream: str) -> None:
        """The stream is not wanted any more."""
        self.gaps.forget(stream)
        self._routing.clear(self._shared)

    def begin(self, link: Link, batch: Batch) -> None:
        """A batch came on a link, or was read from a recording."""
        self._aside.clear()
        self.gaps.wall_ns, self.gaps.connection = batch.wall_ns, batch.connection
        link.messages += len(batch.payloads)
        if link.is_recorded:
            return
        if link.next_sequence is not None or link.unnumbered < _COUNTED_WITHIN:
            self._count(link, batch)
        if not link.is_torn:
            link.last_message = Instant(batch.wall_ns, batch.mono_ns)

    def _count(self, link: Link, batch: Batch) -> None:
        """Check the numbers of a connection's messages, where the venue counts them.

        Where some are missing nothing more is taken of it: what follows lies behind a hole.
        """
        for number in map(self._venue.sequence, batch.payloads):
            if number is None:
                continue
            due = link.next_sequence
            link.next_sequence = number + 1
            if due is not None and number != due:
                self.broken.append((link, f"message {due} was due and {number} came"))
                link.is_torn = True
                self._routing.clear(link.routes)
                return
        if link.next_sequence is None:
            link.unnumbered += len(batch.payloads)

    def _spread(
        self,
        batch: Batch,
        payloads: list[bytes],
        routes: list[Route],
        frames: bytes | None = None,
    ) -> None:
        batch.streams += [route.streams for route in routes]
        self._routing.spread(payloads, routes, frames)
        self.messages += len(routes)

    def _learn(
        self, link: Link, key: bytes, carried: tuple[str, ...], payload: bytes
    ) -> Route | None:
        """Where messages with this key go; None if others bring the same messages, too."""
        self._came(link, carried)
        if any(stream in self._carriers.joins or stream in self._aside for stream in carried):
            return None
        route = Route(carried, tuple(s for s in carried if self._carriers.may_deliver(s, link)))
        if route.streams == carried:  # else the link may come to carry more of them: ask again
            self._routing.remember(link.routes, key, route)
        return route

    def take(
        self, link: Link, carried: tuple[str, ...], payload: bytes, now_ns: int
    ) -> tuple[str, ...]:
        """Deliver what no other connection has brought; names the streams that this message won."""
        won: list[str] = []
        held: list[tuple[str, list[Item]]] = []
        self._came(link, carried)
        joining = self._carriers.joining
        for stream in carried:
            before = self._joined(stream) if stream in joining else None
            items = self._carriers.deliver(stream, link, payload, now_ns)
            if items and items[0].payload is payload and stream not in self._aside:
                won.append(stream)
                items = items[1:]
            if items:
                held.append((stream, items))
            # With redundancy all lines are joined nearly always: then there is nothing to count.
            if (before is not None or stream in joining) and (
                self._joined(stream) != before or self._is_restless(stream)
            ):
                self.progressed.add(stream)
        if won:
            self._deliver(payload, carried, tuple(won))
        for stream, items in held:
            self.release(stream, items)
        return tuple(won)

    def _deliver(self, payload: bytes, carried: tuple[str, ...], streams: tuple[str, ...]) -> None:
        route = self._shared.get((carried, streams))
        if route is None:
            route = Route(carried, streams)
            self._routing.remember(self._shared, (carried, streams), route)
        self._routing.spread([payload], [route])
        self._routing.look()
        self.messages += 1

    def _came(self, link: Link, streams: Iterable[str]) -> None:
        link.delivered.update(streams)
        for stream in streams:
            link.silent.pop(stream, None)

    def _is_restless(self, stream: str) -> bool:
        join = self._carriers.joins.get(stream)
        return join is not None and join.is_restless

    def _joined(self, stream: str) -> int:
        join = self._carriers.joins.get(stream)
        return 0 if join is None else sum(map(join.is_joined, join.lines))

    def _carried(self, payload: bytes, endpoint: str) -> tuple[str, ...]:
        key = self._venue.key(payload)
        if key is not None:
            return self._venue.streams(key, endpoint)
        reading = self._venue.read(payload, endpoint)
        return reading.streams if isinstance(reading, Data) else ()
