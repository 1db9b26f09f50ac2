"""One upstream connection as the pool sees it: what it carries, asks for and waits for."""

from __future__ import annotations

from collections import deque
from enum import Enum, auto

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


class Link:
    """A place for a connection to the venue: it outlives reconnects, its streams stay on it.

    ``number`` is that of the present connection attempt and changes with each.
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
        self._alone: deque[tuple[str, ...]] = deque()
        self._dropped: dict[str, None] = {}
        self._asked: dict[int, tuple[Ask, tuple[str, ...], int]] = {}
        self._next_id = 1
        self._window: Window | None = None
        self._sending = False

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
        self.streams = dict.fromkeys(self.streams, Phase.PLANNED)
        self._alone.clear()
        self._dropped.clear()
        self._asked.clear()
        return lost

    def sent(self, now_ns: int) -> None:
        """A frame went out: the venue counts it."""
        self._sending = False
        if self._window is not None:
            self._window.record(now_ns)

    def add(self, stream: str) -> None:
        """Carry a stream from now on."""
        self.streams[stream] = Phase.PLANNED

    def remove(self, stream: str) -> None:
        """Carry a stream no longer."""
        if self.streams.pop(stream) is not Phase.PLANNED and self.is_open:
            self._dropped[stream] = None
        without = (tuple(s for s in batch if s != stream) for batch in self._alone)
        self._alone = deque(batch for batch in without if batch)

    def ready_at(self, now_ns: int) -> int | None:
        """When the next request may be sent; None if there is nothing to send.

        One request at a time: the next is chosen when the one before has left, so that what
        clients ask for in the meantime goes out together.
        """
        planned = any(phase is Phase.PLANNED for phase in self.streams.values())
        wanted = planned or self._alone or self._dropped
        if not wanted or not self.is_open or self.closing or self._sending:
            return None
        return now_ns if self._window is None else self._window.ready_at(now_ns)

    def next_request(self, now_ns: int) -> tuple[Ask, tuple[str, ...], bytes]:
        """The request that is most wanted now; call only when ``ready_at`` says so."""
        ask = Ask.SUBSCRIBE
        if self._dropped:
            ask = Ask.UNSUBSCRIBE
            batch = self._venue.batches(list(self._dropped))[0]
            for stream in batch:
                del self._dropped[stream]
        elif self._alone:
            batch = self._alone.popleft()
        else:
            planned = [s for s, phase in self.streams.items() if phase is Phase.PLANNED]
            batch = self._venue.batches(planned)[0]
        if ask is Ask.SUBSCRIBE:
            self.streams.update(dict.fromkeys(batch, Phase.ASKED))
        request_id, self._next_id = self._next_id, self._next_id + 1
        self._asked[request_id] = (ask, batch, now_ns + ACK_TIMEOUT_NS)
        self._sending = True
        make = self._venue.subscribe if ask is Ask.SUBSCRIBE else self._venue.unsubscribe
        return ask, batch, make(batch, request_id)

    def acknowledged(self, request_id: int) -> tuple[Ask, list[str]] | None:
        """The venue granted a request; returns what became true, None if it was not ours."""
        asked = self._asked.pop(request_id, None)
        if asked is None:
            return None
        ask, batch, _ = asked
        if ask is Ask.UNSUBSCRIBE:
            return ask, list(batch)
        return ask, self._now_live(batch)

    def holding(self, streams: frozenset[str]) -> list[str]:
        """The venue listed all that the connection holds; returns the streams that are new."""
        for request_id, (ask, batch, _) in list(self._asked.items()):
            compare = streams.issuperset if ask is Ask.SUBSCRIBE else streams.isdisjoint
            if compare(batch):
                del self._asked[request_id]
        return self._now_live(streams)

    def _now_live(self, streams: tuple[str, ...] | frozenset[str]) -> list[str]:
        new = [s for s in self.streams if s in streams and self.streams[s] is Phase.ASKED]
        self.streams.update(dict.fromkeys(new, Phase.LIVE))
        return new

    def denied(self, request_id: int | None) -> list[str]:
        """The venue refused a request (None: it did not say which, so the oldest).

        A refused batch is halved and asked for again, so that one bad stream costs nobody else;
        returns the streams that were refused for good, which the link carries no longer.
        """
        if request_id is None:
            request_id = next(iter(self._asked), None)
        asked = self._asked.pop(request_id, None) if request_id is not None else None
        if asked is None or asked[0] is Ask.UNSUBSCRIBE:
            return []
        batch = tuple(s for s in asked[1] if self.streams.get(s) is Phase.ASKED)
        if len(batch) > 1:
            middle = len(batch) // 2
            self._alone += (batch[:middle], batch[middle:])
            return []
        for stream in batch:
            del self.streams[stream]
        return list(batch)

    def overdue(self, now_ns: int) -> list[str]:
        """Subscriptions that the venue never answered; the link carries them no longer."""
        late: list[str] = []
        for request_id, (ask, batch, deadline_ns) in list(self._asked.items()):
            if deadline_ns <= now_ns:
                del self._asked[request_id]
                if ask is Ask.SUBSCRIBE:
                    late += [s for s in batch if self.streams.get(s) is Phase.ASKED]
        for stream in late:
            self.remove(stream)
        return late

    def next_answer_ns(self) -> int | None:
        """When the oldest unanswered request becomes overdue."""
        return min((deadline for _, _, deadline in self._asked.values()), default=None)
