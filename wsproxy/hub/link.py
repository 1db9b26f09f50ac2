"""One upstream connection as the pool sees it: what it carries, asks for and waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from wsproxy.hub.limits import Window
from wsproxy.hub.routing import Route
from wsproxy.venues.base import Venue

ACK_TIMEOUT_NS = 10_000_000_000
"""How long a venue may take to answer a request before it counts as refused."""


class Phase(Enum):
    """How far a stream has come on its connection."""

    PLANNED = auto()
    ASKED = auto()
    LIVE = auto()


class Ask(Enum):
    """What a request asks the venue for."""

    SUBSCRIBE = auto()
    UNSUBSCRIBE = auto()


class _Asked(NamedTuple):
    """A request that the venue has not answered."""

    ask: Ask
    batch: tuple[str, ...]
    deadline_ns: int


class Link:
    """A place for a connection to the venue: it outlives reconnects, its streams stay on it.

    ``number`` is that of the present connection attempt and changes with each. Requests go out
    one at a time, and none names a stream for which another is unanswered: so an answer never
    says something that a later request has made untrue.
    """

    def __init__(self, venue: Venue, endpoint: str) -> None:
        self.endpoint = endpoint
        self.number: int | None = None
        self.is_open = False
        self.opened_ns = 0
        self.failures = 0
        self.retry_ns = 0
        self.last_error = ""
        self.closing = False
        self.streams: dict[str, Phase] = {}
        self.routes: dict[bytes, Route] = {}
        self._venue = venue
        self._planned: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._suspects: deque[tuple[str, ...]] = deque()
        """Halves of refused batches."""
        self._asked: dict[int, _Asked] = {}
        self._next_id = 1
        self._window: Window | None = None
        self._sending = False

    # --- the connection ---

    def opened(self, now_ns: int) -> None:
        """The handshake is done: a new connection, with nothing on it."""
        self.is_open = True
        self.opened_ns = now_ns
        self._sending = False
        rate = self._venue.profile.requests
        self._window = None if rate is None else Window(rate, reserve=1)

    def closed(self) -> list[str]:
        """The connection is gone; its streams are to be asked for again. Returns the live ones."""
        lost = [stream for stream, phase in self.streams.items() if phase is Phase.LIVE]
        self.number = None
        self.is_open = False
        self._suspects.clear()
        self._dropped.clear()
        self._asked.clear()
        self._enter(Phase.PLANNED, self.streams)
        return lost

    def sent(self, now_ns: int, *, control: bool) -> None:
        """A frame went out: the venue counts it."""
        if not control:
            self._sending = False
        if self._window is not None:
            self._window.record(now_ns)

    # --- its streams ---

    def add(self, stream: str) -> None:
        """Carry a stream from now on."""
        self._enter(Phase.PLANNED, [stream])

    def remove(self, stream: str) -> None:
        """Carry a stream no longer."""
        if self.streams[stream] is not Phase.PLANNED:
            self._dropped[stream] = None
        self._forget(stream)

    def _enter(self, phase: Phase, streams: Iterable[str]) -> None:
        for stream in streams:
            self.streams[stream] = phase
            if phase is Phase.PLANNED:
                self._planned[stream] = None
            else:
                self._planned.pop(stream, None)

    def _forget(self, stream: str) -> None:
        del self.streams[stream]
        self._planned.pop(stream, None)
        without = (tuple(s for s in half if s != stream) for half in self._suspects)
        self._suspects = deque(half for half in without if half)

    # --- requests ---

    def ready_at(self, now_ns: int) -> int | None:
        """When the next request may be sent; None if there is nothing to send now.

        The next request is chosen when the one before has left, so that what clients ask for in
        the meantime goes out together.
        """
        if not self.is_open or self.closing or self._sending or self._next_ask() is None:
            return None
        return now_ns if self._window is None else self._window.ready_at(now_ns)

    def _next_ask(self) -> tuple[Ask, list[str]] | None:
        """What is wanted most: to make room, to find the bad stream of a batch, then the rest."""
        if not (self._dropped or self._planned):
            return None
        unanswered = {stream for asked in self._asked.values() for stream in asked.batch}
        if dropped := [s for s in self._dropped if s not in unanswered]:
            return Ask.UNSUBSCRIBE, dropped
        first = self._suspects[0] if self._suspects else self._planned
        planned = [s for s in first if s not in unanswered]
        return (Ask.SUBSCRIBE, planned) if planned else None

    def next_request(self, now_ns: int) -> tuple[Ask, tuple[str, ...], bytes]:
        """Compose the request that is most wanted; only when ``ready_at`` says that it may go."""
        wanted = self._next_ask()
        assert wanted is not None, "ready_at said that there is something to send"
        ask, streams = wanted
        batch = self._venue.batches(streams)[0]
        request_id, self._next_id = self._next_id, self._next_id + 1
        if ask is Ask.SUBSCRIBE:
            if self._suspects:
                self._suspects.popleft()
            self._enter(Phase.ASKED, batch)
            payload = self._venue.subscribe(batch, request_id)
        else:
            for stream in batch:
                del self._dropped[stream]
            payload = self._venue.unsubscribe(batch, request_id)
        self._asked[request_id] = _Asked(ask, batch, now_ns + ACK_TIMEOUT_NS)
        self._sending = True
        return ask, batch, payload

    # --- answers ---

    def acknowledged(self, request_id: int) -> list[str]:
        """The venue granted a request; returns the streams that are live now."""
        asked = self._asked.pop(request_id, None)
        if asked is None or asked.ask is Ask.UNSUBSCRIBE:
            return []
        return self._granted(frozenset(asked.batch))

    def holding(self, streams: frozenset[str]) -> list[str]:
        """The venue listed all that the connection holds; returns the streams that are new."""
        for request_id, (ask, batch, _) in list(self._asked.items()):
            done = streams.issuperset if ask is Ask.SUBSCRIBE else streams.isdisjoint
            if done(batch):
                del self._asked[request_id]
        return self._granted(streams)

    def _granted(self, streams: frozenset[str]) -> list[str]:
        new = [s for s, phase in self.streams.items() if phase is Phase.ASKED and s in streams]
        self._enter(Phase.LIVE, new)
        return new

    def denied(self, request_id: int | None) -> list[str] | None:
        """The venue refused a request (None: it did not say which, so the oldest).

        A refused batch is halved and asked for again, so that one bad stream costs nobody else;
        returns the streams that were refused for good, which the link carries no longer. None if
        no subscription was refused.
        """
        if request_id is None:
            request_id = next(iter(self._asked), 0)
        asked = self._asked.pop(request_id, None)
        if asked is None or asked.ask is Ask.UNSUBSCRIBE:
            return None
        batch = tuple(s for s in asked.batch if self.streams.get(s) is Phase.ASKED)
        for stream in asked.batch:
            self._dropped.pop(stream, None)
        if len(batch) > 1:
            middle = len(batch) // 2
            self._enter(Phase.PLANNED, batch)
            self._suspects += (batch[:middle], batch[middle:])
            return []
        for stream in batch:
            self._forget(stream)
        return list(batch)

    def overdue(self, now_ns: int) -> list[str]:
        """Subscriptions that the venue never answered; the link carries them no longer."""
        late: list[str] = []
        for request_id, asked in list(self._asked.items()):
            if asked.deadline_ns <= now_ns:
                del self._asked[request_id]
                if asked.ask is Ask.SUBSCRIBE:
                    late += [s for s in asked.batch if self.streams.get(s) is Phase.ASKED]
        for stream in late:
            self.remove(stream)
        return late

    def next_answer_ns(self) -> int | None:
        """When the oldest unanswered request becomes overdue."""
        return min((asked.deadline_ns for asked in self._asked.values()), default=None)
