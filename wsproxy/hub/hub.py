"""The hub of one venue: who gets what.

Control plane: ``handle(event, now)`` changes the state and returns what to do about it, all at
once and without waiting. Data plane: ``route(batch)`` spreads messages, ``deliveries()`` gives
the bytes for each client. Nothing here touches a socket, a file or a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from wsproxy.hub.backlog import Backlog
from wsproxy.hub.client import Client
from wsproxy.hub.dedicated import Dedicated
from wsproxy.hub.desk import Desk
from wsproxy.hub.events import (
    ClientJoined,
    ClientLagged,
    ClientLeft,
    ClientSaid,
    Command,
    Event,
    Note,
    SendClient,
    Tick,
    UpstreamClosed,
    UpstreamDeferred,
    UpstreamOpened,
    UpstreamSaid,
    UpstreamSent,
    Warn,
)
from wsproxy.hub.leadin import LeadIn
from wsproxy.hub.limits import Budget
from wsproxy.hub.link import Link
from wsproxy.hub.pool import Pool
from wsproxy.hub.routing import Route, Routing
from wsproxy.hub.supply import Catalogue, Refusal
from wsproxy.model import Batch, Instant, Kind
from wsproxy.recording import events as record
from wsproxy.venues.base import Data, Notice, State, Unknown, Venue


class Hub:
    """Clients on one side, a supply of streams on the other, one venue's words between them."""

    def __init__(self, venue: Venue, *, close_on_gap: bool = True) -> None:
        self.venue = venue
        self._gaps = 0
        self._close_on_gap = close_on_gap
        self._out: list[Command] = []
        self._routing = Routing(venue)
        self._desk = Desk(venue, self._routing, self._out)
        self._pool: Pool | None = None
        self._lead_in: LeadIn | None = None
        self._named_routes: dict[tuple[str, ...], Route] = {}
        self._played = 0

    # --- where streams come from: one of the two ---

    def go_live(
        self,
        budget: Budget,
        *,
        linger_ns: int,
        numbers: Iterator[int],
        jitter: Callable[[], float],
        redundancy: Callable[[str], int] = lambda stream: 1,
        mirrors: Sequence[float] = (1.0,),
        private: bool = True,
    ) -> Pool:
        """Take streams from the venue, through a pool of connections.

        ``private`` says whether clients may have dedicated ones, too. For the rest see ``Pool``.
        """
        self._desk.supply = self._pool = pool = Pool(
            self.venue,
            budget,
            self._routing,
            linger_ns=linger_ns,
            numbers=numbers,
            jitter=jitter,
            redundancy=redundancy,
            mirrors=mirrors,
        )
        if private:
            self._desk.dedicated = Dedicated(self.venue, pool, numbers)
        else:
            why = "the proxy passes on nothing private (--private refuse)"
            self._desk.dedicated = Refusal(why)
        return pool

    def play(self, streams: frozenset[str], refused: Mapping[str, str] | None = None) -> Catalogue:
        """Take streams from a recording that holds these; ``refused`` were not granted then."""
        self._desk.supply = catalogue = Catalogue(streams, refused)
        return catalogue

    def lead_in(self, streams: frozenset[str], refused: Mapping[str, str], number: int) -> LeadIn:
        """Take these streams from a recording first; after ``go_live``. See ``LeadIn``."""
        assert self._pool is not None, "streams go on live"
        lead_in = LeadIn(self.venue, self._pool, self._routing, streams, refused, number)
        self._desk.supply = self._lead_in = lead_in
        return lead_in

    def end_lead_in(self, why: str, now: Instant) -> list[Command]:
        """The recording is over: all streams are live, as far as they can be."""
        lead_in, self._lead_in = self._lead_in, None
        assert self._pool is not None
        assert lead_in is not None, "there was one"
        self._flush()
        lost = lead_in.end(why, now)
        self._desk.supply = self._pool
        self._missed(lost, why, now)
        self._pool.handover.release()  # now, for it says what is missing, and to whom no more
        return self.handle(Tick(), now)

    # --- control plane ---

    @property
    def clients(self) -> dict[int, Client]:
        """Those who are served, by number."""
        return self._desk.clients

    @property
    def gaps(self) -> int:
        """How many there were, each in one stream; those that go on count, too."""
        return self._gaps + (0 if self._pool is None else self._pool.intake.gaps.open)

    @property
    def refused(self) -> Counter[str]:
        """How many requests were refused, by reason."""
        return self._desk.refused

    def handle(self, event: Event, now: Instant) -> list[Command]:
        """Take in one event; returns what the application has to do, in order.

        What was routed and not fetched by ``deliveries`` comes first: it is older.
        """
        self._flush()
        match event:
            case ClientJoined():
                self._desk.joined(event, now)
            case ClientSaid(client, payload, opcode):
                self._desk.said(client, payload, opcode, now)
            case ClientLagged(client, pending_bytes, age_ns):
                behind = f"{pending_bytes:,} bytes and {age_ns / 1e9:.1f} s behind"
                self._desk.close(client, 1008, f"lagging: {behind}", now)
            case ClientLeft(client):
                self._desk.left(client, now)
            case Tick():
                self._desk.expire(now)
            case _:
                assert self._pool is not None, f"no upstream in a replay: {event}"
                self._upstream(self._pool, event, now)
        if self._pool is not None:
            self._work(self._pool, now)
        out = self._out[:]
        self._out.clear()
        return out

    def known(self, stream: str) -> State | None:
        """The late-join state of the stream, if it has one."""
        return self._routing.known(stream)

    def settle(self) -> bool:
        """Prepare a little (a few ms) for those who join late; whether there is more to do."""
        return self._routing.settle()

    def pin(self, stream: str, now: Instant) -> list[Command]:
        """Want a stream for the recording's sake, whether clients ask for it or not.

        While it is refused it is asked for again from time to time.
        """
        self._desk.pin(stream, now)
        return self.handle(Tick(), now)

    def finish(self, now: Instant) -> list[Command]:
        """Nothing more will come: what is still missing is a gap up to now."""
        if self._pool is not None:
            self._pool.intake.gaps.finish()
        return self.handle(Tick(), now)

    def next_deadline_ns(self, now: Instant) -> int | None:
        """When a Tick is due, on the monotonic clock; None if nothing is."""
        times = self._desk.deadlines_ns()
        if self._pool is not None:
            due = self._pool.next_deadline_ns(now)
            if due is not None:
                times.append(due)
        return min(times, default=None)

    def _work(self, pool: Pool, now: Instant) -> None:
        """Do what is due, and what follows from it."""
        again = True
        while again:
            self._see_to(pool, now)
            pool.work(now)
            if self._lead_in is not None:
                self._lead_in.advance(now)
            self._flush()
            missed, pool.missed = pool.missed, []
            for stream, how in missed:
                self._missed([stream], how, now)
            pool.handover.release()
            self._flush()
            outcomes, pool.outcomes = pool.outcomes, []
            for stream, why in outcomes:
                self._desk.resolve(stream, why, now)
            again = bool(missed or outcomes or pool.intake.is_restless)
        self._out += pool.commands
        pool.commands.clear()

    def _flush(self) -> None:
        for frames, clients in self._routing.deliveries():
            self._out += [SendClient(client, frames) for client in clients]

    # --- the venue ---

    def _upstream(self, pool: Pool, event: Event, now: Instant) -> None:
        match event:
            case UpstreamOpened(connection):
                pool.opened(connection, now)
            case UpstreamSent(connection, control):
                pool.sent(connection, now, control=control)
            case UpstreamSaid(batch, position):
                link = pool.link(batch.connection)
                if link is not None:
                    self._upstream_said(pool, link, batch, position, now)
            case UpstreamDeferred():
                pool.deferred(event)
            case UpstreamClosed():
                why = _ending(event, self.venue.profile.name)
                self._missed(pool.closed(event, now, why), why, now)

    def _upstream_said(
        self, pool: Pool, link: Link, batch: Batch, position: int, now: Instant
    ) -> None:
        reading = pool.intake.read(link, batch, position)
        self._flush()
        match reading:
            case Notice(what, is_leaving):
                text = f"{self.venue.profile.name} says on connection {link.number}: {what}"
                self._out.append(Warn(text))
                if is_leaving:
                    link.is_due = not link.rotating
                else:
                    self._desk.broadcast(batch.payloads[position], pool.mine(link))
            case Data() | Unknown():
                pass
            case _:
                pool.said(link, reading, now)

    def _see_to(self, pool: Pool, now: Instant) -> None:
        """Do what the data plane has noticed."""
        intake = pool.intake
        for stream, item in intake.released:
            self._out.append(Note(Kind.MESSAGE, item.line, (stream,), item.payload))
        intake.released.clear()
        for link, how in intake.broken:
            why = f"connection {link.number} to {self.venue.profile.name} lost messages: {how}"
            self._missed(pool.replace(link, why, now), why, now)
        intake.broken.clear()
        for gap in intake.gaps.take_jumps():
            self._missed([*gap.streams], f"{gap.why} on connection {gap.connection}", now)
        for gap in intake.gaps.take():
            self._gaps += len(gap.streams)
            fields = record.gap(
                gap.streams,
                gap.why,
                gap.since_ns,
                gap.missed,
                last=gap.last,
                first=gap.first,
                until_ns=gap.until_ns,
            )
            self._out.append(Note(Kind.GAP, gap.connection, gap.streams, fields))

    def _missed(self, streams: list[str], why: str, now: Instant) -> None:
        """Clients missed messages of these streams: tell whom a fresh snapshot does not mend."""
        if not streams:
            return
        self._flush()
        venue = self.venue.profile.name
        where = f"{venue}:{streams[0]}" if len(streams) == 1 else f"{len(streams)} {venue} streams"
        self._out.append(Warn(f"gap in {where}: {why}"))
        if self._close_on_gap:
            holed = [stream for stream in streams if not self.venue.resnapshots(stream)]
            self._desk.close_those_with(holed, why, now)

    # --- data plane ---

    @property
    def messages(self) -> int:
        """How many were delivered, or would have been had somebody wanted them."""
        return self._played if self._pool is None else self._pool.intake.messages

    @property
    def is_restless(self) -> bool:
        """Whether routing found something that has to be handled: a Tick will do."""
        return self._pool is not None and self._pool.intake.is_restless

    def route(self, batch: Batch, start: int = 0, frames: bytes | None = None) -> int:
        """Spread the messages of a live batch from index ``start`` and name their streams.

        ``frames`` are all of its messages as a server's frames, if somebody has them.

        Returns the index of the first message that routing does not recognise: handle it as
        ``UpstreamSaid``, then go on behind it. ``len(batch.payloads)`` when all is done.
        """
        pool = self._pool
        link = pool.link(batch.connection) if pool is not None else None
        if pool is None or link is None:
            return len(batch.payloads)
        return pool.intake.route(link, batch, start, frames)

    def route_named(self, batch: Batch) -> None:
        """Spread the messages of a recorded batch, whose streams are named already."""
        known = self._named_routes.get
        routes = [known(names) or self._name(names) for names in batch.streams]
        self._routing.spread(batch.payloads, routes)
        self._played += len(batch.payloads)

    def _name(self, names: tuple[str, ...]) -> Route:
        route = Route(names, names)
        self._routing.remember(self._named_routes, names, route)
        return route

    def missed(self, streams: Iterable[str]) -> None:
        """A recording has a gap here: what is known of these streams is not true any more."""
        for stream in streams:
            self._routing.forget(stream)

    def leap(self, streams: Iterable[str], why: str, now: Instant) -> list[Command]:
        """The recording of these streams goes on elsewhere: nothing that is known is true there.

        Clients that a snapshot does not make whole are closed with 1012.
        """
        self._flush()
        self.missed(streams)
        for number, client in list(self.clients.items()):
            if not all(map(self.venue.resnapshots, client.active)):
                self._desk.close(number, 1012, why, now)
        return self.handle(Tick(), now)

    def deliveries(self) -> Iterator[tuple[bytes, Iterable[int]]]:
        """Encoded frames, and the clients to write them to, of all that was routed since.

        Take them all before anything else is routed or handled.
        """
        return self._routing.deliveries()

    @property
    def conflated(self) -> int:
        """How many messages were replaced by newer ones before a client had time for them."""
        return self._routing.conflated

    @property
    def behind(self) -> Iterable[int]:
        """Clients for which not only their outbox holds messages, but a backlog, too."""
        return self._routing.behind

    def backlog(self, client: int) -> Backlog | None:
        """What waits here for a client; None for clients that want every message."""
        known = self.clients.get(client)
        return None if known is None else known.member.backlog

    def fell_behind(self, client: int) -> None:
        """A client that conflates has not read what it was sent: what comes now waits here."""
        if client in self.clients:
            self._routing.fell_behind(self.clients[client].member)

    def catch_up(self, client: int) -> bytes:
        """It has, and gets these frames next. Take ``deliveries`` before."""
        known = self.clients.get(client)
        return b"" if known is None else self._routing.catch_up(known.member)


def _ending(event: UpstreamClosed, venue: str) -> str:
    """How a connection ended, as a sentence: first what tells most."""
    if event.by == "network":
        return f"connection {event.connection} to {venue} was lost: {event.reason}"
    who = venue if event.by == "peer" else "the proxy"
    reason = f": {event.reason}" if event.reason else ""
    return f"{who} closed connection {event.connection} with code {event.code}{reason}"
