"""Plays the timeline: keeps the time, waits for slow clients, goes where it is told to go."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import trio

from wsproxy.app.beat import Beat
from wsproxy.app.clock import loop_ns, loop_seconds
from wsproxy.app.engine import Engine
from wsproxy.app.faults import Faults
from wsproxy.app.patience import RUN_BYTES, Patience
from wsproxy.config import SECOND_NS, Playing
from wsproxy.model import Batch, Instant, Kind, StreamKey
from wsproxy.replay.clock import Clock
from wsproxy.replay.disturb import disturb
from wsproxy.replay.faults import FaultFile, plan, read_faults
from wsproxy.replay.lines import Lines
from wsproxy.replay.programme import Programme
from wsproxy.replay.timeline import FAITHFUL, PLAYED, Due, Stretches, timeline

log = logging.getLogger("wsproxy")


class Player:
    """The timeline of a replay, as it runs.

    Orders (``pause``, ``seek`` and so on) are taken at any time and obeyed at once or, in the
    midst of what is due at one moment, right behind it.
    """

    def __init__(
        self, programme: Programme, engine: Engine, playing: Playing, patience: Patience
    ) -> None:
        self.programme = programme
        self.clock = Clock(playing.speed)
        self.start = programme.first if playing.start is None else playing.start
        self.wall_ns = self.start
        """The time of what was delivered last."""
        self.messages = 0
        """How many were delivered, or would have been had somebody wanted them."""
        hubs = engine.hubs
        self._engine = engine
        self._hub_of = {
            number: hubs[info.venue]
            for number, info in programme.connections.items()
            if info.venue in hubs
        }
        self._held = {name: programme.held(name) for name in hubs}
        self.catalogues = {
            name: hub.play(self._held[name], programme.refused(name)) for name, hub in hubs.items()
        }
        """The streams of each venue."""
        self._playing = playing
        self._patience = patience
        self._ordered = trio.Event()
        self._goal: int | None = None
        self._asked = 0
        self._next: Callable[[int], Due | None] = lambda most_bytes: None
        self._lines: Lines | None = None
        faults = FaultFile() if playing.faults is None else read_faults(playing.faults)
        strikes = plan(faults, programme.first, programme.last)
        self._seed = faults.seed
        self._strikes = [strike for strike in strikes if strike.fault.is_of_streams]
        others = [strike for strike in strikes if not strike.fault.is_of_streams]
        self._faults = Faults(engine, patience, others)

    def now(self) -> Instant:
        """The replay's time on the wall; on the other clock a second later than asked before.

        So no limit of what a client may ask for in a second depends on how fast a replay runs.
        """
        self._asked += 1
        return Instant(self.wall_ns, self._asked * SECOND_NS)

    def time_ns(self) -> int:
        """The time on the wall, of what was delivered last and, at a pace, what passed since."""
        if self.clock.reached < 0:
            return self.wall_ns
        return self.wall_ns + max(0, self.clock.position(loop_ns()) - self.clock.reached)

    def refusal(self) -> tuple[int, str] | None:
        """The HTTP status and text for a client that connects now; None if it may."""
        return self._faults.refusal(self.wall_ns)

    # --- orders ---

    def pause(self) -> None:
        """Stand still."""
        self.clock.pause(loop_ns())
        self._tell()

    def resume(self) -> None:
        """Go on."""
        self.clock.resume(loop_ns())
        self._tell()

    def step(self) -> None:
        """Stand still, once all that is due at the next moment is delivered."""
        self.clock.step(loop_ns())
        self._tell()

    def set_speed(self, speed: float | None) -> None:
        """Go on at this pace; None is as fast as possible."""
        self.clock.set_speed(speed, loop_ns())
        self._tell()

    def seek(self, time: int) -> int:
        """Go on from the first record at or behind this time (wall clock, ns); gives the time.

        Times outside the recording mean its beginning or its end.
        """
        self._goal = max(self.programme.first, min(time, self.programme.last))
        self._tell()
        return self._goal

    def _tell(self) -> None:
        self._ordered.set()
        self._ordered = trio.Event()

    # --- playing ---

    def prepare(self) -> None:
        """Know what clients find who join before the beginning."""
        self._know(self.programme.states(self.start))

    async def run(self) -> None:
        """Play to the end, as often as is wanted; returns when everything was handed out."""
        left = math.inf if self._playing.loops is None else self._playing.loops
        async with trio.open_nursery() as pings:
            self._beat = Beat(self._engine, self.clock, pings)
            self._begin(self.start)
            while True:
                await self._play()
                left -= 1
                if left <= 0:
                    break
                await self._patience.drain_all()
                if self._leap(self.start, "the replay begins again"):
                    await self._patience.wait_for_clients(self._playing)
                    self.clock.start(loop_ns())
            pings.cancel_scope.cancel()

    def _begin(self, time: int) -> None:
        self._next = self._stretches(time) or self._moments(time)
        self._faults.start(time)
        self._lines = Lines() if self._playing.faithful else None
        self.clock.start(loop_ns())
        self._beat.start()

    def _stretches(self, time: int) -> Callable[[int], Due | None] | None:
        """The timeline, of which many moments can be taken at once; None if each may matter."""
        playing = self._playing
        if playing.faithful or playing.faults or playing.lockstep:
            return None
        if playing.max_idle_ns is not None:
            return None
        runs = self.programme.runs(time, playing.end)
        return None if runs is None else Stretches(runs).next

    def _moments(self, time: int) -> Callable[[int], Due | None]:
        """The timeline, moment by moment."""
        recorded = self.programme.batches(time, self._playing.end)
        kinds = FAITHFUL if self._playing.faithful else PLAYED
        dues = timeline(recorded, kinds=kinds, max_idle_ns=self._playing.max_idle_ns)
        if self._strikes:
            dues = disturb(dues, self._strikes, self._seed)
        return lambda most_bytes: next(dues, None)

    async def _play(self) -> None:
        """Deliver what is left of the timeline, and of those that it is sent to."""
        clock, unwritten, lockstep = self.clock, 0, self._playing.lockstep
        while True:
            if self._goal is not None:
                self._obey()
            due = self._next(RUN_BYTES if clock.is_free else 0)
            if due is None:
                if not await self._may_end():
                    continue
                return
            position, batch = due
            if position != clock.reached:
                if (lockstep or not clock.is_free) and not await self._wait_for(position):
                    continue
                clock.reach(position)
            if batch.wall_ns >= self._faults.next:
                await self._write()
                await self._faults.strike(batch.wall_ns)
            self.wall_ns = batch.wall_ns
            if self._lines is not None:
                await self._follow(self._lines, batch)
            self._route(batch)
            unwritten += sum(map(len, batch.payloads))
            if unwritten >= RUN_BYTES:
                await self._write()
                unwritten = 0

    async def _wait_for(self, position: int) -> bool:
        """Until what stands there is due; False if the timeline goes on elsewhere."""
        if self._playing.lockstep:
            await self._write()
            await self._patience.meet()
        elif self._is_due(position):
            return True
        else:
            await self._write()
        while self._goal is None and not self._is_due(position):
            ordered, beat = self._ordered, min(self._beat.next, position)
            due_ns = self.clock.due_ns(beat)
            with trio.move_on_at(math.inf if due_ns is None else loop_seconds(due_ns)):
                await ordered.wait()
            if beat < position and self._is_due(beat):
                self._beat.ping(beat)
        return self._goal is None

    def _is_due(self, position: int) -> bool:
        due_ns = self.clock.due_ns(position)
        return due_ns is not None and due_ns <= loop_ns()

    async def _may_end(self) -> bool:
        """Whether it is over; somebody who has it paused may want to go elsewhere."""
        await self._write()
        while self._goal is None and self.clock.paused:
            await self._ordered.wait()
        return self._goal is None

    def _route(self, batch: Batch) -> None:
        hub = self._hub_of[batch.connection]
        match batch.kind:
            case Kind.MESSAGE:
                hub.route_named(batch)
                self.messages += len(batch.payloads)
            case Kind.GAP:
                hub.missed(stream for streams in batch.streams for stream in streams)

    async def _follow(self, lines: Lines, batch: Batch) -> None:
        """Close whose connection was closed then, once they have read what came before."""
        if batch.kind is not Kind.CLOSED:
            lines.carry(batch)
            return
        hub = self._hub_of[batch.connection]
        for end in lines.ends(batch):
            await self._write()
            for number, client in list(hub.clients.items()):
                if end.streams.intersection(client.active):
                    port = self._engine.ports[number]
                    await self._patience.drain(port)
                    self._engine.dismiss(port, end.code, end.reason)

    async def _write(self) -> None:
        for hub in self._engine.hubs.values():
            self._engine.flush(hub)
        self._beat.ping(self.clock.reached)
        await trio.lowlevel.checkpoint()
        await self._patience.wait_for_slow(is_paced=self.clock.speed is not None)

    # --- going elsewhere ---

    def _obey(self) -> None:
        assert self._goal is not None
        goal, self._goal = self._goal, None
        self._leap(goal, "the replay goes on elsewhere")

    def _leap(self, time: int, why: str) -> bool:
        """Go on from this time; whether clients had to be closed for it."""
        before = self._patience.subscribed
        self.wall_ns = time
        for name, hub in self._engine.hubs.items():
            self._engine.perform(hub, hub.leap(self._held[name], why, self.now()))
        self._know(self.programme.states(time))
        self._begin(time)
        return self._patience.subscribed < before

    def _know(self, states: dict[StreamKey, bytes]) -> None:
        """Take in states as if the venue had just sent them: so clients get them as well."""
        for (venue, stream), snapshot in states.items():
            if venue in self._engine.hubs:
                known = Batch(Kind.KEYFRAME, 0, self.wall_ns, 0, [snapshot], None, [(stream,)])
                self._engine.hubs[venue].route_named(known)
