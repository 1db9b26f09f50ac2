"""The live supply: streams from a capped number of upstream connections, inside every limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

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
from wsproxy.hub.routing import Route
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

    Every method may add to ``commands`` (what the application has to do) and to ``outcomes``
    (streams that became live: None, or were refused: why). ``numbers`` are connection numbers,
    shared by all venues of a process; ``jitter`` gives floats in [0, 1); ``drop_routes`` is told
    of routes that no longer hold.
    """

    def __init__(
        self,
        venue: Venue,
        budget: Budget,
        *,
        linger_ns: int,
        numbers: Iterator[int],
        jitter: Callable[[], float],
        drop_routes: Callable[[Iterable[Route]], None],
    ) -> None:
        self.commands: list[Command] = []
        self.outcomes: list[tuple[str, str | None]] = []
        self.links: list[Link] = []
        self.reconnects = 0
        self._venue = venue
        self._budget = budget
        self._linger_ns = linger_ns
        self._numbers = numbers
        self._jitter = jitter
        self._drop_routes = drop_routes
        self._home: dict[str, Link] = {}
        self._unwanted: dict[str, int] = {}
        self._connects = Window(venue.profile.connects)

    # --- what the hub asks for ---

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Ask for a stream; see Supply."""
        self._unwanted.pop(stream, None)
        link = self._home.get(stream)
        if link is not None:
            return link.streams[stream] is Phase.LIVE
        endpoint = self._venue.endpoint(stream)
        loads = [Load(link.endpoint, len(link.streams)) for link in self.links]
        most = self._venue.profile.streams_per_connection
        index = place(endpoint, loads, most)
        if index is not None:
            link = self.links[index]
        elif self._budget.take(first=not self.links):
            link = Link(self._venue, endpoint)
            self.links.append(link)
            keepalive = self._venue.profile.keepalive
            if keepalive is not None:
                link.add(keepalive)
                self._home.setdefault(keepalive, link)
        else:
            each = "" if most is None else f" with {most} streams each"
            return Refusal(
                f"{stream} would need one more upstream connection, and all "
                f"{self._budget.cap} (--max-connections) are taken{each}"
            )
        if stream not in link.streams:
            link.add(stream)
            self._home[stream] = link
        return False

    def release(self, stream: str, now: Instant) -> None:
        """Nobody wants the stream any more: it lingers, then it is given up."""
        if stream in self._home and stream != self._venue.profile.keepalive:
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

    def sent(self, connection: int, now: Instant) -> None:
        """A frame went out on a connection."""
        link = self.link(connection)
        if link is not None:
            link.sent(now.mono_ns)

    def said(self, link: Link, reading: Reading) -> None:
        """The venue answered a request."""
        new: list[str] = []
        match reading:
            case Acknowledged(request_id):
                done = link.acknowledged(request_id)
                if done is not None and done[0] is Ask.SUBSCRIBE:
                    new = done[1]
            case Holding(streams):
                new = link.holding(streams)
            case Denied(request_id, why):
                self._refuse(link, link.denied(request_id), why)
        if new:
            self._note(link, Kind.ACKNOWLEDGED, tuple(new), record.acknowledged(new))
            self.outcomes += [(stream, None) for stream in new if self.owns(link, stream)]

    def closed(self, event: UpstreamClosed, now: Instant) -> list[str]:
        """A connection ended; returns the streams that were live on it and have a gap now."""
        link = self.link(event.connection)
        if link is None:
            return []
        stable = link.is_open and now.mono_ns - link.opened_ns >= _STABLE_NS
        link.failures = 0 if stable else link.failures + 1
        link.last_error = event.reason or f"closed with code {event.code}"
        lost = [stream for stream in link.closed() if self.owns(link, stream)]
        self._forget_routes(link)
        if link.closing:  # as we wished; but a stream may have come in the meantime
            link.closing = False
            self._close_if_idle(link)
            return []
        backoff = min(_BACKOFF_FIRST_NS << min(link.failures, 16), _BACKOFF_MOST_NS)
        link.retry_ns = now.mono_ns + backoff // 2 + int(backoff / 2 * self._jitter())
        self.reconnects += 1
        return lost

    # --- time ---

    def work(self, now: Instant) -> None:
        """Do everything that is due: give up streams, open, ask, close."""
        for stream, until_ns in list(self._unwanted.items()):
            if until_ns <= now.mono_ns:
                del self._unwanted[stream]
                link = self._home.pop(stream)
                link.remove(stream)
                self._forget_routes(link)
                self._note(link, Kind.UNSUBSCRIBED, (stream,), record.unsubscribed([stream]))
        for link in list(self.links):
            self._refuse(link, link.overdue(now.mono_ns), "the venue did not answer in time")
            self._close_if_idle(link)
            self._connect(link, now)
            self._ask(link, now)

    def next_deadline_ns(self, now: Instant) -> int | None:
        """When ``work`` has something to do next, on the monotonic clock."""
        times: list[int] = list(self._unwanted.values())
        for link in self.links:
            if link.number is None:
                times.append(max(link.retry_ns, self._connects.ready_at(now.mono_ns)))
            due = (link.ready_at(now.mono_ns), link.next_answer_ns())
            times += (time for time in due if time is not None)
        return min(times, default=None)

    def _connect(self, link: Link, now: Instant) -> None:
        due = max(link.retry_ns, self._connects.ready_at(now.mono_ns))
        if link.number is None and not link.closing and due <= now.mono_ns:
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
        self.commands.append(SendUpstream(link.number, payload))

    def _close_if_idle(self, link: Link) -> None:
        if link.closing or link.streams.keys() - {self._venue.profile.keepalive}:
            return
        link.closing = True
        if link.number is None:
            self._remove(link)
        else:
            self.commands.append(CloseUpstream(link.number, 1000, "no stream is wanted"))

    def _remove(self, link: Link) -> None:
        self.links.remove(link)
        self._forget_routes(link)
        self._budget.give_back(last=not self.links)
        for stream in link.streams:
            if self.owns(link, stream):
                del self._home[stream]
                for other in self.links:
                    if stream in other.streams:
                        self._home[stream] = other

    def _refuse(self, link: Link, streams: list[str], why: str) -> None:
        for stream in streams:
            self._unwanted.pop(stream, None)
            if self.owns(link, stream):
                del self._home[stream]
            self.outcomes.append((stream, why))
        if streams:
            self._forget_routes(link)
            payload = record.refused(streams, why)
            self._note(link, Kind.REFUSED, tuple(streams), payload)
            names = ", ".join(streams)
            self.commands.append(Warn(f"{self._venue.profile.name} refused {names}: {why}"))

    def _forget_routes(self, link: Link) -> None:
        self._drop_routes(link.routes.values())
        link.routes.clear()

    def _note(self, link: Link, kind: Kind, streams: tuple[str, ...], payload: bytes) -> None:
        self.commands.append(Note(kind, link.number or 0, streams, payload))
