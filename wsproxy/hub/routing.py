"""The data plane: from a message to the clients that asked for it.

Clients that see the same form of the same streams are one cohort: a message is encoded once and
appended once for all of them. A route remembers, for one routing key, which cohorts get the
message; it is worked out anew only when somebody's subscriptions changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from wsproxy.venues.base import Body, Numbered, State, Venue
from wsproxy.wire.frames import encode, header


class Member:
    """A client as routing sees it: a number, and a counter of the messages that it was sent."""

    __slots__ = ("client", "cohort", "sent")

    def __init__(self, client: int) -> None:
        self.client = client
        self.cohort: Cohort | None = None
        self.sent = 0

    def frames(self, bodies: Iterable[Body]) -> bytes:
        """Encode messages for this client, numbering those that are to be numbered."""
        parts: list[bytes] = []
        sent = self.sent
        for body in bodies:
            if isinstance(body, Numbered):
                head, tail = body
                number = b"%d" % sent
                sent += 1
                parts += (header(len(head) + len(number) + len(tail)), head, number, tail)
            else:
                parts.append(encode(body))
        self.sent = sent
        return b"".join(parts)


class Cohort:
    """Clients with the same view and the same streams, and what is to be sent to them next."""

    __slots__ = ("bodies", "frames", "members", "streams", "view")

    def __init__(self, view: str, streams: frozenset[str]) -> None:
        self.view = view
        self.streams = streams
        self.members: dict[int, Member] = {}
        self.frames: list[bytes] = []
        """Encoded, the same for all members."""
        self.bodies: list[Body] = []
        """Numbered messages, encoded for each member on its own."""


class Route:
    """Where the messages with one routing key go."""

    __slots__ = ("carried", "feeds", "streams", "targets")

    def __init__(
        self, carried: tuple[str, ...], streams: tuple[str, ...], states: Iterable[State]
    ) -> None:
        self.carried = frozenset(carried)
        """Every stream in the message; ``streams`` are those that are delivered from here."""
        self.streams = streams
        self.feeds = tuple(state.feed for state in states)
        self.targets: list[tuple[str, frozenset[str] | None, list[Cohort]]] | None = None
        """View, wanted streams (None: all), cohorts; None when it has to be worked out."""


class Routing:
    """All cohorts and routes of one venue."""

    def __init__(self, venue: Venue) -> None:
        self._render = venue.render
        self._cohorts: dict[tuple[str, frozenset[str]], Cohort] = {}
        self._cohorts_of: dict[str, dict[Cohort, None]] = {}
        self._routes_of: dict[str, list[Route]] = {}
        self._touched: list[Cohort] = []

    def place(self, member: Member, view: str, streams: frozenset[str]) -> None:
        """Put a client into the cohort of its view and streams; without streams into none."""
        old = member.cohort
        if old is not None and (old.view, old.streams) == (view, streams):
            return
        if old is not None:
            del old.members[member.client]
            member.cohort = None
            if not old.members:
                self._forget(old)
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

    def _forget(self, cohort: Cohort) -> None:
        del self._cohorts[cohort.view, cohort.streams]
        for stream in cohort.streams:
            del self._cohorts_of[stream][cohort]
            if not self._cohorts_of[stream]:
                del self._cohorts_of[stream]
            self._stale(stream)

    def _stale(self, stream: str) -> None:
        for route in self._routes_of.get(stream, ()):
            route.targets = None

    def route(
        self, carried: tuple[str, ...], streams: tuple[str, ...], states: Iterable[State]
    ) -> Route:
        """A new route for messages that carry these streams; see Route."""
        route = Route(carried, streams, states)
        for stream in streams:
            self._routes_of.setdefault(stream, []).append(route)
        return route

    def drop(self, routes: Iterable[Route]) -> None:
        """Forget routes: their connection is gone or carries other streams now."""
        for route in routes:
            for stream in route.streams:
                self._routes_of[stream].remove(route)
                if not self._routes_of[stream]:
                    del self._routes_of[stream]

    def _retarget(self, route: Route) -> list[tuple[str, frozenset[str] | None, list[Cohort]]]:
        groups: dict[tuple[str, frozenset[str] | None], list[Cohort]] = {}
        found = {c: None for stream in route.streams for c in self._cohorts_of.get(stream, ())}
        for cohort in found:
            wanted = cohort.streams.intersection(route.streams)
            key = (cohort.view, None if wanted == route.carried else wanted)
            groups.setdefault(key, []).append(cohort)
        route.targets = [(view, wanted, cohorts) for (view, wanted), cohorts in groups.items()]
        return route.targets

    def spread(self, payload: bytes, route: Route) -> None:
        """Give one message to every cohort of a route. Runs once a message."""
        for feed in route.feeds:
            feed(payload)
        targets = route.targets
        if targets is None:
            targets = self._retarget(route)
        for view, wanted, cohorts in targets:
            body = self._render(payload, view, wanted)
            if isinstance(body, Numbered):
                for cohort in cohorts:
                    if not cohort.bodies:
                        self._touched.append(cohort)
                    cohort.bodies.append(body)
            else:
                frame = encode(body)
                for cohort in cohorts:
                    if not cohort.frames:
                        self._touched.append(cohort)
                    cohort.frames.append(frame)

    def deliveries(self) -> Iterator[tuple[bytes, Iterable[int]]]:
        """Encoded frames and the clients to write them to, for all that was spread since."""
        touched, self._touched = self._touched, []
        for cohort in touched:
            if cohort.frames:
                frames, cohort.frames = cohort.frames, []
                yield b"".join(frames), cohort.members
            if cohort.bodies:
                bodies, cohort.bodies = cohort.bodies, []
                for member in cohort.members.values():
                    yield member.frames(bodies), (member.client,)
