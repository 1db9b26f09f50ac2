"""Gathers how a live proxy is doing from the hubs, their pools, the clients' ports and the tape."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import trio

from wsproxy.app import clock
from wsproxy.app.engine import Engine
from wsproxy.app.meter import SAMPLE_SECONDS, Meter
from wsproxy.app.status import (
    ClientStatus,
    ConnectionStatus,
    FullStatus,
    GapStatus,
    RecordingStatus,
    Status,
    VenueStatus,
    WaitingStatus,
    WindowStatus,
)
from wsproxy.app.tape import Tape
from wsproxy.config import SECOND_NS, Address
from wsproxy.hub.events import Note
from wsproxy.hub.hub import Hub
from wsproxy.hub.join import Lead
from wsproxy.hub.limits import Budget
from wsproxy.hub.link import Link, Phase
from wsproxy.hub.pool import Pool
from wsproxy.model import Instant, Kind
from wsproxy.recording.events import read_event
from wsproxy.version import __version__

_GAPS = 20
"""So many of the last gaps are told with streams and time."""


class Feed(NamedTuple):
    """A venue as the status sees it; ``urls`` are its addresses, which links number."""

    hub: Hub
    pool: Pool
    urls: Sequence[str]


class Board:
    """What is known of a live proxy, whenever it is asked for."""

    def __init__(
        self,
        address: Address,
        engine: Engine,
        feeds: Mapping[str, Feed],
        budget: Budget,
        tape: Tape | None,
        on_gap: Callable[[GapStatus], None] | None = None,
    ) -> None:
        self._on_gap = on_gap
        self._address = address
        self._engine = engine
        self._feeds = feeds
        self._budget = budget
        self._tape = tape
        self._began_ns = clock.now().mono_ns
        self._meter = Meter()
        self._gaps: deque[GapStatus] = deque(maxlen=_GAPS)

    def status(self) -> Status:
        """The numbers of this moment."""
        links = [link for feed in self._feeds.values() for link in feed.pool.links]
        return Status(
            clients=len(self._engine.ports),
            streams=sum(len(link.streams) for link in links),
            connections=sum(link.is_open for link in links)
            + sum(port.dedicated is not None for port in self._engine.ports.values()),
            cap=self._budget.cap,
            messages=sum(feed.hub.messages for feed in self._feeds.values()),
            gaps=sum(feed.hub.gaps for feed in self._feeds.values()),
            lost=0 if self._tape is None else self._tape.lost,
            bytes_on_disk=None if self._tape is None else self._tape.writer.bytes_written,
        )

    async def watch(self) -> None:
        """Take samples, from which rates follow, until cancelled."""
        while True:
            self._sample()
            await trio.sleep(SAMPLE_SECONDS)

    def _sample(self) -> None:
        counts: dict[Hashable, int] = {}
        for name, feed in self._feeds.items():
            counts[name] = feed.hub.messages
            counts.update((link, link.messages) for link in feed.pool.links)
        self._meter.sample(counts, clock.now().mono_ns)

    def noted(self, note: Note) -> None:
        """Remember a gap, and tell of it; everything else that is noted is passed over."""
        if note.kind is not Kind.GAP:
            return
        fields = read_event(note.payload)
        until_ns = fields.get("until", clock.now().wall_ns)
        times = {"since_ns": fields["since"], "until_ns": until_ns}
        gap = msgspec.convert({**fields, **times}, GapStatus)
        self._gaps.appendleft(gap)
        if self._on_gap is not None:
            self._on_gap(gap)

    def full(self) -> FullStatus:
        """Everything that there is to say."""
        now = clock.now()
        return FullStatus(
            version=__version__,
            pid=os.getpid(),
            uptime_seconds=_ago(self._began_ns, now),
            listening=str(self._address),
            recording=None if self._tape is None else _recording(self._tape),
            totals=self.status(),
            venues=[self._venue(name, feed, now) for name, feed in self._feeds.items()],
            gaps=list(self._gaps),
            clients=self._clients(now),
        )

    def _venue(self, name: str, feed: Feed, now: Instant) -> VenueStatus:
        hub, pool = feed.hub, feed.pool
        leads = pool.carriers.leads()
        return VenueStatus(
            name=name,
            messages=hub.messages,
            messages_per_s=self._meter.rate(name, hub.messages, now.mono_ns),
            gaps=hub.gaps,
            conflated=hub.conflated,
            refused=dict(hub.refused),
            connections=[
                self._connection(link, leads.get(link.number, Lead(0, 0)), feed.urls, now)
                for link in pool.links
            ],
            windows=[WindowStatus("connection attempts", *pool.attempts(now))],
            waiting=[
                WaitingStatus(what, why, None if until_ns is None else -_ago(until_ns, now))
                for what, why, until_ns in pool.waiting(now)
            ],
        )

    def _connection(
        self, link: Link, lead: Lead, urls: Sequence[str], now: Instant
    ) -> ConnectionStatus:
        return ConnectionStatus(
            number=link.number,
            state=_state(link),
            url=urls[link.mirror] + link.endpoint,
            age_seconds=_ago(link.opened_ns, now) if link.is_open else None,
            streams=len(link.streams),
            live=sum(phase is Phase.LIVE for phase in link.streams.values()),
            messages=link.messages,
            messages_per_s=self._meter.rate(link, link.messages, now.mono_ns),
            last_message_seconds=_ago(link.last_message.mono_ns, now) if link.messages else None,
            failures=link.failures,
            last_error=link.last_error,
            first=lead.wins,
            first_by_seconds=lead.lead_ns / SECOND_NS,
            windows=[WindowStatus(name, *fill) for name, fill in link.filled(now.mono_ns).items()],
        )

    def _clients(self, now: Instant) -> list[ClientStatus]:
        known = {n: one for feed in self._feeds.values() for n, one in feed.hub.clients.items()}
        found = []
        for number, port in self._engine.ports.items():
            client = known.get(number)  # None while it is being closed, or has a line of its own
            since_ns = port.client.pending_since_ns
            found.append(
                ClientStatus(
                    number=number,
                    name=port.name,
                    streams=0 if client is None else len(client.active),
                    requests=0 if client is None else len(client.waiting),
                    lag_bytes=port.lag_bytes,
                    lag_seconds=0 if since_ns is None else _ago(since_ns, now),
                    priority=0 if client is None else client.priority,
                    conflated=port.conflated,
                )
            )
        return found


def _recording(tape: Tape) -> RecordingStatus:
    writer = tape.writer
    return RecordingStatus(str(writer.path.parent.absolute()), writer.bytes_written, tape.lost)


def _ago(time_ns: int, now: Instant) -> float:
    """Seconds since a moment of the monotonic clock."""
    return (now.mono_ns - time_ns) / SECOND_NS


def _state(link: Link) -> str:
    if link.number is None:
        return "waiting"
    if not link.is_open:
        return "connecting"
    if link.closing:
        return "closing"
    return "rotating" if link.rotating else "open"
