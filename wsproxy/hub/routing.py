"""The data plane: from a message to the clients that asked for it.

Clients that see the same form of the same streams are one cohort: a message is encoded once and
appended once for all of them. A route remembers, for one routing key, which cohorts get the
message; it is worked out anew only when somebody's subscriptions changed.

Clients that want no more than the newest of what they had no time to read have cohorts of their
own, which routes serve in a way of their own: the others do not pay for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import compress
from typing import TypeVar

from wsproxy.hub.backlog import Content, Item
from wsproxy.hub.cohort import Cohort, Member, are_bytes, encoded, framed
from wsproxy.hub.gaps import Gaps, Sequenced
from wsproxy.venues.base import Body, State, Venue
from wsproxy.wire.frames import encode

_MOST_ROUTES = 100_000
"""Where messages carry many streams, the combinations are without end: start again then."""

Feed = Callable[[bytes], None]
"""Takes in each message of a stream."""

K = TypeVar("K", bound=Hashable)


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

    __slots__ = ("carried", "cohorts", "feeds", "messages", "sequence", "streams", "targets")

    def __init__(self, carried: tuple[str, ...], streams: tuple[str, ...]) -> None:
        self.carried = frozenset(carried)
        self.streams = streams
        self.messages = 0
        """How many came since somebody last asked."""
        self.feeds: list[Feed] = []
        self.sequence: Sequenced | None = None
        """That of its stream, if it has one."""
        self.targets: list[Target] | None = None
        """None when it (and all else) has to be worked out."""
        self.cohorts: dict[str, list[Cohort]] | None = None
        """By view, if none of them wants a part of the messages only; else None."""


class Routing:
    """All cohorts, routes and late-join states of one venue."""

    def __init__(self, venue: Venue) -> None:
        self.gaps: Gaps | None = None
        """Where the numbers of what is delivered are looked at; None in a replay."""
        self.behind: dict[int, Member] = {}
        """Clients that conflate and have not read what they were sent."""
        self.conflated = 0
        """How many messages they were spared, each in one client."""
        self._render = venue.render
        self._render_all = venue.render_all
        self._new_state = venue.state
        self._is_replaced = re.compile(venue.profile.replaced or r"(?!)").fullmatch
        self._states: dict[str, State | None] = {}
        self._cohorts: dict[tuple[str, frozenset[str], bool], Cohort] = {}
        self._cohorts_of: dict[str, dict[Cohort, None]] = {}
        self._routes_of: dict[str, dict[Route, None]] = {}
        self._touched: dict[Cohort, None] = {}
        """Those for which something is pending."""
        self._unseen: list[tuple[Sequence[bytes], Sequence[Route]]] = []

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
            key = view, streams, member.backlog is not None
            cohort = self._cohorts.get(key) or self._found(*key)
            cohort.members[member.client] = member
            member.cohort = cohort
        else:
            self.behind.pop(member.client, None)

    def _found(self, view: str, streams: frozenset[str], conflates: bool) -> Cohort:
        cohort = self._cohorts[view, streams, conflates] = Cohort(view, streams, conflates)
        for stream in streams:
            self._cohorts_of.setdefault(stream, {})[cohort] = None
            self._stale(stream)
        return cohort

    def _disband(self, cohort: Cohort) -> None:
        del self._cohorts[cohort.view, cohort.streams, cohort.conflates]
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

    def _work_out(self, route: Route, payload: bytes) -> None:
        states = [self._state(stream) for stream in route.streams]
        is_alone = len(route.carried) == 1
        route.feeds = [s.feed_alone if is_alone else s.feed for s in states if s is not None]
        if self.gaps is not None:
            watched = [self.gaps.watch(stream, payload) for stream in route.streams]
            sequences = [sequence for sequence in watched if sequence is not None]
            route.sequence = sequences.pop() if sequences else None
            route.feeds += [partial(self.gaps.feed_one, sequence) for sequence in sequences]
        targets: dict[tuple[str, frozenset[str] | None], Target] = {}
        conflating: dict[frozenset[str], dict[str, Target]] = {}
        found = {c: None for stream in route.streams for c in self._cohorts_of.get(stream, ())}
        for cohort in found:
            wanted = cohort.streams.intersection(route.streams)
            key = cohort.view, None if wanted == route.carried else wanted
            if cohort.conflates:
                of_view = conflating.setdefault(wanted, {})
                of_view.setdefault(cohort.view, Target(*key)).cohorts.append(cohort)
            else:
                targets.setdefault(key, Target(*key)).cohorts.append(cohort)
        route.feeds += [
            partial(self._spread_conflating, target, self._content(wanted))
            for wanted, of_view in conflating.items()
            for target in of_view.values()
        ]
        route.targets = list(targets.values())
        route.cohorts = {t.view: t.cohorts for t in route.targets if t.wanted is None}
        if len(route.cohorts) < len(route.targets):
            route.cohorts = None

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

    def settle(self) -> bool:
        """Have one state do a little of what is due for the next snapshot; whether one had to."""
        return any(state.settle() for state in self._states.values() if state is not None)

    def know(self, stream: str, payload: bytes) -> None:
        """Take in a message that clients need not see: its stream's state where they begin."""
        state = self._state(stream)
        if state is not None:
            state.feed(payload)

    def forget(self, stream: str) -> None:
        """What is known of the stream is not true any more: messages of it are missed."""
        if self._states.pop(stream, None) is not None:
            self._stale(stream)

    # --- messages ---

    def spread(
        self, payloads: Sequence[bytes], routes: Sequence[Route], frames: bytes | None = None
    ) -> None:
        """Give each message to every cohort of its route; payloads without a route get none.

        ``frames`` are all that have one as ``encode_all`` would encode them, if somebody has that.
        """
        if not routes:
            return
        payloads = payloads[: len(routes)]
        counts = Counter(routes) if len(routes) > 1 else {routes[0]: 1}
        are_fed, are_whole, are_alike = False, True, True
        for route, count in counts.items():
            if route.targets is None:
                self._work_out(route, payloads[routes.index(route)])
            route.messages += count
            are_fed |= bool(route.feeds)
            are_whole &= route.cohorts is not None
            are_alike &= route.cohorts == routes[0].cohorts
        if not are_whole:
            self._spread_each(payloads, routes)
        elif are_alike:
            self._spread_alike(payloads, routes[0], frames)
        else:
            self._spread_whole(payloads, routes, counts)
        if are_fed:
            for payload, route in zip(payloads, routes, strict=True):
                for feed in route.feeds:
                    feed(payload)
        self._unseen.append((payloads, routes))

    def look(self) -> None:
        """Look for gaps in what was spread; ``deliveries`` does, once clients have it."""
        unseen, self._unseen = self._unseen, []
        if self.gaps is None:
            return
        for payloads, routes in unseen:
            sequences = [route.sequence for route in routes if route.sequence is not None]
            if len(sequences) == len(routes):
                self.gaps.feed(sequences, payloads)
            else:
                has_one = [route.sequence is not None for route in routes]
                self.gaps.feed(sequences, list(compress(payloads, has_one)))

    def _spread_alike(self, payloads: Sequence[bytes], route: Route, frames: bytes | None) -> None:
        """Where all messages go to the same clients: each view of them is made at once."""
        for view, cohorts in (route.cohorts or {}).items():
            bodies = self._render_all(payloads, view)
            items = [frames] if frames is not None and bodies is payloads else encoded(bodies)
            self._touched.update(dict.fromkeys(cohorts))
            for cohort in cohorts:
                cohort.pending += items

    def _spread_whole(
        self, payloads: Sequence[bytes], routes: Sequence[Route], different: Iterable[Route]
    ) -> None:
        """Where nobody wants a part of a message only: each view is made at once, too."""
        views: dict[str, dict[Route, list[Cohort]]] = {}
        for route in different:
            for view, cohorts in (route.cohorts or {}).items():
                views.setdefault(view, {})[route] = cohorts
                self._touched.update(dict.fromkeys(cohorts))
        for view, of_route in views.items():
            served = [of_route.get(route) for route in routes]
            mine = payloads if all(served) else list(compress(payloads, served))
            items = encoded(self._render_all(mine, view))
            for item, cohorts in zip(items, filter(None, served), strict=True):
                for cohort in cohorts:
                    cohort.pending.append(item)

    def _spread_each(self, payloads: Iterable[bytes], routes: Iterable[Route]) -> None:
        """Where somebody wants a part of a message: the loop runs once a message."""
        render = self._render
        for payload, route in zip(payloads, routes, strict=True):
            for target in route.targets or ():
                body = render(payload, target.view, target.wanted)
                item = encode(body) if type(body) is bytes else body
                self._touched.update(dict.fromkeys(target.cohorts))
                for cohort in target.cohorts:
                    cohort.pending.append(item)

    def _spread_conflating(self, target: Target, content: Content, payload: bytes) -> None:
        item = framed(self._render(payload, target.view, target.wanted))
        self._touched.update(dict.fromkeys(target.cohorts))
        for cohort in target.cohorts:
            cohort.pending.append(item)
            cohort.contents.append(content)

    def _content(self, streams: frozenset[str]) -> Content:
        """What a message of these streams states."""
        replaced = tuple(filter(self._is_replaced, streams))
        return Content(*replaced) if len(streams) == len(replaced) == 1 else Content(None, replaced)

    def deliveries(self) -> Iterator[tuple[bytes, Iterable[int]]]:
        """Encoded frames and the clients to write them to, for all that was spread since.

        Take them all: only then gaps are looked for.
        """
        touched, self._touched = self._touched, {}
        for cohort in touched:
            items, cohort.pending = cohort.pending, []
            if are_bytes(items) and not cohort.conflates:
                yield b"".join(items), list(cohort.members)
                continue
            # Only clients that were sent equally many numbered messages get equal bytes.
            alike: dict[int, list[Member]] = {}
            members = self._ready(cohort, items) if cohort.conflates else cohort.members.values()
            for member in members:
                alike.setdefault(member.sent, []).append(member)
            for equals in alike.values():
                first = equals[0]
                frames = first.frames(items)
                for member in equals:
                    member.sent = first.sent
                yield frames, [member.client for member in equals]
        self.look()

    # --- clients that conflate ---

    def _ready(self, cohort: Cohort, items: list[Item]) -> list[Member]:
        """Those who get everything; for the others the items wait."""
        contents, cohort.contents = cohort.contents, []
        ready = []
        for member in cohort.members.values():
            if member.backlog is None or member.client not in self.behind:
                ready.append(member)
                continue
            for item, content in zip(items, contents, strict=True):
                self.conflated += member.backlog.add(item, content)
        return ready

    def fell_behind(self, member: Member) -> None:
        """A client has not read what it was sent: what comes now waits."""
        if member.backlog is not None:
            self.behind[member.client] = member

    def catch_up(self, member: Member) -> bytes:
        """It has: the frames that it gets next."""
        self.behind.pop(member.client, None)
        return member.frames(())
