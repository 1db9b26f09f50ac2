"""The hub of one venue: who gets what.

Control plane: ``handle(event, now)`` changes the state and returns what to do about it, all at
once and without waiting. Data plane: ``route(batch)`` spreads messages, ``deliveries()`` gives
the bytes for each client. Nothing here touches a socket, a file or a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

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
from wsproxy.hub.limits import Budget, Window
from wsproxy.hub.pool import Pool
from wsproxy.hub.routing import Member, Route, Routing
from wsproxy.hub.supply import Catalogue, Refusal, Supply
from wsproxy.model import Batch, Instant, Kind
from wsproxy.recording import events as record
from wsproxy.venues.base import (
    Body,
    Data,
    Notice,
    Rate,
    Request,
    Session,
    State,
    Unknown,
    Venue,
)

PATIENCE_NS = 15_000_000_000
"""How long a client's subscription may wait for the venue before it is refused."""

REQUEST_RATE = Rate(100, 1_000_000_000)
"""What one client may ask for: far above any venue's own limit, far below harm."""


@dataclass(slots=True)
class _Pending:
    """A request that is not answered yet."""

    request: Request
    deadline_ns: int
    outstanding: dict[str, None] = field(default_factory=dict)
    refused: str | None = None


class _Client:
    """What the hub knows of a client."""

    def __init__(self, number: int, session: Session) -> None:
        self.session = session
        self.member = Member(number)
        self.active: dict[str, None] = {}
        self.waiting: deque[_Pending] = deque()
        self.window = Window(REQUEST_RATE)


class Hub:
    """Clients on one side, a supply of streams on the other, one venue's words between them."""

    def __init__(self, venue: Venue, *, close_on_gap: bool = True) -> None:
        self.venue = venue
        self.messages = 0
        self.gaps = 0
        self.clients: dict[int, _Client] = {}
        self._routing = Routing(venue)
        self.deliveries = self._routing.deliveries
        self._close_on_gap = close_on_gap
        self._waiting: dict[int, _Client] = {}
        self._wanted_by: dict[str, dict[int, None]] = {}
        self._pinned: dict[str, None] = {}
        self._states: dict[str, State | None] = {}
        self._supply: Supply
        self._pool: Pool | None = None
        self._named_routes: dict[tuple[str, ...], Route] = {}
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
            linger_ns=linger_ns,
            numbers=numbers,
            jitter=jitter,
            drop_routes=self._routing.drop,
        )
        return self._pool

    def play(self, streams: frozenset[str]) -> None:
        """Take streams from a recording that holds these."""
        self._supply = Catalogue(streams)

    # --- control plane ---

    def handle(self, event: Event, now: Instant) -> list[Command]:
        """Take in one event; returns what the application has to do, in order."""
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
            case UpstreamSaid(batch, position):
                self._upstream_said(batch, position, now)
            case UpstreamClosed():
                self._upstream_closed(event, now)
            case UpstreamOpened(connection) if self._pool is not None:
                self._pool.opened(connection, now)
            case UpstreamSent(connection) if self._pool is not None:
                self._pool.sent(connection, now)
            case Tick():
                self._expire(now)
            case _:
                raise AssertionError(f"no upstream in a replay: {event}")
        if self._pool is not None:
            self._work(self._pool, now)
        out, self._out = self._out, []
        return out

    def pin(self, stream: str, now: Instant) -> list[Command]:
        """Want a stream for the recording's sake, whether clients ask for it or not."""
        self._pinned[stream] = None
        wanted = self._supply.want(stream, now)
        if isinstance(wanted, Refusal):
            self._unpin(stream, wanted.why)
        return self.handle(Tick(), now)

    def next_deadline_ns(self, now: Instant) -> int | None:
        """When a Tick is due, on the monotonic clock; None if nothing is."""
        times = [client.waiting[0].deadline_ns for client in self._waiting.values()]
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

    # --- clients ---

    def _joined(self, number: int, session: Session, now: Instant) -> None:
        client = self.clients[number] = _Client(number, session)
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

    def _ask(self, client: _Client, request: Request, now: Instant) -> None:
        pending = _Pending(request, now.mono_ns + PATIENCE_NS)
        client.waiting.append(pending)
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
                    pending.outstanding[stream] = None
        self._settle(client, now)

    def _resolve(self, stream: str, why: str | None, now: Instant) -> None:
        """A stream became live, or was refused: answer those who waited for it."""
        if why is not None and stream in self._pinned:
            self._unpin(stream, why)
        for number in list(self._wanted_by.get(stream, ())):
            client = self.clients[number]
            if why is not None and stream in client.active:
                self._close(number, 1012, f"{stream} was refused after a reconnect: {why}", now)
                continue
            for pending in client.waiting:
                if stream in pending.outstanding:
                    del pending.outstanding[stream]
                    pending.refused = pending.refused or why
            self._settle(client, now)

    def _expire(self, now: Instant) -> None:
        for client in list(self._waiting.values()):
            for pending in client.waiting:
                if pending.outstanding and pending.deadline_ns <= now.mono_ns:
                    why = self._supply.waiting_for(next(iter(pending.outstanding)))
                    pending.refused = f"not subscribed within {PATIENCE_NS // 10**9} s: {why}"
            self._settle(client, now)

    def _settle(self, client: _Client, now: Instant) -> None:
        """Answer what can be answered, in the order it was asked."""
        while client.waiting and (
            client.waiting[0].refused is not None or not client.waiting[0].outstanding
        ):
            pending = client.waiting.popleft()
            request, session = pending.request, client.session
            if pending.refused is not None:
                self._drop_unused(client, request.streams, now)
                self._send(client, [session.refuse(request, pending.refused, now.wall_ns)])
                continue
            bodies: list[Body | None] = []
            if request.kind == "subscribe":
                new = [stream for stream in request.streams if stream not in client.active]
                client.active.update(dict.fromkeys(new))
                bodies += [self._snapshot(stream) for stream in new]
            elif request.kind == "unsubscribe":
                for stream in request.streams:
                    client.active.pop(stream, None)
                self._drop_unused(client, request.streams, now)
            bodies.append(session.accept(request, tuple(client.active), now.wall_ns))
            self._routing.place(client.member, session.view, frozenset(client.active))
            self._send(client, [body for body in bodies if body is not None])
        if client.waiting:
            self._waiting[client.member.client] = client
        else:
            self._waiting.pop(client.member.client, None)

    def _drop_unused(self, client: _Client, streams: Iterable[str], now: Instant) -> None:
        """Release those of the streams that the client neither has nor still waits for."""
        kept = set(client.active)
        kept.update(*(p.request.streams for p in client.waiting if p.request.kind == "subscribe"))
        for stream in streams:
            wanted_by = self._wanted_by.get(stream)
            if stream in kept or wanted_by is None or client.member.client not in wanted_by:
                continue
            del wanted_by[client.member.client]
            if not wanted_by:
                del self._wanted_by[stream]
                if stream not in self._pinned:
                    self._supply.release(stream, now)

    def _snapshot(self, stream: str) -> Body | None:
        state = self._states.get(stream)
        return None if state is None else state.snapshot()

    def _send(self, client: _Client, bodies: list[Body]) -> None:
        if bodies:
            self._out.append(SendClient(client.member.client, client.member.frames(bodies)))

    def _close(self, number: int, code: int, reason: str, now: Instant) -> None:
        if self._leave(number, now):
            self._out.append(CloseClient(number, code, reason))

    def _leave(self, number: int, now: Instant) -> bool:
        client = self.clients.pop(number, None)
        if client is None:
            return False
        mine = dict(client.active)
        for pending in client.waiting:
            mine.update(dict.fromkeys(pending.request.streams))
        client.active.clear()
        client.waiting.clear()
        self._waiting.pop(number, None)
        self._routing.place(client.member, "", frozenset())
        self._drop_unused(client, mine, now)
        return True

    # --- the venue ---

    def _upstream_said(self, batch: Batch, position: int, now: Instant) -> None:
        pool = self._pool
        link = pool.link(batch.connection) if pool is not None else None
        if pool is None or link is None:
            return
        payload = batch.payloads[position]
        reading = self.venue.read(payload, link.endpoint)
        names: tuple[str, ...] = ()
        match reading:
            case Data(streams):
                names = tuple(stream for stream in streams if pool.owns(link, stream))
                route = self._route(streams, names)
                self._routing.spread(payload, route)
                self._routing.drop([route])
            case Notice(what):
                concerned = tuple(s for s in link.streams if pool.owns(link, s))
                self._broadcast(payload, concerned)
                text = f"{self.venue.profile.name} says on connection {link.number}: {what}"
                self._out.append(Warn(text))
            case Unknown():
                pass
            case _:
                pool.said(link, reading)
        batch.streams.append(names)

    def _broadcast(self, payload: bytes, streams: tuple[str, ...]) -> None:
        told = dict.fromkeys(n for s in streams for n in self._wanted_by.get(s, ()))
        for number in told:
            client = self.clients[number]
            self._send(client, [self.venue.render(payload, client.session.view, None)])

    def _upstream_closed(self, event: UpstreamClosed, now: Instant) -> None:
        assert self._pool is not None
        lost = self._pool.closed(event, now)
        for stream in lost:
            self._states.pop(stream, None)
        if not lost:
            return
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

    def _unpin(self, stream: str, why: str) -> None:
        del self._pinned[stream]
        self._out.append(Warn(f"--subscribe {self.venue.profile.name}:{stream} was refused: {why}"))

    # --- data plane ---

    def route(self, batch: Batch, start: int = 0) -> int:
        """Spread the messages of a live batch from index ``start`` and name their streams.

        Returns the index of the first message that routing does not recognise: handle it as
        ``UpstreamSaid``, then go on behind it. ``len(batch.payloads)`` when all is done.
        """
        payloads = batch.payloads
        count = len(payloads)
        pool = self._pool
        link = pool.link(batch.connection) if pool is not None else None
        if pool is None or link is None:
            return count
        key_of, routes, names = self.venue.key, link.routes, batch.streams
        spread = self._routing.spread
        index = start
        for index in range(start, count):
            payload = payloads[index]
            key = key_of(payload)
            if key is None:
                self.messages += index - start
                return index
            route = routes.get(key)
            if route is None:
                streams = self.venue.streams(key, link.endpoint)
                owned = tuple(stream for stream in streams if pool.owns(link, stream))
                route = self._route(streams, owned)
                if owned == streams:
                    routes[key] = route
                else:
                    self._routing.drop([route])
            names.append(route.streams)
            spread(payload, route)
        self.messages += count - start
        return count

    def route_named(self, batch: Batch) -> None:
        """Spread the messages of a recorded batch, whose streams are named already."""
        routes, spread = self._named_routes, self._routing.spread
        for payload, names in zip(batch.payloads, batch.streams, strict=True):
            route = routes.get(names)
            if route is None:
                route = routes[names] = self._route(names, names)
            spread(payload, route)
        self.messages += len(batch.payloads)

    def _route(self, carried: tuple[str, ...], streams: tuple[str, ...]) -> Route:
        states: list[State] = []
        for stream in streams:
            if stream not in self._states:
                self._states[stream] = self.venue.state(stream)
            state = self._states[stream]
            if state is not None:
                states.append(state)
        return self._routing.route(carried, streams, states)
