"""Plays a recording to the clients of a live proxy, up to where live messages follow it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import trio

from wsproxy.app import clock
from wsproxy.app.engine import Engine
from wsproxy.app.patience import RUN_BYTES, Patience
from wsproxy.app.status import GapStatus
from wsproxy.config import SECOND_NS, Playing
from wsproxy.hub.events import Tick
from wsproxy.hub.leadin import LeadIn
from wsproxy.model import Batch
from wsproxy.recording.tail import Tail
from wsproxy.recording.times import iso
from wsproxy.replay.clock import Clock
from wsproxy.replay.programme import Programme
from wsproxy.replay.timeline import timeline

log = logging.getLogger("wsproxy")

_POLL_SECONDS = 0.1
"""How often to look whether the recording has grown."""
_GRANT_SECONDS = 15.0
"""For so long the venue may take to grant what is to follow a recording that is over."""
_STUCK_SECONDS = 15.0
"""A recording that does not grow for so long, though messages come, is as good as over."""


class WarmUp:
    """One recording, which may still be written, in front of the streams of a live proxy.

    Raises RecordingError where the recording cannot be read.
    """

    def __init__(self, programme: Programme, playing: Playing) -> None:
        self.over = trio.Event()
        """Set when everything is live."""
        self.missing: list[GapStatus] = []
        """What clients did not get since the recording was over."""
        self.stalled: list[str] = []
        """Clients that were closed because they read nothing."""
        self._programme = programme
        self._playing = playing
        self._tail = Tail(programme.path, playing.start)
        self._reached_ns = programme.first if playing.start is None else playing.start
        self._messages = 0
        self._lead_ins: dict[str, LeadIn] = {}

    def _attach(self, engine: Engine, numbers: Iterator[int]) -> None:
        self._engine = engine
        self._patience = Patience(engine, self._playing.stall_seconds)
        self.stalled = self._patience.stalled
        for name, hub in engine.hubs.items():
            held, refused = self._programme.held(name), self._programme.refused(name)
            self._lead_ins[name] = hub.lead_in(held, refused, next(numbers))
        for (venue, stream), snapshot in self._programme.states(self._reached_ns).items():
            if venue in self._lead_ins:
                self._lead_ins[venue].know(stream, snapshot)

    def lacks(self, gap: GapStatus) -> None:
        """Messages are missing."""
        self.missing.append(gap)
        log.warning("%s", gap.sentence)

    async def play(
        self,
        engine: Engine,
        numbers: Iterator[int],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Wait for clients, play, and go on until every stream is live.

        Clients of this engine, whose hubs are all live, may come when it has started.
        """
        self._attach(engine, numbers)
        task_status.started()
        await self._patience.wait_for_clients(self._playing)
        log.info("playing to %d client(s)", self._patience.subscribed)
        await self._catch_up()
        log.info("%s recorded messages up to %s", f"{self._messages:,}", iso(self._reached_ns))
        await self._follow()
        ended = f"the recording ends at {iso(self._reached_ns)}"
        missing = ", but the venue has not granted everything" if self._waits else ""
        for hub in self._engine.hubs.values():
            self._engine.perform(hub, hub.end_lead_in(ended, clock.now()))
        self.over.set()
        log.info("live from here: %s%s", ended, missing)

    async def _follow(self) -> None:
        """Play what is still being recorded, as long as some stream needs it."""
        over = grown = trio.current_time()
        while any(lead_in.left for lead_in in self._lead_ins.values()):
            now = trio.current_time()
            if not self._tail.is_over and not self._is_stuck(now - grown):
                over = now
            elif now - over >= _GRANT_SECONDS or not self._waits:
                return
            await trio.sleep(_POLL_SECONDS)
            if await self._catch_up():
                grown = trio.current_time()

    @property
    def _waits(self) -> bool:
        return any(lead_in.waits for lead_in in self._lead_ins.values())

    def _is_stuck(self, quiet_seconds: float) -> bool:
        """Whether messages come, and the recording has not got them for too long."""
        long_ago_ns = clock.now().mono_ns - int(_STUCK_SECONDS * SECOND_NS)
        held = (lead_in.held_since_ns for lead_in in self._lead_ins.values())
        is_behind = any(since_ns is not None and since_ns <= long_ago_ns for since_ns in held)
        return is_behind and quiet_seconds >= _STUCK_SECONDS

    async def _catch_up(self) -> bool:
        """Play to the present end of the recording; False if there was nothing new."""
        before, pace, unwritten = self._reached_ns, Clock(self._playing.speed), 0
        pace.start(clock.loop_ns())
        recorded = self._noticed(self._tail.batches())
        for position, batch in timeline(recorded, max_idle_ns=self._playing.max_idle_ns):
            due_ns = pace.due_ns(position)
            if due_ns is not None and due_ns > clock.loop_ns():
                await self._write()
                await trio.sleep_until(clock.loop_seconds(due_ns))
                unwritten = 0
            self._route(batch)
            unwritten += sum(map(len, batch.payloads))
            if unwritten >= RUN_BYTES:
                await self._write()
                unwritten = 0
        await self._write()
        return self._reached_ns > before

    def _noticed(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The same; whatever is recorded tells how far the recording has come."""
        for batch in batches:
            yield batch
            self._reached_ns = max(self._reached_ns, batch.wall_ns)

    def _route(self, batch: Batch) -> None:
        venue = self._tail.connections[batch.connection].venue
        if venue in self._lead_ins:
            self._lead_ins[venue].route(batch, clock.now())
            self._messages += len(batch.payloads)
            hub = self._engine.hubs[venue]
            if hub.is_restless:
                self._engine.dispatch(hub, Tick())

    async def _write(self) -> None:
        now = clock.now()
        for name, hub in self._engine.hubs.items():
            self._engine.flush(hub)
            self._lead_ins[name].reach(self._reached_ns, now)
            self._engine.dispatch(hub, Tick())
        await trio.lowlevel.checkpoint()
        await self._patience.wait_for_slow(is_paced=self._playing.speed is not None)
