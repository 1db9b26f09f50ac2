"""The data plane: from a message to the clients that asked for it.

Clients that see the same form of the same streams are one cohort: a message is encoded once and
appended once for all of them. A route remembers, for one routing key, which cohorts get the
message; it is worked out anew only when somebody's subscriptions changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import TypeVar

from wsproxy.venues.base import Body, Numbered, State, Venue
from wsproxy.wire.frames import encode, header

_MOST_ROUTES = 100_000
"""Where messages carry many streams, the combinations are without end: start again then."""

Feed = Callable[[bytes], None]
"""Takes in each message of a stream."""

K = TypeVar("K", bound=Hashable)

Item = bytes | Numbered
"""An encoded frame, or a message that is numbered and encoded for each client."""


def framed(body: Body) -> Item:
    """Encode what is the same for every client."""
    return body if isinstance(body, Numbered) else encode(body)


class Member:
    """A client as routing sees it: its number, and how many numbered messages it was sent."""

    __slots__ = ("client", "cohort", "sent")

    def __init__(self, client: int) -> None:
        self.client = client
        self.cohort: Cohort | None = None
        self.sent = 0

    def frames(self, items: Iterable[Item]) -> bytes:
        """Join what is sent to this client next, with its own numbers."""
        parts: list[bytes] = []
        sent = self.sent
        for item in items:
            if isinstance(item, Numbered):
                head, tail = item
                number = b"%d" % sent
                sent += 1
                parts += (header(len(head) + len(number) + len(tail)), head, number, tail)
            else:
                parts.append(item)
        self.sent = sent
        return b"".join(parts)


class Cohort:
    """Clients with the same view and the same streams, and what is to be sent to them next."""

    __slots__ = ("members", "pending", "streams", "view")

    def __init__(self, view: str, streams: frozenset[str]) -> None:
        self.view = view
        self.streams = streams
        self.members: dict[int, Member] = {}
        self.pending: list[Item] = []


class Target:
    """Cohorts that get the same form of a message."""

    __slots__ = ("cohorts", "view", "wanted")

    def __init__(self, view: str, wanted: frozenset[str] | None) -> None:
        self.view = view
        self.wanted = wanted
        """The streams of the message that they asked for; None for all."""
        self.cohorts: list[Cohort] = []


class Route:
    """Where the messages with one routing key go.

    ``carried`` are all streams of such a message, ``streams`` those that are delivered from here.
    """

    __slots__ = ("carried", "feeds", "messages", "streams", "targets")

    def __init__(self, carried: tuple[str, ...], streams: tuple[str, ...]) -> None:
        self.carried = frozenset(carried)
        self.streams = streams
        self.messages = 0
        """How many came since somebody last asked."""
        self.feeds: list[Feed] = []
        self.targets: list[Target] | None = None
        """None when it (and ``feeds``) has to be worked out."""


class Routing:
    """All cohorts, routes and late-join states of one venue."""

    def __init__(self, venue: Venue) -> None:
        self.watch: Callable[[str, bytes], Feed | None] = lambda stream, payload: None
        """Given a stream and a message: what else is to be fed with it, and with all after it."""
        self._render = venue.render
        self._new_state = venue.state
        self._states: dict[str, State | None] = {}
        self._cohorts: dict[tuple[str, frozenset[str]], Cohort] = {}
        self._cohorts_of: dict[str, dict[Cohort, None]] = {}
        self._routes_of: dict[str, dict[Route, None]] = {}
        self._touched: list[Cohort] = []

    # --- clients ---

    def place(self, member: Member, view: str, streams: frozenset[str]) -> None:
        """Put a client into the cohort of its view and streams; without streams into none.

        What was spread before has to be delivered before.
        """
        old = member.cohort
        if old is not None:
            if (old.view, old.streams) == (view, streams):
                return
            del old.members[member.client]
            member.cohort = None
            if not old.members:
                self._disband(old)
        if streams:
            cohort = self._cohorts.get((view, streams)) or self._found(view, streams)
            cohort.members[member.client] = member
            member.cohort = cohort

    def _found(self, view: str, streams: frozenset[str]) -> Cohort:
        cohort = self._cohorts[view, streams] = Cohort(view, streams)
        for stream in streams:
            self._cohorts_of.setdefault(stream, {})[cohort] = None
            self._stale(stream)
        return cohort

    def _disband(self, cohort: Cohort) -> None:
        del self._cohorts[cohort.view, cohort.streams]
        for stream in cohort.streams:
            cohorts = self._cohorts_of[stream]
            del cohorts[cohort]
            if not cohorts:
                del self._cohorts_of[stream]
            self._stale(stream)

    def _stale(self, stream: str) -> None:
        for route in self._routes_of.get(stream, ()):
            route.targets = None

    # --- routes ---

    def remember(self, routes: dict[K, Route], key: K, route: Route) -> None:
        """Keep a route among others, so that it follows every change."""
        if len(routes) >= _MOST_ROUTES:
            self.clear(routes)
        routes[key] = route
        for stream in route.streams:
            self._routes_of.setdefault(stream, {})[route] = None

    def clear(self, routes: dict[K, Route]) -> None:
        """Forget routes: their connection is gone or carries other streams now."""
        for route in routes.values():
            for stream in route.streams:
                mine = self._routes_of[stream]
                del mine[route]
                if not mine:
                    del self._routes_of[stream]
        routes.clear()

    def _work_out(self, route: Route, payload: bytes) -> list[Target]:
        states = [self._state(stream) for stream in route.streams]
        watchers = [self.watch(stream, payload) for stream in route.streams]
        route.feeds = [state.feed for state in states if state is not None]
        route.feeds += [feed for feed in watchers if feed is not None]
        targets: dict[tuple[str, frozenset[str] | None], Target] = {}
        found = {c: None for stream in route.streams for c in self._cohorts_of.get(stream, ())}
        for cohort in found:
            wanted = cohort.streams.intersection(route.streams)
            key = cohort.view, None if wanted == route.carried else wanted
            targets.setdefault(key, Target(*key)).cohorts.append(cohort)
        route.targets = list(targets.values())
        return route.targets

    # --- what a late joiner is told ---

    def _state(self, stream: str) -> State | None:
        if stream not in self._states:
            self._states[stream] = self._new_state(stream)
        return self._states[stream]

    def snapshot(self, stream: str) -> Body | None:
        """What a client that joins the stream now has to be told first, if anything."""
        state = self._states.get(stream)
        return None if state is None else state.snapshot()

    def known(self, stream: str) -> State | None:
        """The late-join state of the stream, if it has one."""
        return self._states.get(stream)

    def forget(self, stream: str) -> None:
        """What is known of the stream is not true any more: messages of it are missed."""
        if self._states.pop(stream, None) is not None:
            self._stale(stream)

    # --- messages ---

    def spread(self, payloads: Iterable[bytes], routes: Iterable[Route]) -> None:
        """Give each message to every cohort of its route. The loop runs once a message."""
        render, touched = self._render, self._touched
        for payload, route in zip(payloads, routes, strict=False):
            targets = route.targets
            if targets is None:
                targets = self._work_out(route, payload)
            route.messages += 1
            for feed in route.feeds:
                feed(payload)
            for target in targets:
                body = render(payload, target.view, target.wanted)
                item = encode(body) if type(body) is bytes else body
                for cohort in target.cohorts:
                    if not cohort.pending:
                        touched.append(cohort)
                    cohort.pending.append(item)

    def deliveries(self) -> Iterator[tuple[bytes, Iterable[int]]]:
        """Encoded frames and the clients to write them to, for all that was spread since."""
        touched, self._touched = self._touched, []
        for cohort in touched:
            items, cohort.pending = cohort.pending, []
            # Only clients that were sent equally many numbered messages get equal bytes.
            alike: dict[int, list[Member]] = {}
            for member in cohort.members.values():
                alike.setdefault(member.sent, []).append(member)
            for members in alike.values():
                first = members[0]
                frames = first.frames(items)
                for member in members:
                    member.sent = first.sent
                yield frames, [member.client for member in members]
