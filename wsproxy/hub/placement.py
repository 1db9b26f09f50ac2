"""The connections of one venue: which there are, and which carries what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from wsproxy.hub.carriers import Carriers
from wsproxy.hub.gaps import Gaps
from wsproxy.hub.handover import Handover
from wsproxy.hub.intake import Intake
from wsproxy.hub.limits import Budget, Share, Window
from wsproxy.hub.lines import Draft, Line, Move, Open, Rules, Step, Subscribe, Want
from wsproxy.hub.link import Link, Phase
from wsproxy.hub.plan import Refused, plan
from wsproxy.hub.rebalance import rebalance
from wsproxy.hub.routing import Routing
from wsproxy.model import Instant
from wsproxy.venues.base import Venue

_AGAIN_NS = 60_000_000_000
"""When a replacement is tried again that some stream could not go along with."""


class Placement:
    """Opens links and puts streams on them, as the planner says.

    The keepalive stream is on every link; one of them, its carrier, delivers it.
    """

    def __init__(
        self,
        venue: Venue,
        budget: Budget,
        routing: Routing,
        *,
        redundancy: Callable[[str], int],
        mirrors: Sequence[float],
    ) -> None:
        profile = venue.profile
        self.links: list[Link] = []
        gaps = Gaps(venue)
        self.carriers = Carriers(venue, routing.known, gaps.last)
        self.intake = Intake(venue, routing, self.carriers, gaps)
        self.handover = Handover(self.carriers, self.intake, routing)
        self.share = Share(budget, profile)
        self.rules = Rules(
            streams_per_connection=profile.streams_per_connection,
            characters_per_connection=profile.characters_per_connection,
            spread_over=budget.cap if profile.fill == "spread" else 1,
            hot_rate=profile.hot_rate,
            keepalive=profile.keepalive,
        )
        self._venue = venue
        self._keepalive = profile.keepalive
        self._rotate_ns = profile.rotate_ns
        self._redundancy = redundancy
        self._mirrors = mirrors
        self.per_ip = None if profile.requests_per_ip is None else Window(profile.requests_per_ip)
        self._keys = iter(range(1, 2**63))

    # --- streams ---

    def carry(self, stream: str) -> Refused | None:
        """Put a stream on as many links as it should be on; says so if there is no room."""
        return next(iter(self.complete([stream])), None)

    def complete(self, streams: Iterable[str]) -> list[Refused]:
        """Give streams the copies that they lack; returns those for which there is no room."""
        wants = [want for want in map(self._want, streams) if self._held(want.stream) < want.copies]
        if not wants:
            return []
        made = plan(
            wants,
            {want.stream: [link.key for link in self._own(want.stream)] for want in wants},
            self._lines(),
            self.rules,
            free=self.share.free,
            mirrors=self._mirrors,
            keys=self._keys,
        )
        self._do(made.steps)
        return made.refused

    def cool(self, now: Instant) -> None:
        """Measure rates, and move a stream away from a link that runs hot."""
        rates: dict[str, float] = {}
        for link in self.links:
            rates |= link.measure(now.mono_ns)
        steps = rebalance(
            self._want,
            rates,
            self._lines(),
            self.rules,
            free=self.share.free,
            mirrors=self._mirrors,
            keys=self._keys,
        )
        self._do(steps)

    def rotate(self, now: Instant) -> None:
        """Begin the next replacement that is due; one at a time spares the venue's limits."""
        for link in self.links:
            age_ns = now.mono_ns - link.opened_ns
            if link.is_open and self._rotate_ns is not None and age_ns >= self._rotate_ns:
                link.is_due = not link.rotating
        if not self.share.free or any(link.rotating for link in self.links):
            return
        for link in self.links:
            may_go = not (link.closing or link.is_probe or link.retry_ns > now.mono_ns)
            if link.is_due and may_go:
                link.is_due, link.rotating = False, True
                moving = [stream for stream in link.streams if stream != self._keepalive]
                self.handover.move(moving, link, self.open(link.endpoint, link.mirror))
                return

    def end_rotation(self, now: Instant) -> None:
        """See to a link that all streams have left that could leave it."""
        for link in self.links:
            if link.rotating and not link.leaving:
                self.bequeath(link, now)
                if any(link in self.carriers.of(stream) for stream in link.streams):
                    link.rotating, link.is_due, link.retry_ns = False, True, now.mono_ns + _AGAIN_NS

    def probe(self, streams: Iterable[str], beside: Link) -> list[str]:
        """Put streams where they cannot harm others, to try them; returns those without room."""
        left: list[str] = []
        for stream in streams:
            want = self._want(stream)
            probes = (p for p in self.links if p.is_probe and p.endpoint == want.endpoint)
            roomy = (p for p in probes if not Draft(p.key, p.line(), self.rules).obstacle(want))
            link = next(roomy, None)
            if link is None and self.share.free:
                link = self.open(beside.endpoint, beside.mirror)
                link.is_probe = True
            if link is None:
                left.append(stream)
            else:
                self.handover.share(stream, link)
        return left

    def _want(self, stream: str) -> Want:
        return Want(
            stream,
            self._venue.endpoint(stream),
            1 if stream == self._keepalive else self._redundancy(stream),
            len(stream),
            self._venue.group(stream),
        )

    def _held(self, stream: str) -> int:
        return len(self._own(stream))

    def _own(self, stream: str) -> list[Link]:
        return [link for link in self.carriers.of(stream) if not link.is_recorded]

    def _lines(self) -> dict[int, Line]:
        return {link.key: link.line() for link in self.links}

    def _do(self, steps: Iterable[Step]) -> None:
        """Carry out steps. (Links on which nothing is wanted are closed by whoever sees them.)"""
        links = {link.key: link for link in self.links}
        for step in steps:
            match step:
                case Open(key, endpoint, mirror):
                    links[key] = self.open(endpoint, mirror, key)
                case Subscribe(key, stream):
                    self.handover.share(stream, links[key])
                case Move(stream, source, target):
                    self.handover.move([stream], links[source], links[target])

    # --- links ---

    def open(self, endpoint: str, mirror: int = 0, key: int | None = None) -> Link:
        """A new link, for which there is room in the budget."""
        taken = self.share.take()
        assert taken, "plans keep within the budget"
        key = next(self._keys) if key is None else key
        link = Link(self._venue, endpoint, key=key, mirror=mirror, per_ip=self.per_ip)
        self.links.append(link)
        self.keep_alive(link)
        return link

    def keep_alive(self, link: Link) -> None:
        """Have the link hold the keepalive stream."""
        if self._keepalive is not None:
            link.add(self._keepalive)
            if not self.carriers.of(self._keepalive):
                self.carriers.add(self._keepalive, link)

    def remove(self, link: Link, now: Instant) -> bool:
        """Give a link back; True if it was the last to carry the keepalive stream."""
        self.links.remove(link)
        self.share.give_back()
        return self.bequeath(link, now)

    def bequeath(self, link: Link, now: Instant) -> bool:
        """Let another link deliver the keepalive stream; True if it was this one and none can."""
        if self._keepalive is None or link not in self.carriers.of(self._keepalive):
            return False
        others = [o for o in self.links if o is not link and self._keepalive in o.streams]
        if not others and link in self.links:
            return False
        alive = (o for o in others if o.streams[self._keepalive] is Phase.LIVE)
        heir = next(alive, next(iter(others), None))
        self.handover.inherit(self._keepalive, link, heir, now)
        return heir is None
