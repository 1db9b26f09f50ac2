"""The hub of one venue: who gets what.

Control plane: ``handle(event, now)`` changes the state and returns what to do about it, all at
once and without waiting. Data plane: ``route(batch)`` spreads messages, ``deliveries()`` gives
the bytes for each client. Nothing here touches a socket, a file or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from wsproxy.hub.client import Client
from wsproxy.hub.events import (
    ClientJoined,
    ClientLagged,
    ClientLeft,
    ClientSaid,
    CloseClient,
    Command,
    Event,
    Note,
    SendClient,
    Tick,
    UpstreamClosed,
    UpstreamOpened,
    UpstreamSaid,
    UpstreamSent,
    Warn,
)
from wsproxy.hub.limits import Budget
from wsproxy.hub.link import Link
from wsproxy.hub.pool import Pool
from wsproxy.hub.routing import Route, Routing, framed
from wsproxy.hub.supply import Catalogue, Refusal, Supply
from wsproxy.model import BINARY, Batch, Instant, Kind
from wsproxy.recording import events as record
from wsproxy.venues.base import Body, Data, Notice, Reading, Request, Session, Unknown, Venue

PIN_RETRY_NS = 60_000_000_000
"""How long until a stream that is to be recorded, and was refused, is asked for again."""


class Hub:
    """Clients on one side, a supply of streams on the other, one venue's words between them."""

    def __init__(self, venue: Venue, *, close_on_gap: bool = True) -> None:
        self.venue = venue
        self.messages = 0
        self.gaps = 0
        self.clients: dict[int, Client] = {}
        self._close_on_gap = close_on_gap
        self._routing = Routing(venue)
        self._supply: Supply = Catalogue(frozenset())
        self._pool: Pool | None = None
        self._named_routes: dict[tuple[str, ...], Route] = {}
        self._waiting: dict[int, Client] = {}
        self._wanted_by: dict[str, dict[int, None]] = {}
        self._pinned: set[str] = set()
        self._repin_ns: dict[str, int] = {}
        self._out: list[Command] = []

    # --- where streams come from: one of the two ---

    def go_live(
        self,
        budget: Budget,
        *,
        linger_ns: int,
        numbers: Iterator[int],
        jitter: Callable[[], float],
    ) -> Pool:
        """Take streams from the venue, through a pool of connections."""
        self._supply = self._pool = Pool(
            self.venue,
            budget,
            self._routing,
            linger_ns=linger_ns,
            numbers=numbers,
            jitter=jitter,
        )
        return self._pool

    def play(self, streams: frozenset[str]) -> None:
        """Take streams from a recording that holds these."""
        self._supply = Catalogue(streams)

    # --- control plane ---

    def handle(self, event: Event, now: Instant) -> list[Command]:
        """Take in one event; returns what the application has to do, in order.

        What was routed and not fetched by ``deliveries`` comes first: it is older.
        """
        self._flush()
        match event:
            case ClientJoined(client, session):
                self._joined(client, session, now)
            case ClientSaid(client, payload, opcode):
                self._said(client, payload, opcode, now)
            case ClientLagged(client, pending_bytes, age_ns):
                behind = f"{pending_bytes:,} bytes and {age_ns / 1e9:.1f} s behind"
                self._close(client, 1008, f"lagging: {behind}", now)
            case ClientLeft(client):
                self._leave(client, now)
            case Tick():
                self._expire(now)
            case _:
                assert self._pool is not None, f"no upstream in a replay: {event}"
                self._upstream(self._pool, event, now)
        if self._pool is not None:
            self._work(self._pool, now)
        out, self._out = self._out, []
        return out

    def pin(self, stream: str, now: Instant) -> list[Command]:
        """Want a stream for the recording's sake, whether clients ask for it or not.

        While it is refused it is asked for again from time to time.
        """
        self._pinned.add(stream)
        self._repin_ns[stream] = now.mono_ns
        return self.handle(Tick(), now)

    def next_deadline_ns(self, now: Instant) -> int | None:
        """When a Tick is due, on the monotonic clock; None if nothing is."""
        times = [client.waiting[0].deadline_ns for client in self._waiting.values()]
        times += self._repin_ns.values()
        if self._pool is not None:
            due = self._pool.next_deadline_ns(now)
            if due is not None:
                times.append(due)
        return min(times, default=None)

    def _work(self, pool: Pool, now: Instant) -> None:
        pool.work(now)
        while pool.outcomes:
            outcomes, pool.outcomes = pool.outcomes, []
            for stream, why in outcomes:
                self._resolve(stream, why, now)
            pool.work(now)
        self._out += pool.commands
        pool.commands.clear()

    def _flush(self) -> None:
        for frames, clients in self._routing.deliveries():
            self._out += [SendClient(client, frames) for client in clients]

    # --- clients ---

    def _joined(self, number: int, session: Session, now: Instant) -> None:
        client = self.clients[number] = Client(number, session)
        opening = session.opening()
        if opening is not None:
            self._ask(client, opening, now)

    def _said(self, number: int, payload: bytes, opcode: int, now: Instant) -> None:
        client = self.clients.get(number)
        if client is None:
            return  # its close is under way
        if client.window.ready_at(now.mono_ns) > now.mono_ns:
            self._close(number, 1008, "Too many requests", now)
            return
        client.window.record(now.mono_ns)
        self._ask(client, client.session.read(payload, opcode), now)

    def _ask(self, client: Client, request: Request, now: Instant) -> None:
        pending = client.ask(request, now.mono_ns)
        if request.kind == "subscribe":
            for stream in request.streams:
                if stream in client.active:
                    continue
                wanted = self._supply.want(stream, now)
                if isinstance(wanted, Refusal):
                    pending.refused = wanted.why
                    break
                self._wanted_by.setdefault(stream, {})[client.member.client] = None
                if not wanted:
                    pending.outstanding.add(stream)
        self._settle(client, now)

    def _resolve(self, stream: str, why: str | None, now: Instant) -> None:
        """A stream became live, or was refused: answer those who waited for it."""
        if why is not None and stream in self._pinned:
            self._pin_refused(stream, why, now)
        for number in list(self._wanted_by.get(stream, ())):
            client = self.clients[number]
            if why is not None and stream in client.active:
                self._close(number, 1012, f"{stream} was refused after a reconnect: {why}", now)
            else:
                client.resolve(stream, why)
                self._settle(client, now)

    def _expire(self, now: Instant) -> None:
        for client in list(self._waiting.values()):
            client.expire(now.mono_ns, self._supply.waiting_for)
            self._settle(client, now)
        for stream, due_ns in list(self._repin_ns.items()):
            if due_ns <= now.mono_ns:
                del self._repin_ns[stream]
                wanted = self._supply.want(stream, now)
                if isinstance(wanted, Refusal):
                    self._pin_refused(stream, wanted.why, now)

    def _pin_refused(self, stream: str, why: str, now: Instant) -> None:
        self._repin_ns[stream] = now.mono_ns + PIN_RETRY_NS
        name = self.venue.profile.name
        again = f"trying again in {PIN_RETRY_NS // 10**9} s"
        self._out.append(Warn(f"{name}:{stream} is not recorded, {again}: {why}"))

    def _settle(self, client: Client, now: Instant) -> None:
        """Answer what can be answered, in the order in which it was asked."""
        while (pending := client.next_ready()) is not None:
            if pending.refused is None:
                self._grant(client, pending.request, now)
            else:
                self._drop_unused(client, pending.request.streams, now)
                refusal = client.session.refuse(pending.request, pending.refused, now.wall_ns)
                self._send(client, [refusal])
        if client.waiting:
            self._waiting[client.member.client] = client
        else:
            self._waiting.pop(client.member.client, None)

    def _grant(self, client: Client, request: Request, now: Instant) -> None:
        bodies: list[Body | None] = []
        if request.kind == "subscribe":
            new = [stream for stream in request.streams if stream not in client.active]
            client.active.update(dict.fromkeys(new))
            bodies += [self._routing.snapshot(stream) for stream in new]
        elif request.kind == "unsubscribe":
            for stream in request.streams:
                client.active.pop(stream, None)
            self._drop_unused(client, request.streams, now)
        bodies.append(client.session.accept(request, tuple(client.active), now.wall_ns))
        self._routing.place(client.member, client.session.view, frozenset(client.active))
        self._send(client, [body for body in bodies if body is not None])

    def _drop_unused(self, client: Client, streams: Iterable[str], now: Instant) -> None:
        """Release those of the streams that the client neither has nor still waits for."""
        kept, number = client.keeps(), client.member.client
        for stream in streams:
            wanted_by = self._wanted_by.get(stream, {})
            if stream in kept or number not in wanted_by:
                continue
            del wanted_by[number]
            if not wanted_by:
                del self._wanted_by[stream]
                if stream not in self._pinned:
                    self._supply.release(stream, now)

    def _send(self, client: Client, bodies: list[Body]) -> None:
        if bodies:
            frames = client.member.frames(map(framed, bodies))
            self._out.append(SendClient(client.member.client, frames))

    def _close(self, number: int, code: int, reason: str, now: Instant) -> None:
        if number in self.clients:
            self._leave(number, now)
            self._out.append(CloseClient(number, code, reason))

    def _leave(self, number: int, now: Instant) -> None:
        client = self.clients.pop(number, None)
        if client is None:
            return  # we closed it
        had = client.keeps()
        client.active.clear()
        client.waiting.clear()
        self._waiting.pop(number, None)
        self._routing.place(client.member, "", frozenset())
        self._drop_unused(client, sorted(had), now)

    # --- the venue ---

    def _upstream(self, pool: Pool, event: Event, now: Instant) -> None:
        match event:
            case UpstreamOpened(connection):
                pool.opened(connection, now)
            case UpstreamSent(connection, control):
                pool.sent(connection, now, control=control)
            case UpstreamSaid(batch, position):
                self._upstream_said(pool, batch, position)
            case UpstreamClosed():
                lost = pool.closed(event, now)
                if lost:
                    self._gap(event, lost, now)

    def _upstream_said(self, pool: Pool, batch: Batch, position: int) -> None:
        link = pool.link(batch.connection)
        if link is None:
            return
        payload = batch.payloads[position]
        if batch.opcodes is not None and batch.opcodes[position] == BINARY:
            reading: Reading = Unknown("a binary message")  # clients are sent text, which is UTF-8
        else:
            reading = self.venue.read(payload, link.endpoint)
        names: tuple[str, ...] = ()
        match reading:
            case Data(streams):
                names = tuple(stream for stream in streams if pool.owns(link, stream))
                self._routing.spread([payload], [Route(streams, names)])
                self._flush()
            case Notice(what):
                self._broadcast(payload, [s for s in link.streams if pool.owns(link, s)])
                text = f"{self.venue.profile.name} says on connection {link.number}: {what}"
                self._out.append(Warn(text))
            case Unknown():
                pass
            case _:
                pool.said(link, reading)
        self.messages += 1
        batch.streams.append(names)

    def _broadcast(self, payload: bytes, streams: list[str]) -> None:
        told = dict.fromkeys(n for s in streams for n in self._wanted_by.get(s, ()))
        for number in told:
            client = self.clients[number]
            self._send(client, [self.venue.render(payload, client.session.view, None)])

    def _gap(self, event: UpstreamClosed, lost: list[str], now: Instant) -> None:
        self.gaps += len(lost)
        name = self.venue.profile.name
        end = f"code {event.code}" + (f", {event.reason}" if event.reason else "")
        why = f"connection {event.connection} to {name} was closed by {event.by} ({end})"
        payload = record.gap(lost, why, now.wall_ns)
        self._out.append(Note(Kind.GAP, event.connection, tuple(lost), payload))
        self._out.append(Warn(f"gap in {len(lost)} {name} streams: {why}"))
        if not self._close_on_gap:
            return
        holed = {s for s in lost if not self.venue.resnapshots(s)}
        for number, client in list(self.clients.items()):
            mine = holed.intersection(client.active)
            if mine:
                more = f" and {len(mine) - 1} more" if len(mine) > 1 else ""
                self._close(number, 1012, f"gap in {min(mine)}{more}: {why}", now)

    # --- data plane ---

    def route(self, batch: Batch, start: int = 0) -> int:
        """Spread the messages of a live batch from index ``start`` and name their streams.

        Returns the index of the first message that routing does not recognise: handle it as
        ``UpstreamSaid``, then go on behind it. ``len(batch.payloads)`` when all is done.
        """
        payloads = batch.payloads[start:] if start else batch.payloads
        binary = -1 if batch.opcodes is None else batch.opcodes.find(BINARY, start)
        if binary >= 0:
            payloads = payloads[: binary - start]
        pool = self._pool
        link = pool.link(batch.connection) if pool is not None else None
        if pool is None or link is None:
            return len(batch.payloads)
        key_of, known = self.venue.key, link.routes
        routes: list[Route] = []
        for payload in payloads:
            key = key_of(payload)
            if key is None:
                break
            routes.append(known.get(key) or self._new_route(pool, link, key))
        batch.streams += [route.streams for route in routes]
        self._routing.spread(payloads, routes)
        self.messages += len(routes)
        return start + len(routes)

    def _new_route(self, pool: Pool, link: Link, key: bytes) -> Route:
        carried = self.venue.streams(key, link.endpoint)
        route = Route(carried, tuple(s for s in carried if pool.owns(link, s)))
        if route.streams == carried:  # else the link may come to own more of them: ask again
            self._routing.remember(link.routes, key, route)
        return route

    def route_named(self, batch: Batch) -> None:
        """Spread the messages of a recorded batch, whose streams are named already."""
        known = self._named_routes
        routes: list[Route] = []
        for names in batch.streams:
            route = known.get(names)
            if route is None:
                route = Route(names, names)
                self._routing.remember(known, names, route)
            routes.append(route)
        self._routing.spread(batch.payloads, routes)
        self.messages += len(batch.payloads)

    def missed(self, streams: Iterable[str]) -> None:
        """A recording has a gap here: what is known of these streams is not true any more."""
        for stream in streams:
            self._routing.forget(stream)

    def deliveries(self) -> Iterator[tuple[bytes, Iterable[int]]]:
        """Encoded frames, and the clients to write them to, of all that was routed since.

        Take them all before anything else is routed or handled.
        """
        return self._routing.deliveries()
