"""One upstream connection as the pool sees it: what it carries, asks for and waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple

from wsproxy.hub.gaps import Hole
from wsproxy.hub.limits import Fill, Hold, Limiter, Urgency, Window
from wsproxy.hub.lines import Line
from wsproxy.hub.routing import Route
from wsproxy.model import Instant
from wsproxy.venues.base import Venue

ACK_TIMEOUT_NS = 10_000_000_000
"""How long a venue may take to answer a request before it counts as refused."""


class Phase(Enum):
    """How far a stream has come on its connection."""

    PLANNED = auto()
    ASKED = auto()
    LIVE = auto()


class Frame(NamedTuple):
    """A message for the venue; ``streams`` are those that it asks for or gives up."""

    urgency: Urgency
    streams: tuple[str, ...]
    payload: bytes


class _Asked(NamedTuple):
    """A request that the venue has not answered."""

    urgency: Urgency
    batch: tuple[str, ...]
    deadline_ns: int


class Link:
    """A place for a connection to the venue: it outlives reconnects, its streams stay on it.

    ``key`` names the place, ``number`` the present connection attempt; it changes with each.
    Requests go out one at a time, and none names a stream for which another is unanswered: so an
    answer never says something that a later request has made untrue.
    """

    is_torn = False
    """Its connection lost messages: nothing more is taken of it."""
    has_asked = False
    """Its connection has asked for something: a venue soon closes one that has not."""

    def __init__(
        self,
        venue: Venue,
        endpoint: str,
        *,
        key: int = 0,
        mirror: int = 0,
        per_ip: Window | None = None,
    ) -> None:
        self.key = key
        self.endpoint = endpoint
        self.mirror = mirror
        """Index of the venue's address that it connects to."""
        self.number: int | None = None
        self.is_recorded = False
        """It is no connection but a recording, and what it brings is as old as that says."""
        self.is_open = False
        self.opened_ns = 0
        self.failures = 0
        self.retry_ns = 0
        self.last_error = ""
        self.closing = False
        self.rotating = False
        """All its streams are on their way to another connection; then it is closed."""
        self.is_due = False
        """It is to be replaced as soon as there is room for its successor."""
        self.is_probe = False
        """It is to find out which of its streams makes the venue close the connection."""
        self.streams: dict[str, Phase] = {}
        self.leaving: dict[str, Link] = {}
        """Streams that it carries until another link has taken them over."""
        self.delivered: set[str] = set()
        """Streams of which messages came on this connection."""
        self.silent: dict[str, int] = {}
        """Streams that were granted and brought nothing yet, and when that becomes suspicious."""
        self.routes: dict[bytes, Route] = {}
        self.characters = 0
        """All names of its streams together."""
        self.groups: set[str] = set()
        self.rate = 0.0
        """Messages/s, as last measured."""
        self.messages = 0
        self.last_message = Instant(0, 0)
        self.next_sequence: int | None = None
        """Of its next message, where the venue counts the messages of a connection."""
        self.unnumbered = 0
        """How many messages came before the first number."""
        self._venue = venue
        self._per_ip = per_ip
        self._replies: deque[bytes] = deque()
        self._planned: dict[str, None] = {}
        self._dropped: dict[str, None] = {}
        self._suspects: deque[tuple[str, ...]] = deque()
        """Halves of refused batches."""
        self._asked: dict[int, _Asked] = {}
        self._next_id = 1
        self._limiter = Limiter(venue.profile, per_ip)
        self._sending = False
        self._measured = (0, 0)

    def line(self) -> Line:
        """What planning has to know."""
        is_open_to_more = not (self.rotating or self.is_probe)
        return Line(
            self.endpoint,
            self.mirror,
            self.streams,
            self.characters,
            self.groups,
            self.rate,
            is_open_to_more,
        )

    def measure(self, now_ns: int) -> dict[str, float]:
        """Bring ``rate`` up to date; returns that of each stream since the last time."""
        (messages, then_ns), self._measured = self._measured, (self.messages, now_ns)
        seconds = max(now_ns - then_ns, 1) / 1e9
        self.rate = (self.messages - messages) / seconds
        rates: dict[str, float] = {}
        for route in self.routes.values():
            for stream in route.streams:
                rates[stream] = rates.get(stream, 0.0) + route.messages / seconds
            route.messages = 0
        return rates

    # --- the connection ---

    def opened(self, now_ns: int) -> None:
        """The handshake is done: a new connection, with nothing on it."""
        self.is_open = True
        self.opened_ns = now_ns
        self._sending = False

    def closed(self, now_ns: int) -> None:
        """The connection is gone; its streams are to be asked for again."""
        self._limiter.closed(now_ns)
        self._limiter = Limiter(self._venue.profile, self._per_ip)
        self.number = None
        self.is_open = self.is_due = self.has_asked = False
        self.silent.clear()
        self.delivered.clear()
        self.next_sequence, self.unnumbered, self.is_torn = None, 0, False
        self._replies.clear()
        self._suspects.clear()
        self._dropped.clear()
        self._asked.clear()
        self._enter(Phase.PLANNED, self.streams)

    def hole(self, why: str, now: Instant) -> Hole:
        """What a stream misses that came on it: all since its last message, if it had one."""
        return Hole(self.number or 0, why, self.last_message.wall_ns or now.wall_ns)

    def sent(self, now_ns: int, *, control: bool) -> None:
        """A frame went out: the venue counts it."""
        if not control:
            self._sending = False
        self._limiter.sent(now_ns, control=control)

    # --- its streams ---

    def add(self, stream: str) -> None:
        """Carry a stream from now on."""
        self.characters += len(stream)
        if (group := self._venue.group(stream)) is not None:
            self.groups.add(group)
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
        self.characters -= len(stream)
        if (group := self._venue.group(stream)) is not None:
            self.groups.discard(group)
        self.leaving.pop(stream, None)
        self.silent.pop(stream, None)
        self.delivered.discard(stream)
        self._planned.pop(stream, None)
        without = (tuple(s for s in half if s != stream) for half in self._suspects)
        self._suspects = deque(half for half in without if half)

    # --- requests ---

    def reply(self, payload: bytes) -> None:
        """Answer a question of the venue before anything else."""
        self._replies.append(payload)

    def ready_at(self, now_ns: int) -> int | None:
        """When the next frame may be sent; None if there is nothing to send now.

        The next frame is chosen when the one before has left, so that what clients ask for in
        the meantime goes out together.
        """
        wanted = self._next()
        return None if wanted is None else self._limiter.ready_at(now_ns, wanted[0])

    def hold(self, now_ns: int) -> tuple[Urgency, Hold] | None:
        """What has to wait for a limit now, and for which; None if nothing does."""
        wanted = self._next()
        hold = None if wanted is None else self._limiter.hold(now_ns, wanted[0])
        return None if wanted is None or hold is None else (wanted[0], hold)

    def filled(self, now_ns: int) -> dict[str, Fill]:
        """How full each of the connection's windows is."""
        return self._limiter.filled(now_ns)

    def _next(self) -> tuple[Urgency, list[str]] | None:
        """What is wanted most: to live, to make room, to find a batch's bad stream, the rest."""
        if not self.is_open or self.closing or self._sending:
            return None
        if self._replies:
            return Urgency.ANSWER, []
        if self.rotating or (self.is_probe and self._asked):
            return None
        if not (self._dropped or self._planned):
            return None
        unanswered = {stream for asked in self._asked.values() for stream in asked.batch}
        if self._dropped:
            # One that the venue has not granted yet cannot make room yet: all else has to wait.
            dropped = [s for s in self._dropped if s not in unanswered]
            return (Urgency.UNSUBSCRIBE, dropped) if dropped else None
        first = self._suspects[0] if self._suspects else self._planned
        planned = [s for s in first if s not in unanswered]
        return (Urgency.SUBSCRIBE, planned) if planned else None

    def next_frame(self, now_ns: int) -> Frame:
        """Compose the frame that is most wanted; only when ``ready_at`` says that it may go."""
        wanted = self._next()
        assert wanted is not None, "ready_at said that there is something to send"
        urgency, streams = wanted
        self._sending = self.has_asked = True
        self._limiter.begin(urgency)
        if urgency is Urgency.ANSWER:
            return Frame(urgency, (), self._replies.popleft())
        batch = self._venue.batches(streams)[0]
        request_id, self._next_id = self._next_id, self._next_id + 1
        if urgency is Urgency.SUBSCRIBE:
            if self._suspects:
                self._suspects.popleft()
            self._enter(Phase.ASKED, batch)
            payload = self._venue.subscribe(batch, request_id)
        else:
            for stream in batch:
                del self._dropped[stream]
            payload = self._venue.unsubscribe(batch, request_id)
        self._asked[request_id] = _Asked(urgency, batch, now_ns + ACK_TIMEOUT_NS)
        return Frame(urgency, batch, payload)

    # --- answers ---

    def acknowledged(self, request_id: int) -> list[str]:
        """The venue granted a request; returns the streams that are live now."""
        asked = self._asked.pop(request_id, None)
        if asked is None or asked.urgency is Urgency.UNSUBSCRIBE:
            return []
        return self._granted(frozenset(asked.batch))

    def holding(self, streams: frozenset[str]) -> list[str]:
        """The venue listed all that the connection holds; returns the streams that are new."""
        for request_id, (urgency, batch, _) in list(self._asked.items()):
            done = streams.issuperset if urgency is Urgency.SUBSCRIBE else streams.isdisjoint
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
        if asked is None or asked.urgency is Urgency.UNSUBSCRIBE:
            return None
        batch = tuple(s for s in asked.batch if self.streams.get(s) is Phase.ASKED)
        for stream in asked.batch:
            self._dropped.pop(stream, None)
        if len(batch) > 1:
            self._enter(Phase.PLANNED, batch)
            self.halve(batch)
            return []
        for stream in batch:
            self._forget(stream)
        return list(batch)

    def halve(self, batch: tuple[str, ...]) -> None:
        """Ask for each half of this batch by itself."""
        middle = len(batch) // 2
        self._suspects += (batch[:middle], batch[middle:])

    def unanswered(self) -> tuple[str, ...]:
        """The streams that the venue was asked for and has not granted."""
        return tuple(s for s, phase in self.streams.items() if phase is Phase.ASKED)

    def overdue(self, now_ns: int) -> list[str]:
        """Subscriptions that the venue never answered; the link carries them no longer."""
        late: list[str] = []
        for request_id, asked in list(self._asked.items()):
            if asked.deadline_ns <= now_ns:
                del self._asked[request_id]
                if asked.urgency is Urgency.SUBSCRIBE:
                    late += [s for s in asked.batch if self.streams.get(s) is Phase.ASKED]
        for stream in late:
            self.remove(stream)
        return late

    def next_answer_ns(self) -> int | None:
        """When the oldest unanswered request becomes overdue."""
        return min((asked.deadline_ns for asked in self._asked.values()), default=None)
