"""A recording in front of a venue's live streams: clients get it first, and then go on live."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain

from wsproxy.hub.copies import LAG_NS
from wsproxy.hub.gaps import Hole
from wsproxy.hub.link import Link, Phase
from wsproxy.hub.pool import Pool
from wsproxy.hub.routing import Route, Routing
from wsproxy.hub.supply import Catalogue, Refusal
from wsproxy.model import Batch, Instant, Kind
from wsproxy.venues.base import Venue


class LeadIn:
    """Brings the streams of a recording, each until a live connection takes it over.

    To the pool it is one more connection: one that carries all it holds, and lags behind. What
    clients ask for is granted at once, and asked for upstream as well. What comes there is held
    until it has a message in common with the recording, or follows its last number (see ``Join``).
    Time is then the recording's. ``number`` stands for it among those of the connections.
    """

    def __init__(
        self,
        venue: Venue,
        pool: Pool,
        routing: Routing,
        streams: frozenset[str],
        refused: Mapping[str, str],
        number: int,
    ) -> None:
        self._pool = pool
        self._routing = routing
        self._keepalive = venue.profile.keepalive
        self._catalogue = Catalogue(streams, refused)
        self._wanted: dict[str, None] = {}
        self._released: dict[str, None] = {}
        self._comparable_ns: float = math.inf
        """Live messages may be the same as what was recorded from this time on, not before."""
        self._routes: dict[tuple[str, ...], Route] = {}
        self._passed_ns: dict[Route, int] = {}
        """Where messages went without being compared, and when the last of them came."""
        self._link = link = Link(venue, "")
        link.number, link.is_recorded = number, True
        # Heartbeats tell that a connection lives: clients get those of the live ones only.
        for stream in sorted(streams - {self._keepalive}):
            link.streams[stream] = Phase.LIVE
            pool.carriers.add(stream, link)

    # --- what clients ask for ---

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Grant what is recorded, and ask for it upstream; see Supply."""
        if stream != self._keepalive:
            recorded = self._catalogue.want(stream, now)
            if isinstance(recorded, Refusal):
                return recorded
        wanted = self._pool.want(stream, now)
        if not isinstance(wanted, Refusal):
            self._wanted[stream] = None
            self._comparable_ns = min(self._comparable_ns, now.mono_ns - LAG_NS)
            self._released.pop(stream, None)
        return wanted

    def release(self, stream: str, now: Instant) -> None:
        """Nobody wants the stream any more: it is given up when all go on live."""
        if stream in self._wanted:
            del self._wanted[stream]
            self._released[stream] = None

    def waiting_for(self, stream: str) -> str:
        """Why a wanted stream is not live yet."""
        return self._pool.waiting_for(stream)

    # --- how far it is ---

    @property
    def left(self) -> list[str]:
        """The streams that are wanted, and that no live connection has taken over."""
        return [stream for stream in self._wanted if stream in self._link.streams]

    @property
    def waits(self) -> bool:
        """Whether the venue has not granted all of these yet."""
        return not all(map(self._is_granted, self.left))

    @property
    def held_since_ns(self) -> int | None:
        """When the first live message came that is held back; monotonic clock."""
        joins = [self._pool.carriers.joins.get(stream) for stream in self.left]
        held = [join.held_since_ns for join in joins if join is not None]
        return min((ns for ns in held if ns is not None), default=None)

    def _is_granted(self, stream: str) -> bool:
        links = self._pool.carriers.of(stream)
        return any(link is not self._link and link.streams[stream] is Phase.LIVE for link in links)

    # --- what is recorded ---

    def know(self, stream: str, snapshot: bytes) -> None:
        """The stream's state where the recording begins."""
        self._routing.know(stream, snapshot)

    def reach(self, wall_ns: int, now: Instant) -> None:
        """Everything that was recorded up to this time was routed."""
        self._link.last_message = Instant(wall_ns, now.mono_ns - (now.wall_ns - wall_ns))

    def route(self, batch: Batch, now: Instant) -> None:
        """Spread recorded messages, or take note of a recorded gap.

        What the recording lacks is history: nobody is told, but that states are not known.
        """
        self.reach(batch.wall_ns, now)
        if batch.kind is Kind.GAP:
            for stream in chain.from_iterable(batch.streams):
                if stream in self._link.streams:
                    self._routing.forget(stream)
        elif self._link.last_message.mono_ns < self._comparable_ns:
            self._spread(batch)
        else:
            self._catch_up()
            self._compare(batch, now)

    def _spread(self, batch: Batch) -> None:
        """Nothing live can be the same."""
        intake, known, at_ns = self._pool.intake, self._routes, self._link.last_message.mono_ns
        intake.begin(self._link, batch)
        routes: list[Route] = []
        for names in batch.streams:
            route = known.get(names)
            if route is None:
                mine = tuple(stream for stream in names if stream in self._link.streams)
                route = Route(names, mine)
                self._routing.remember(known, names, route)
            routes.append(route)
        self._passed_ns.update(dict.fromkeys(routes, at_ns))
        self._routing.spread(batch.payloads, routes)
        self._routing.look()
        intake.messages += len(routes)
        intake.gaps.pass_over()

    def _catch_up(self) -> None:
        """Tell the joins how far it is."""
        carriers, gaps = self._pool.carriers, self._pool.intake.gaps
        for route, at_ns in self._passed_ns.items():
            for stream in route.streams:
                if (join := carriers.joins.get(stream)) is not None:
                    self._pool.intake.release(stream, join.passed(gaps.last(stream), at_ns))
        self._passed_ns.clear()

    def _compare(self, batch: Batch, now: Instant) -> None:
        intake, joins = self._pool.intake, self._pool.carriers.joins
        at_ns = self._link.last_message.mono_ns
        intake.begin(self._link, batch)
        for payload, streams in zip(batch.payloads, batch.streams, strict=True):
            intake.take(self._link, streams, payload, at_ns)
            passed_on = [self._pass_on(stream, now) for stream in streams if stream in joins]
            if not any(passed_on):
                intake.gaps.pass_over()

    def advance(self, now: Instant) -> None:
        """Let go of what live connections deliver by now."""
        for stream in self.left:
            self._pass_on(stream, now)

    def _pass_on(self, stream: str, now: Instant) -> bool:
        carriers = self._pool.carriers
        live = [link for link in carriers.of(stream) if link is not self._link]
        if stream not in self._link.streams or not carriers.is_delivered(stream, live):
            return False
        self._pool.handover.part(stream, self._link, now)
        return True

    # --- its end ---

    def end(self, why: str, now: Instant) -> list[str]:
        """Nothing more is recorded; returns the streams of which messages are missing now.

        Those whose numbers will tell are not among them.
        """
        self._catch_up()
        self.advance(now)
        lost = [stream for stream in self.left if self._loses(stream, why, now)]
        for stream in list(self._link.streams):
            self._pool.handover.part(stream, self._link, now)
            if not self._pool.carriers.of(stream):
                self._routing.forget(stream)
                self._pool.intake.forget(stream)
                if stream in self._wanted:
                    self._pool.outcomes.append((stream, f"{why}, and the venue refuses it"))
        for stream in self._released:
            self._pool.release(stream, now)
        return lost

    def _loses(self, stream: str, why: str, now: Instant) -> bool:
        carriers, gaps = self._pool.carriers, self._pool.intake.gaps
        join = carriers.joins.get(stream)
        if len(carriers.of(stream)) == 1:
            return False  # the venue has refused it
        begin_ns = None if join is None else join.held_since_ns
        if join is not None and begin_ns is None and gaps.last(stream) and self._is_granted(stream):
            join.follow()
            return False  # as far as anybody knows
        until_ns = None if begin_ns is None else now.wall_ns - (now.mono_ns - begin_ns)
        recorded = self._link.hole(why, now)
        hole = Hole(recorded.connection, why, recorded.since_ns, until_ns)
        return self._pool.handover.lose(stream, self._link, hole, now)
