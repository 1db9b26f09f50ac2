"""What a recording holds beside messages: snapshots, keyframes, clocks, counters, notes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import msgspec
import trio

from wsproxy.app import clock
from wsproxy.app.board import Board, Feed
from wsproxy.app.fetcher import Fetcher
from wsproxy.app.keyframes import write_keyframes
from wsproxy.app.tape import Tape
from wsproxy.app.upstream import tls_context
from wsproxy.config import Upstream
from wsproxy.model import Kind
from wsproxy.recording import events as record

log = logging.getLogger("wsproxy")

_TELL_SECONDS = 60.0


class Mark(msgspec.Struct, frozen=True):
    """A person's note, as ``POST /mark`` takes it."""

    text: str
    who: str = ""


class Marked(msgspec.Struct, frozen=True):
    """The moment at which the recording has it: wall clock, ns since 1970."""

    time_ns: int


class Recorder:
    """Writes to the tape of a live proxy what does not come over its connections.

    ``numbers`` are connection numbers, shared with those who connect.
    """

    def __init__(
        self, tape: Tape, feeds: Mapping[str, Feed], board: Board, numbers: Iterator[int]
    ) -> None:
        self._tape = tape
        self._feeds = feeds
        self._board = board
        self._numbers = numbers

    async def run(self, upstream: Upstream) -> None:
        """Write what there is, when it is time for it, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_regularly)
            if self._tape.settings.keyframe_seconds:
                nursery.start_soon(write_keyframes, self._tape, self._feeds.values())
            if fetchers := list(self._fetchers(upstream)):
                # A context of its own: HTTP negotiates what WebSockets do not.
                ssl_context = tls_context(upstream.ca_file)
                for fetcher in fetchers:
                    nursery.start_soon(fetcher.run, ssl_context)

    def _fetchers(self, upstream: Upstream) -> Iterator[Fetcher]:
        urls = dict(self._tape.settings.rest_urls)
        for name, own_url, _ in upstream.venues:
            hub, pool, _ = self._feeds[name]
            rest, profile = hub.venue.rest, hub.venue.profile
            if rest is None or not self._tape.settings.rest_depth:
                continue
            url = urls.get(name) or (profile.rest_url if own_url is None else None)
            if url is None:  # another address may be another exchange
                log.info("%s: without --rest-url %s=URL there are no snapshots", name, name)
            else:
                yield Fetcher(rest, profile, pool, self._tape, url, self._numbers)

    async def _tell_regularly(self) -> None:
        while True:
            await trio.sleep(_TELL_SECONDS)
            self.tell()

    def tell(self) -> None:
        """Record how the two clocks and the counters stand."""
        offset_ns, error_ns = clock.monotonic_offset()
        self._tape.note(Kind.CLOCK, 0, (), record.clock(offset_ns, error_ns, "monotonic"))
        writer = self._tape.writer
        counters = {name: n for name, n in asdict(self._board.status()).items() if n is not None}
        counters |= {"records": writer.records, "raw_bytes": writer.raw_bytes}
        self._tape.note(Kind.STATISTICS, 0, (), record.statistics(counters))

    def mark(self, body: bytes) -> Marked:
        """Record a note; raises msgspec.DecodeError if the body is no ``Mark``."""
        mark = msgspec.json.decode(body, type=Mark)
        now = clock.now()
        self._tape.note(Kind.MARKER, 0, (), record.marker(mark.text, mark.who))
        return Marked(now.wall_ns)
