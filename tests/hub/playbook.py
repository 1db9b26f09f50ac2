"""Drives a hub by hand: events in, commands out as short lines of text.

``open 1 /`` (``open 1 / @2`` at mirror 2) · ``1> +a #1`` (to the venue) · ``close 1`` ·
``c1< a 1`` (a message to client 1) · ``kick c1 1012``. Notes and warnings are kept aside, in
``notes`` and ``warnings``; of messages that were held back and released, in ``released``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tests.hub.fake_venue import SECOND, FakeVenue
from wsproxy.hub import events as e
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget
from wsproxy.model import TEXT, Batch, Instant, Kind
from wsproxy.venues.base import Venue

WALL_NS = 1_700_000_000 * SECOND


def messages(frames: bytes) -> Iterator[bytes]:
    """Split a server's frames."""
    at = 0
    while at < len(frames):
        assert frames[at] == 0x81
        size, at = frames[at + 1], at + 2
        if size == 126:
            size, at = int.from_bytes(frames[at : at + 2], "big"), at + 2
        yield frames[at : at + size]
        at += size


class Play:
    """A hub, its clock, and what it said."""

    def __init__(
        self,
        venue: Venue | None = None,
        *,
        cap: int = 2,
        budget: Budget | None = None,
        numbers: Iterator[int] | None = None,
        close_on_gap: bool = True,
        linger_ns: int = 10 * SECOND,
        redundancy: Callable[[str], int] = lambda stream: 1,
        mirrors: Sequence[float] = (1.0,),
    ) -> None:
        self.venue = venue or FakeVenue()
        self.hub = Hub(self.venue, close_on_gap=close_on_gap)
        self.pool = self.hub.go_live(
            budget or Budget(cap, 1),
            linger_ns=linger_ns,
            numbers=numbers or itertools.count(1),
            jitter=lambda: 0.5,
            redundancy=redundancy,
            mirrors=mirrors,
        )
        self.mono_ns = 0
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.released: list[str] = []
        self.kicks: list[str] = []
        """With reasons."""

    @property
    def now(self) -> Instant:
        return Instant(WALL_NS + self.mono_ns, self.mono_ns)

    def do(self, event: e.Event) -> list[str]:
        return self.told(self.hub.handle(event, self.now))

    def told(self, commands: Iterable[e.Command]) -> list[str]:
        lines: list[str] = []
        for command in commands:
            match command:
                case e.OpenUpstream(connection, endpoint, mirror):
                    lines.append(
                        f"open {connection} {endpoint}" + (f" @{mirror}" if mirror else "")
                    )
                case e.SendUpstream(connection, payload):
                    lines.append(f"{connection}> {payload.decode()}")
                case e.CloseUpstream(connection):
                    lines.append(f"close {connection}")
                case e.SendClient(client, frames):
                    lines += [f"c{client}< {m.decode()}" for m in messages(frames)]
                case e.CloseClient(client, code, reason):
                    lines.append(f"kick c{client} {code}")
                    self.kicks.append(reason)
                case e.Note(Kind.MESSAGE, connection, _, payload):
                    self.released.append(f"{connection}: {payload.decode()}")
                case e.Note(kind, connection, streams):
                    self.notes.append(f"{kind.name} {connection} {','.join(streams)}")
                case e.Warn(text):
                    self.warnings.append(text)
        return lines

    # --- events ---

    def join(self, client: int, path: str = "/", view: str = "", priority: int = 0) -> list[str]:
        return self.do(e.ClientJoined(client, self.venue.session(path, view), priority))

    def say(self, client: int, text: str) -> list[str]:
        return self.do(e.ClientSaid(client, text.encode(), TEXT))

    def leave(self, client: int) -> list[str]:
        return self.do(e.ClientLeft(client))

    def opened(self, connection: int) -> list[str]:
        return self.do(e.UpstreamOpened(connection))

    def sent(self, connection: int, *, control: bool = False) -> list[str]:
        return self.do(e.UpstreamSent(connection, control))

    def closed(
        self, connection: int, code: int = 1006, status: int = 0, retry_after: int | None = None
    ) -> list[str]:
        retry_after_ns = None if retry_after is None else retry_after * SECOND
        return self.do(
            e.UpstreamClosed(
                connection, code, "", "peer", status=status, retry_after_ns=retry_after_ns
            )
        )

    def rotate(self) -> list[str]:
        self.pool.rotate()
        return self.do(e.Tick())

    def wait(self, seconds: float) -> list[str]:
        return [line for lines in self.ticks(seconds) for line in lines]

    def ticks(self, seconds: float) -> Iterator[list[str]]:
        """Let time pass, waking the hub exactly when it wants to be woken."""
        until = self.mono_ns + int(seconds * SECOND)
        for _ in range(10_000):
            due = self.hub.next_deadline_ns(self.now)
            if due is None or due > until:
                self.mono_ns = until
                return
            self.mono_ns = max(due, self.mono_ns)
            yield self.do(e.Tick())
        raise AssertionError("the hub wants to be woken without end")

    def venue_says(self, connection: int, *texts: str) -> list[str]:
        """One chunk from the venue, as the engine carries it; see also ``batch``."""
        self.batch = Batch(Kind.MESSAGE, connection, *self.now, [text.encode() for text in texts])
        count, lines = len(texts), []
        index = self.hub.route(self.batch)
        while index < count:
            lines += self.do(e.UpstreamSaid(self.batch, index))
            index = self.hub.route(self.batch, index + 1)
        lines += self.fetch()
        return lines + (self.do(e.Tick()) if self.hub.is_restless else [])

    def fetch(self) -> list[str]:
        return [
            f"c{client}< {message.decode()}"
            for frames, clients in self.hub.deliveries()
            for client in clients
            for message in messages(frames)
        ]

    def drive(self, lines: list[str]) -> list[str]:
        """Play a willing venue for these commands; returns what clients were told meanwhile."""
        told: list[str] = []
        while lines:
            line, lines = lines[0], lines[1:]
            words = line.split()
            if words[0] == "open":
                lines = lines + self.opened(int(words[1]))
            elif words[0].endswith(">"):
                connection = int(words[0][:-1])
                lines = lines + self.sent(connection)
                lines = lines + self.venue_says(connection, f"!ok {words[2][1:]}")
            elif words[0] == "close":
                lines = lines + self.closed(int(words[1]), 1000)
            else:
                told.append(line)
        return told


def live(*paths: str, **options: Any) -> Play:
    """A hub with clients 1, 2, ... that have the streams of their paths."""
    play = Play(**options)
    for client, path in enumerate(paths, 1):
        play.drive(play.join(client, path))
    return play
