"""Make before break: a stream leaves a connection when another one delivers all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from wsproxy.hub.carriers import Carriers
from wsproxy.hub.gaps import Hole
from wsproxy.hub.intake import Intake
from wsproxy.hub.join import Item, Join, Settled
from wsproxy.hub.link import Link, Phase
from wsproxy.hub.routing import Routing
from wsproxy.model import Instant

_LOOK_NS = 100_000_000
"""How often all streams that change connections are looked after; those to which something
happened are at once."""


class Handover:
    """The streams of one venue that are changing connections, or are on several."""

    def __init__(self, carriers: Carriers, intake: Intake, routing: Routing) -> None:
        self._carriers = carriers
        self._intake = intake
        self._routing = routing
        self._freed: list[tuple[str, list[Item]]] = []
        self._look_ns = 0

    def share(self, stream: str, link: Link) -> None:
        """A link carries this stream from now on, perhaps beside others."""
        if link in self._carriers.of(stream):
            return  # the keepalive, which every link has from the beginning
        for other in self._carriers.of(stream):
            self._routing.clear(other.routes)  # its messages have to be compared from now on
        if stream not in link.streams:
            link.add(stream)
        self._carriers.add(stream, link)

    def move(self, streams: Iterable[str], source: Link, target: Link) -> None:
        """Take these streams over to another link, without a hole."""
        for stream in list(streams):
            self.share(stream, target)
            source.leaving[stream] = target

    def part(self, stream: str, link: Link, now: Instant) -> bool:
        """A link carries this stream no longer; False if clients may have missed something."""
        removed = self._carriers.remove(stream, link, now.mono_ns)
        if stream in link.streams:
            link.remove(stream)
        self._routing.clear(link.routes)
        self._freed.append((stream, removed.items))
        return removed.whole

    def inherit(self, stream: str, link: Link, heir: Link | None, now: Instant) -> None:
        """Deliver the messages of another link from now on, although they may not be the same."""
        self._carriers.remove(stream, link, now.mono_ns)
        self._routing.clear(link.routes)
        if heir is not None:
            self._carriers.add(stream, heir)

    def release(self) -> None:
        """Deliver what was held back: clients that must not see it have been closed by now."""
        for stream, items in self._freed:
            if self._carriers.of(stream):
                self._intake.release(stream, items)
        self._freed.clear()

    def ended(self, link: Link, now: Instant, why: str) -> list[str]:
        """A connection ended; returns the streams of which messages may be missing now."""
        hole = link.hole(why, now)
        mine = [stream for stream in link.streams if link in self._carriers.of(stream)]
        return [stream for stream in mine if self.lose(stream, link, hole, now)]

    def lose(self, stream: str, link: Link, hole: Hole, now: Instant) -> bool:
        """A link brings no more of a stream; returns whether messages may be missing now."""
        removed = self._carriers.ended(stream, link, now.mono_ns)
        if not removed.whole:
            self._lost(stream, hole, link)
        self._freed.append((stream, removed.items))
        return not removed.whole

    def _lost(self, stream: str, hole: Hole, link: Link) -> None:
        self._routing.forget(stream)
        self._intake.gaps.lost([stream], hole)
        others = [other for other in self._carriers.of(stream) if other is not link]
        if any(other.streams[stream] is Phase.LIVE for other in others):
            self._intake.gaps.live([stream])

    def leave(self, link: Link, now: Instant) -> None:
        """The connection of a link ended, and it is to go on without what others carry by now."""
        going = [*link.streams] if link.rotating else [*link.leaving]
        for stream in going:
            if len(self._carriers.of(stream)) > 1:
                self.part(stream, link, now)
        link.rotating = link.closing = False
        link.leaving.clear()

    def advance(self, links: Sequence[Link], now: Instant) -> Iterator[tuple[str, str]]:
        """Let go of what others deliver by now.

        Yields streams that were taken over although clients may have missed something, and why.
        """
        joining, came = self._carriers.joining, self._intake.progressed
        is_all = self._look_ns <= now.mono_ns
        if is_all:
            self._look_ns = now.mono_ns + _LOOK_NS
        for stream in list(joining) if is_all else [s for s in came if s in joining]:
            for settled in self._settle(stream, now):
                yield stream, settled.why
        for link in links:
            for stream in list(link.leaving) if is_all else [s for s in came if s in link.leaving]:
                if self._may_leave(stream, link):
                    self.part(stream, link, now)
        came.clear()

    def _settle(self, stream: str, now: Instant) -> Iterator[Settled]:
        join = self._carriers.joins[stream]
        last_ns = join.last_ns
        time_ns = self._carriers.time_ns(stream, now.mono_ns)
        while (settled := join.settle(time_ns)) is not None:
            whole_ns = self._whole_ns(stream, join) if last_ns is None else last_ns
            hole = Hole(settled.line, settled.why, now.wall_ns - (now.mono_ns - whole_ns))
            self._intake.gaps.lost([stream], hole)
            self._intake.gaps.live([stream])
            self._freed.append((stream, settled.items))
            yield settled
        if all(map(join.is_joined, join.lines)):
            self._carriers.joining.pop(stream, None)

    def _whole_ns(self, stream: str, join: Join) -> int:
        """Until when nothing was missing of a stream of which nothing came, as far as shows."""
        lines = [link for link in self._carriers.of(stream) if link.number in join.lines]
        newest_ns = max(link.opened_ns for link in lines)
        return min(newest_ns, *(link.last_message.mono_ns for link in lines))

    def _may_leave(self, stream: str, link: Link) -> bool:
        others = [other for other in self._carriers.of(stream) if other is not link]
        if not others:
            del link.leaving[stream]  # where it was to go, it was refused
            return False
        target = link.leaving[stream]
        idle = not link.is_open or link.streams[stream] is Phase.PLANNED
        heirs = [target] if target in others else others
        return idle or self._carriers.is_delivered(stream, heirs)

    def next_deadline_ns(self, links: Iterable[Link]) -> int | None:
        """When to look after streams that change connections."""
        is_changing = self._carriers.joining or any(link.leaving for link in links)
        return self._look_ns if is_changing else None
