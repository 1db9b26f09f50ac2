"""The live supply: streams from a capped number of upstream connections, inside every limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from wsproxy.hub.events import (
    CloseUpstream,
    Command,
    Note,
    OpenUpstream,
    SendUpstream,
    UpstreamClosed,
    Warn,
)
from wsproxy.hub.limits import Budget, Window
from wsproxy.hub.link import Ask, Link, Phase
from wsproxy.hub.plan import Load, place
from wsproxy.hub.routing import Routing
from wsproxy.hub.supply import Refusal
from wsproxy.model import Instant, Kind
from wsproxy.recording import events as record
from wsproxy.venues.base import Acknowledged, Denied, Holding, Reading, Venue

_BACKOFF_FIRST_NS = 500_000_000
_BACKOFF_MOST_NS = 60_000_000_000
_STABLE_NS = 30_000_000_000
"""A connection that lived so long starts its back-off from the beginning."""


class Pool:
    """Places streams on links, asks the venue for them, and mends links that break.

    Each stream has one home, the link whose messages of it go to clients; only the keepalive
    stream is on other links too. Every method may add to ``commands`` (what the application has to
    do) and to ``outcomes`` (streams that became live: None, or were refused: why). ``numbers`` are
    connection numbers, shared by all venues of a process; ``jitter`` gives floats in [0, 1).
    """

    def __init__(
        self,
        venue: Venue,
        budget: Budget,
        routing: Routing,
        *,
        linger_ns: int,
        numbers: Iterator[int],
        jitter: Callable[[], float],
    ) -> None:
        self.commands: list[Command] = []
        self.outcomes: list[tuple[str, str | None]] = []
        self.links: list[Link] = []
        self.reconnects = 0
        self._venue = venue
        self._keepalive = venue.profile.keepalive or ""
        self._keepalive_wanted = False
        self._budget = budget
        self._routing = routing
        self._linger_ns = linger_ns
        self._numbers = numbers
        self._jitter = jitter
        self._home: dict[str, Link] = {}
        self._unwanted: dict[str, int] = {}
        self._connects = Window(venue.profile.connects)

    # --- what the hub asks for ---

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Ask for a stream; see Supply."""
        self._unwanted.pop(stream, None)
        link = self._home.get(stream)
        if link is None:
            link = self._room(self._venue.endpoint(stream))
            if link is None:
                most = self._venue.profile.streams_per_connection
                each = "" if most is None else f" with {most} streams each"
                return Refusal(
                    f"{stream} would need one more upstream connection, and all "
                    f"{self._budget.cap} (--max-connections) are taken{each}"
                )
            self._home[stream] = link
            if stream not in link.streams:
                link.add(stream)
        if stream == self._keepalive:
            self._keepalive_wanted = True
        return link.streams[stream] is Phase.LIVE and not link.closing

    def _room(self, endpoint: str) -> Link | None:
        """A link for one more stream: there already, new, or freed of one that lingers."""
        loads = [Load(link.endpoint, len(link.streams)) for link in self.links]
        index = place(endpoint, loads, self._venue.profile.streams_per_connection)
        if index is not None:
            return self.links[index]
        if self._budget.take(first=not self.links):
            return self._new_link(endpoint)
        for stream in self._unwanted:
            link = self._home[stream]
            if link.endpoint == endpoint and stream != self._keepalive:
                self._give_up(stream)
                return link
        return None

    def _new_link(self, endpoint: str) -> Link:
        link = Link(self._venue, endpoint)
        self.links.append(link)
        if self._keepalive:
            self._keep_alive(link)
        return link

    def _keep_alive(self, link: Link) -> None:
        link.add(self._keepalive)
        self._home.setdefault(self._keepalive, link)

    def release(self, stream: str, now: Instant) -> None:
        """Nobody wants the stream any more: it lingers, then it is given up."""
        if stream in self._home:
            self._unwanted[stream] = now.mono_ns + self._linger_ns

    def waiting_for(self, stream: str) -> str:
        """Why a stream is not live yet."""
        link = self._home.get(stream)
        if link is None or link.is_open:
            return "the venue has not answered"
        return f"the venue cannot be reached ({link.last_error or 'still connecting'})"

    def owns(self, link: Link, stream: str) -> bool:
        """Whether this link is the one whose messages of the stream go to clients."""
        return self._home.get(stream) is link

    def link(self, connection: int) -> Link | None:
        """The link that has this connection number now."""
        return next((link for link in self.links if link.number == connection), None)

    # --- what the venue and the network say ---

    def opened(self, connection: int, now: Instant) -> None:
        """A connection is up."""
        link = self.link(connection)
        if link is not None:
            link.opened(now.mono_ns)

    def sent(self, connection: int, now: Instant, *, control: bool) -> None:
        """A frame went out on a connection."""
        link = self.link(connection)
        if link is not None:
            link.sent(now.mono_ns, control=control)

    def said(self, link: Link, reading: Reading) -> None:
        """The venue answered a request."""
        live: list[str] = []
        match reading:
            case Acknowledged(request_id):
                live = link.acknowledged(request_id)
            case Holding(streams):
                live = link.holding(streams)
            case Denied(request_id, why):
                refused = link.denied(request_id)
                if refused is None:
                    self.commands.append(Warn(f"{self._venue.profile.name} complains: {why}"))
                else:
                    self._refuse(link, refused, why)
        if live:
            self._note(link, Kind.ACKNOWLEDGED, live, record.acknowledged(live))
            self.outcomes += [(stream, None) for stream in live if self.owns(link, stream)]

    def closed(self, event: UpstreamClosed, now: Instant) -> list[str]:
        """A connection ended; returns the streams that were live on it and have a gap now."""
        link = self.link(event.connection)
        if link is None:
            return []
        lived_ns = now.mono_ns - link.opened_ns if link.is_open else 0
        mine = [stream for stream in link.streams if self.owns(link, stream)]
        lost = set(link.closed()).intersection(mine)
        self._routing.clear(link.routes)
        for stream in mine:
            self._routing.forget(stream)
        if link.closing:  # as we wished; but a stream may have come in the meantime
            link.closing = False
            return []
        link.failures = 0 if lived_ns >= _STABLE_NS else link.failures + 1
        link.last_error = event.reason or f"closed with code {event.code}"
        backoff = min(_BACKOFF_FIRST_NS << min(link.failures, 16), _BACKOFF_MOST_NS)
        link.retry_ns = now.mono_ns + backoff // 2 + int(backoff / 2 * self._jitter())
        self.reconnects += 1
        return [stream for stream in mine if stream in lost]

    # --- time ---

    def work(self, now: Instant) -> None:
        """Do everything that is due: give up streams, open, ask, close."""
        for stream, until_ns in list(self._unwanted.items()):
            if until_ns <= now.mono_ns:
                self._give_up(stream)
        for link in list(self.links):
            late = link.overdue(now.mono_ns)
            self._refuse(link, late, "the venue did not answer in time")
            if self._keepalive in late:  # without it the venue closes the connection: ask again
                self._keep_alive(link)
            if self._is_idle(link):
                self._close(link)
            else:
                self._connect(link, now)
                self._ask(link, now)

    def next_deadline_ns(self, now: Instant) -> int | None:
        """When ``work`` has something to do next, on the monotonic clock."""
        times: list[int] = list(self._unwanted.values())
        for link in self.links:
            if link.number is None:
                times.append(self._connect_at(link, now))
            due = (link.ready_at(now.mono_ns), link.next_answer_ns())
            times += (time for time in due if time is not None)
        return min(times, default=None)

    def _give_up(self, stream: str) -> None:
        del self._unwanted[stream]
        if stream == self._keepalive:
            self._keepalive_wanted = False
            return
        link = self._home.pop(stream)
        link.remove(stream)
        self._routing.clear(link.routes)
        self._routing.forget(stream)

    def _connect_at(self, link: Link, now: Instant) -> int:
        return max(link.retry_ns, self._connects.ready_at(now.mono_ns))

    def _connect(self, link: Link, now: Instant) -> None:
        if link.number is None and self._connect_at(link, now) <= now.mono_ns:
            self._connects.record(now.mono_ns)
            link.number = next(self._numbers)
            self.commands.append(OpenUpstream(link.number, link.endpoint))

    def _ask(self, link: Link, now: Instant) -> None:
        due = link.ready_at(now.mono_ns)
        if due is None or due > now.mono_ns or link.number is None:
            return
        ask, batch, payload = link.next_request(now.mono_ns)
        if ask is Ask.SUBSCRIBE:
            self._note(link, Kind.SUBSCRIBED, batch, record.subscribed(batch))
        else:
            self._note(link, Kind.UNSUBSCRIBED, batch, record.unsubscribed(batch))
        self.commands.append(SendUpstream(link.number, payload))

    def _is_idle(self, link: Link) -> bool:
        if link.streams.keys() - {self._keepalive}:
            return False
        return not (self._keepalive_wanted and self.owns(link, self._keepalive))

    def _close(self, link: Link) -> None:
        if link.number is None:
            self._remove(link)
        elif not link.closing:
            link.closing = True
            self.commands.append(CloseUpstream(link.number, 1000, "no stream is wanted"))

    def _remove(self, link: Link) -> None:
        self.links.remove(link)
        self._budget.give_back(last=not self.links)
        if self.owns(link, self._keepalive):
            del self._home[self._keepalive]
            self._unwanted.pop(self._keepalive, None)
            for other in self.links:
                if self._keepalive in other.streams:
                    self._home.setdefault(self._keepalive, other)

    def _refuse(self, link: Link, streams: list[str], why: str) -> None:
        if not streams:
            return
        for stream in streams:
            if self.owns(link, stream):
                del self._home[stream]
                self._unwanted.pop(stream, None)
                self._keepalive_wanted &= stream != self._keepalive
                self._routing.forget(stream)
                self.outcomes.append((stream, why))
        self._routing.clear(link.routes)
        self._note(link, Kind.REFUSED, streams, record.refused(streams, why))
        names = ", ".join(streams)
        self.commands.append(Warn(f"{self._venue.profile.name} refused {names}: {why}"))

    def _note(self, link: Link, kind: Kind, streams: Sequence[str], payload: bytes) -> None:
        self.commands.append(Note(kind, link.number or 0, tuple(streams), payload))
