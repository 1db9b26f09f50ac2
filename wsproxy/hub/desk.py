"""The clients of one venue: what they ask for, what they are answered, when they have to go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from wsproxy.hub.client import Client, Said
from wsproxy.hub.cohort import framed
from wsproxy.hub.dedicated import Dedicated
from wsproxy.hub.events import ClientJoined, CloseClient, Command, SendClient, Warn
from wsproxy.hub.routing import Routing
from wsproxy.hub.supply import Catalogue, Refusal, Supply
from wsproxy.model import Instant
from wsproxy.venues.base import Body, Request, Venue

PIN_RETRY_NS = 60_000_000_000
"""How long until a stream that is to be recorded, and was refused, is asked for again."""

_TRY_AGAIN_LATER = 1013


class Desk:
    """Where clients ask. What the application has to do is appended to ``out``."""

    def __init__(self, venue: Venue, routing: Routing, out: list[Command]) -> None:
        self.clients: dict[int, Client] = {}
        self.refused: Counter[str] = Counter()
        """How many requests were refused, by reason."""
        self.supply: Supply = Catalogue(frozenset())
        self.dedicated: Dedicated | Refusal = Refusal("a recording holds nothing private")
        self._venue = venue
        self._routing = routing
        self._out = out
        self._waiting: dict[int, Client] = {}
        self._wanted_by: dict[str, dict[int, None]] = {}
        self._pinned: set[str] = set()
        self._repin_ns: dict[str, int] = {}

    # --- coming and going ---

    def joined(self, joined: ClientJoined, now: Instant) -> None:
        """A client is there; its address may have asked for something."""
        number, session, priority, conflates = joined
        client = Client(number, session, priority, conflates=conflates)
        self.clients[number] = client
        opening = session.opening()
        if opening is not None:
            self._ask(client, self._as_recorded(opening, now), now)

    def left(self, number: int, now: Instant) -> None:
        """A client is gone."""
        self._leave(number, now)
        if isinstance(self.dedicated, Dedicated):
            self.dedicated.left(number)

    def close(self, number: int, code: int, reason: str, now: Instant) -> None:
        """Close a client, and forget it."""
        if number in self.clients:
            self._leave(number, now)
            self._out.append(CloseClient(number, code, reason))

    def close_those_with(self, streams: Iterable[str], why: str, now: Instant) -> None:
        """Clients of these streams cannot go on as if nothing had happened."""
        holed = frozenset(streams)
        for number, client in list(self.clients.items()):
            mine = holed.intersection(client.active)
            if mine:
                more = f" and {len(mine) - 1} more" if len(mine) > 1 else ""
                self.close(number, 1012, f"gap in {min(mine)}{more}: {why}", now)

    def broadcast(self, payload: bytes, streams: Iterable[str]) -> None:
        """Tell everybody who wants one of these streams."""
        told = dict.fromkeys(n for s in streams for n in self._wanted_by.get(s, ()))
        for number in told:
            client = self.clients[number]
            self._send(client, [self._venue.render(payload, client.session.view, None)])

    def _leave(self, number: int, now: Instant) -> None:
        client = self.clients.pop(number, None)
        if client is not None:  # else we closed it
            self._retire(client, now)

    def _retire(self, client: Client, now: Instant) -> None:
        """Serve a client no more streams."""
        had = client.keeps()
        client.active.clear()
        client.waiting.clear()
        self._waiting.pop(client.member.client, None)
        self._routing.place(client.member, "", frozenset())
        self._drop_unused(client, sorted(had), now)

    # --- asking ---

    def said(self, number: int, payload: bytes, opcode: int, now: Instant) -> None:
        """A client sent a message."""
        client = self.clients.get(number)
        if client is None:
            return  # its close is under way
        if client.window.ready_at(now.mono_ns) > now.mono_ns:
            self.close(number, 1008, "Too many requests", now)
            return
        client.window.record(now.mono_ns)
        self._ask(client, client.session.read(payload, opcode), now, (payload, opcode))

    def _ask(
        self, client: Client, request: Request, now: Instant, said: Said | None = None
    ) -> None:
        why = self._dedicate(client, request, said, now) if request.kind == "private" else None
        if request.kind == "private" and why is None:
            return
        pending = client.ask(request, now.mono_ns, said)
        if why is not None:
            self.refused["private"] += 1
            pending.refused = why
        if request.kind == "subscribe":
            for stream in request.streams:
                if stream in client.active:
                    continue
                wanted = self._want(client, stream, now)
                if isinstance(wanted, Refusal):
                    self.refused["no room" if wanted.for_room else "not to be had"] += 1
                    pending.refused = wanted.why
                    break
                self._wanted_by.setdefault(stream, {})[client.member.client] = None
                if not wanted:
                    pending.outstanding.add(stream)
        self._settle(client, now)

    def _as_recorded(self, opening: Request, now: Instant) -> Request:
        """An address, without the streams that a recording lacks.

        Venues say nothing of such names in an address, and serve the others.
        """
        if not isinstance(self.supply, Catalogue):
            return opening
        wanted = {stream: self.supply.want(stream, now) for stream in opening.streams}
        for answer in wanted.values():
            if isinstance(answer, Refusal):
                self.refused["not to be had"] += 1
                self._out.append(Warn(f"an address asks for more than there is: {answer.why}"))
        held = (stream for stream, answer in wanted.items() if answer is True)
        return replace(opening, streams=tuple(held))

    def _want(self, client: Client, stream: str, now: Instant) -> bool | Refusal:
        """Ask for a stream, if need be at the cost of clients with a lower priority."""
        while True:
            wanted = self.supply.want(stream, now)
            if not isinstance(wanted, Refusal) or not wanted.for_room:
                return wanted
            victims = self._outbid(client, stream)
            if not victims:
                return wanted
            for number in victims:
                reason = "its place was needed for a client of higher priority: all are taken"
                self.close(number, _TRY_AGAIN_LATER, reason, now)

    def _outbid(self, client: Client, stream: str) -> list[int]:
        """The clients of the stream that matters least, if all of them matter less than this."""
        if all(other.priority >= client.priority for other in self.clients.values()):
            return []  # the usual case, which must not cost a look at every stream
        endpoint = self._venue.endpoint(stream)
        ranked = [
            (max(self.clients[number].priority for number in wanted_by), -order, other)
            for order, (other, wanted_by) in enumerate(self._wanted_by.items())
            if other not in self._pinned and self._venue.endpoint(other) == endpoint
        ]
        if not ranked or min(ranked)[0] >= client.priority:
            return []
        return list(self._wanted_by[min(ranked)[2]])

    def _dedicate(
        self, client: Client, request: Request, said: Said | None, now: Instant
    ) -> str | None:
        """Give a client a connection of its own; returns why not, if not."""
        if isinstance(self.dedicated, Refusal):
            return self.dedicated.why
        claimed = self.dedicated.claim(client, request, said, now)
        if isinstance(claimed, Refusal):
            return claimed.why
        self._send(client, [])
        self._retire(client, now)
        self._out.append(claimed)
        return None

    # --- pins: streams that are wanted for the recording's sake ---

    def pin(self, stream: str, now: Instant) -> None:
        """Want a stream whether clients ask for it or not; ask again while it is refused."""
        self._pinned.add(stream)
        self._repin_ns[stream] = now.mono_ns

    def _pin_refused(self, stream: str, why: str, now: Instant) -> None:
        self._repin_ns[stream] = now.mono_ns + PIN_RETRY_NS
        name = self._venue.profile.name
        again = f"trying again in {PIN_RETRY_NS // 10**9} s"
        self._out.append(Warn(f"{name}:{stream} is not recorded, {again}: {why}"))

    # --- answering ---

    def resolve(self, stream: str, why: str | None, now: Instant) -> None:
        """A stream became live, or was refused: answer those who waited for it."""
        if why is not None and stream in self._pinned:
            self._pin_refused(stream, why, now)
        for number in list(self._wanted_by.get(stream, ())):
            client = self.clients[number]
            self.refused["by the venue"] += why is not None
            if why is not None and stream in client.active:
                self.close(number, 1012, f"{stream} was refused after a reconnect: {why}", now)
            else:
                client.resolve(stream, why)
                self._settle(client, now)

    def expire(self, now: Instant) -> None:
        """Refuse what waited too long, and ask again for what is to be recorded."""
        for client in list(self._waiting.values()):
            self.refused["not in time"] += client.expire(now.mono_ns, self.supply.waiting_for)
            self._settle(client, now)
        for stream, due_ns in list(self._repin_ns.items()):
            if due_ns <= now.mono_ns:
                del self._repin_ns[stream]
                wanted = self.supply.want(stream, now)
                if isinstance(wanted, Refusal):
                    self._pin_refused(stream, wanted.why, now)

    def deadlines_ns(self) -> list[int]:
        """When ``expire`` has something to do, on the monotonic clock."""
        waiting = [client.waiting[0].deadline_ns for client in self._waiting.values()]
        return [*waiting, *self._repin_ns.values()]

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
                    self.supply.release(stream, now)

    def _send(self, client: Client, bodies: list[Body]) -> None:
        """Send messages behind what waits for the client."""
        frames = client.member.frames([framed(body) for body in bodies])
        if frames:
            self._out.append(SendClient(client.member.client, frames))
