"""The live supply: streams from a capped number of upstream connections, inside every limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from wsproxy.hub.dialing import Dialing
from wsproxy.hub.events import (
    CloseUpstream,
    Command,
    Note,
    OpenUpstream,
    SendUpstream,
    UpstreamClosed,
    UpstreamDeferred,
    Warn,
)
from wsproxy.hub.limits import Budget, Fill, Urgency
from wsproxy.hub.lines import Limit
from wsproxy.hub.link import Link, Phase
from wsproxy.hub.placement import Placement
from wsproxy.hub.quarantine import REFUSED_NS, SUSPECTED_NS, Quarantine
from wsproxy.hub.routing import Routing
from wsproxy.hub.supply import Refusal
from wsproxy.model import Instant, Kind
from wsproxy.recording import events as record
from wsproxy.venues.base import Acknowledged, Asked, Denied, Holding, Reading, Venue

_LOOK_NS = 10_000_000_000
"""How often rates are measured, and streams moved or copied where that has become possible."""


class Waiting(NamedTuple):
    """Work that waits for a limit."""

    what: str
    why: str
    until_ns: int | None
    """Monotonic clock; None if nobody knows."""


class Pool:
    """Asks the venue for streams, understands its answers, and mends links that break.

    Every method may add to ``commands`` (what the application has to do) and to ``outcomes``
    (streams that became live: None, or were refused: why). ``numbers`` are connection numbers,
    shared by all venues of a process; ``jitter`` gives floats in [0, 1). ``mirrors`` are the
    weights of the venue's addresses, ``redundancy`` says on how many connections a stream is
    to be taken.
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
        redundancy: Callable[[str], int] = lambda stream: 1,
        mirrors: Sequence[float] = (1.0,),
    ) -> None:
        self.commands: list[Command] = []
        self.outcomes: list[tuple[str, str | None]] = []
        self.missed: list[tuple[str, str]] = []
        """Streams of which clients may have missed messages, and why."""
        self.placement = Placement(venue, budget, routing, redundancy=redundancy, mirrors=mirrors)
        self.links = self.placement.links
        self.carriers = self.placement.carriers
        self.intake = self.placement.intake
        self.handover = self.placement.handover
        self._profile = venue.profile
        self._venue = venue
        self._keepalive = venue.profile.keepalive or ""
        self._keepalive_wanted = False
        self._cap = budget.cap
        self._routing = routing
        self._linger_ns = linger_ns
        self._numbers = numbers
        self.dialing = Dialing(venue.profile, len(mirrors), jitter)
        self._quarantine = Quarantine()
        self._unwanted: dict[str, int] = {}
        self._look_ns = 0

    # --- what the hub asks for ---

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Ask for a stream; see Supply."""
        self._unwanted.pop(stream, None)
        why = self._quarantine.refuses(stream, now.mono_ns)
        if why is not None and not self.carriers.of(stream):
            return Refusal(why)
        while (refused := self.placement.carry(stream)) is not None and not refused.held:
            can_help = refused.limit is not Limit.LENGTH
            if not (can_help and self._make_room(self._venue.endpoint(stream), now)):
                why = refused.why(self.placement.rules, self._cap)
                return Refusal(why, for_room=can_help and refused.limit is not Limit.GROUP)
        if stream == self._keepalive:
            self._keepalive_wanted = True
        return any(
            link.streams[stream] is Phase.LIVE and not link.closing
            for link in self.carriers.of(stream)
        )

    def release(self, stream: str, now: Instant) -> None:
        """Nobody wants the stream any more: it lingers, then it is given up."""
        if self.carriers.of(stream):
            self._unwanted[stream] = now.mono_ns + self._linger_ns

    def waiting_for(self, stream: str) -> str:
        """Why a stream is not live yet."""
        links = self.carriers.of(stream)
        if not links or any(link.is_open for link in links):
            return "the venue has not answered"
        return f"the venue cannot be reached ({links[0].last_error or 'still connecting'})"

    def _make_room(self, endpoint: str, now: Instant) -> bool:
        for stream in self._unwanted:
            if stream != self._keepalive and self._venue.endpoint(stream) == endpoint:
                self._give_up(stream, now)
                return True
        return False

    def _give_up(self, stream: str, now: Instant) -> None:
        del self._unwanted[stream]
        if stream == self._keepalive:
            self._keepalive_wanted = False
            return
        for link in list(self.carriers.of(stream)):
            self.handover.part(stream, link, now)
        self._forget(stream)

    def _forget(self, stream: str) -> None:
        self._quarantine.forget(stream)
        self._routing.forget(stream)
        self.intake.forget(stream)

    def link(self, connection: int) -> Link | None:
        """The link that has this connection number now."""
        for link in self.links:  # once a chunk: faster than a generator
            if link.number == connection:
                return link
        return None

    def mine(self, link: Link) -> list[str]:
        """The streams of a link that it delivers, alone or with others."""
        return [stream for stream in link.streams if link in self.carriers.of(stream)]

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

    def said(self, link: Link, reading: Reading, now: Instant) -> None:
        """The venue answered a request, or asks something itself."""
        match reading:
            case Acknowledged(request_id):
                self._granted(link, link.acknowledged(request_id), now)
            case Holding(streams):
                self._granted(link, link.holding(streams), now)
            case Asked(reply):
                link.reply(reply)
            case Denied(request_id, why):
                refused = link.denied(request_id)
                if refused is None:
                    self._warn(f"{self._profile.name} complains: {why}")
                else:
                    self._refuse(link, refused, why, now)

    def _granted(self, link: Link, live: list[str], now: Instant) -> None:
        if not live:
            return
        self._note(link, Kind.ACKNOWLEDGED, live, record.acknowledged(live))
        self._quarantine.proven(live)
        self.carriers.acknowledged(link, live, now.mono_ns)
        due_ns = now.mono_ns + self._profile.first_data_ns
        link.silent.update((stream, due_ns) for stream in live if stream not in link.delivered)
        mine = [stream for stream in live if self.carriers.may_deliver(stream, link)]
        self.intake.gaps.live(mine)
        self.outcomes += [(stream, None) for stream in mine]

    def deferred(self, event: UpstreamDeferred) -> None:
        """A connection was not attempted."""
        link = self.link(event.connection)
        if link is not None:
            link.number, link.closing = None, False
            self.dialing.deferred(link, event)

    def closed(self, event: UpstreamClosed, now: Instant, why: str) -> list[str]:
        """A connection ended; returns the streams that have a gap now."""
        link = self.link(event.connection)
        if link is None:
            return []
        lost = [] if link.closing else self.handover.ended(link, now, why)
        lacking = [stream for stream in link.unanswered() if self._lacks_snapshot(stream)]
        self.intake.gaps.lost(lacking, link.hole(why, now))
        suspects = self._quarantine.suspects(link, event, self._keepalive)
        if not link.closing:
            self.dialing.ended(link, event, now)
        link.closed(now.mono_ns)
        self._routing.clear(link.routes)
        self.handover.leave(link, now)
        self._isolate(link, suspects, now)
        return lost

    def _lacks_snapshot(self, stream: str) -> bool:
        """Whether the snapshot that was asked for was to end a gap, and nobody else brings one."""
        is_alone = len(self.carriers.of(stream)) == 1
        return is_alone and self._venue.resnapshots(stream) and self._quarantine.is_proven(stream)

    def replace(self, link: Link, why: str, now: Instant) -> list[str]:
        """A connection lost messages: begin anew. Returns the streams that have a gap now."""
        if link.number is None or link.closing:
            return []
        link.closing = True
        self.commands.append(CloseUpstream(link.number, 1000, "messages are missing"))
        self.dialing.ended(link, UpstreamClosed(link.number, 1000, why, "us"), now)
        return self.handover.ended(link, now, why)

    def rotate(self) -> None:
        """Replace every connection by a new one, without a hole, as soon as there is room."""
        for link in self.links:
            link.is_due = link.is_open

    def _isolate(self, link: Link, suspects: tuple[str, ...], now: Instant) -> None:
        """Find out on a connection of its own which stream makes the venue hang up."""
        why = "the venue closes the connection when it is asked for this"
        if link.is_probe and len(suspects) == 1:
            self._condemn(link, suspects, why, now, REFUSED_NS)
        elif link.is_probe and suspects:
            link.halve(suspects)
        elif suspects and link.streams.keys() <= {*suspects, self._keepalive}:
            link.is_probe = True
        else:
            for stream in suspects:
                self.handover.part(stream, link, now)
            left = self.placement.probe(suspects, link)
            why = f"{why}, and there is no other connection to try it alone"
            self._condemn(link, left, why, now, SUSPECTED_NS)

    def _condemn(
        self, link: Link, streams: Iterable[str], why: str, now: Instant, for_ns: int
    ) -> None:
        for stream in streams:
            self._quarantine.condemn(stream, why, now.mono_ns, for_ns)
        self._refuse(link, streams, why, now)

    # --- time ---

    def work(self, now: Instant) -> None:
        """Do everything that is due: give up streams, hand over, open, ask, close."""
        for stream, until_ns in list(self._unwanted.items()):
            if until_ns <= now.mono_ns:
                self._give_up(stream, now)
        self.missed += self.handover.advance(self.links, now)
        if self._look_ns <= now.mono_ns and self.links:
            self._look_ns = now.mono_ns + _LOOK_NS
            carried = dict.fromkeys(stream for link in self.links for stream in link.streams)
            self.placement.complete([s for s in carried if s not in self._unwanted])
            self.placement.cool(now)
            self._warn_of_silence(now)
        self.placement.end_rotation(now)
        for link in list(self.links):
            late = link.overdue(now.mono_ns)
            self._refuse(link, late, "the venue did not answer in time", now)
            if self._keepalive in late:  # without it the venue closes the connection: ask again
                self.placement.keep_alive(link)
            link.is_probe &= any(phase is not Phase.LIVE for phase in link.streams.values())
            if self._is_idle(link):
                self._close(link, now)
        self.placement.rotate(now)
        for link in sorted(self.links, key=lambda link: link.has_asked):
            self._connect(link, now)
            self._ask(link, now)

    def next_deadline_ns(self, now: Instant) -> int | None:
        """When ``work`` has something to do next, on the monotonic clock."""
        times: list[int | None] = [
            *self._unwanted.values(),
            self.handover.next_deadline_ns(self.links),
        ]
        if self.links:
            times.append(self._look_ns)
        for link in self.links:
            if link.number is None:
                times.append(self.dialing.due_ns(link, now.mono_ns))
            times += (link.ready_at(now.mono_ns), link.next_answer_ns())
        return min((time for time in times if time is not None), default=None)

    def waiting(self, now: Instant) -> list[Waiting]:
        """What waits for a limit, or to be tried again, and until when."""
        found: list[Waiting] = []
        for link in self.links:
            if link.number is None:
                due_ns = self.dialing.due_ns(link, now.mono_ns)
                why = link.last_error or "connection attempts per IP address"
                found.append(Waiting(f"a connection for {len(link.streams)} streams", why, due_ns))
            elif (held := link.hold(now.mono_ns)) is not None:
                urgency, hold = held
                what = f"{urgency.name.lower()} on connection {link.number}"
                found.append(Waiting(what, hold.window, hold.until_ns))
            if link.is_due:
                found.append(self._waits_for_successor(link, now))
        return found

    def _waits_for_successor(self, link: Link, now: Instant) -> Waiting:
        what, until_ns = f"a successor of connection {link.number}", None
        if link.retry_ns > now.mono_ns:
            why, until_ns = "the one before could not take over everything", link.retry_ns
        elif not self.placement.share.free:
            why = self.placement.share.limit
        else:
            why = "connections are replaced one at a time"
        return Waiting(what, why, until_ns)

    def attempts(self, now: Instant) -> Fill:
        """How full the window of connection attempts is."""
        return self.dialing.window.filled(now.mono_ns)

    def _connect(self, link: Link, now: Instant) -> None:
        if link.number is None and self.dialing.due_ns(link, now.mono_ns) <= now.mono_ns:
            self.dialing.window.record(now.mono_ns)
            link.number = next(self._numbers)
            self.commands.append(OpenUpstream(link.number, link.endpoint, link.mirror))

    def _ask(self, link: Link, now: Instant) -> None:
        due = link.ready_at(now.mono_ns)
        if due is None or due > now.mono_ns or link.number is None:
            return
        urgency, streams, payload = link.next_frame(now.mono_ns)
        if urgency is Urgency.SUBSCRIBE:
            self.carriers.asked(link, streams)
            # A snapshot will say all that was missed: for its reader the gap lies before it.
            self.intake.gaps.live([s for s in streams if self._venue.resnapshots(s)])
            self._note(link, Kind.SUBSCRIBED, streams, record.subscribed(streams))
        elif urgency is Urgency.UNSUBSCRIBE:
            self._note(link, Kind.UNSUBSCRIBED, streams, record.unsubscribed(streams))
        self.commands.append(SendUpstream(link.number, payload))

    def _warn_of_silence(self, now: Instant) -> None:
        for link in self.links:
            silent = [stream for stream, until_ns in link.silent.items() if until_ns <= now.mono_ns]
            for stream in silent:
                del link.silent[stream]
            if silent:
                waited = self._profile.first_data_ns // 10**9
                names = ", ".join(silent)
                self._warn(f"{self._profile.name} granted {names} and sent nothing for {waited} s")

    def _is_idle(self, link: Link) -> bool:
        if link.streams.keys() - {self._keepalive}:
            return False
        return not (self._keepalive_wanted and link in self.carriers.of(self._keepalive))

    def _close(self, link: Link, now: Instant) -> None:
        if link.number is None:
            if self.placement.remove(link, now):
                self._unwanted.pop(self._keepalive, None)
        elif not link.closing:
            link.closing = True
            self.placement.bequeath(link, now)
            why = "another connection took over" if link.rotating else "no stream is wanted"
            self.commands.append(CloseUpstream(link.number, 1000, why))

    def _refuse(self, link: Link, streams: Iterable[str], why: str, now: Instant) -> None:
        names = tuple(streams)
        if not names:
            return
        for stream in names:
            carries = link in self.carriers.of(stream)
            whole = self.handover.part(stream, link, now) if carries else True
            if not whole and self._quarantine.is_proven(stream):
                self.intake.gaps.lost([stream], link.hole(why, now))
                self.missed.append((stream, why))
            self.intake.progressed.add(stream)
            if not self.carriers.of(stream):
                self._unwanted.pop(stream, None)
                self._keepalive_wanted &= stream != self._keepalive
                self.intake.gaps.end([stream])
                self._forget(stream)
                self.outcomes.append((stream, why))
        self._note(link, Kind.REFUSED, names, record.refused(names, why))
        self._warn(f"{self._profile.name} refused {', '.join(names)}: {why}")

    def _note(self, link: Link, kind: Kind, streams: Sequence[str], payload: bytes) -> None:
        self.commands.append(Note(kind, link.number or 0, tuple(streams), payload))

    def _warn(self, text: str) -> None:
        self.commands.append(Warn(text))
