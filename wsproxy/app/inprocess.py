"""A replay within the program that uses it: ``wsproxy.replay``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeVar

import trio

from wsproxy.app.following import Reading, ReplayClock
from wsproxy.app.replaying import Replay
from wsproxy.app.threads import TrioThread, trio_thread
from wsproxy.config import SECOND_NS, Address, Playing, Serving
from wsproxy.errors import unwrapped
from wsproxy.model import StreamKey
from wsproxy.recording.times import Moment
from wsproxy.replay.clock import parse_speed
from wsproxy.replay.digest import ClientDigest
from wsproxy.replay.library import open as open_recording
from wsproxy.replay.programme import Programme

T = TypeVar("T")


def replay(
    path: str | Path | Iterable[str | Path],
    *,
    speed: float | Literal["max"] = "max",
    start: Moment | None = None,
    end: Moment | None = None,
    loop: int | Literal["forever"] = 1,
    max_idle: float | None = None,
    clients: int = Playing.clients,
    settle: float = Playing.settle_seconds,
    session: str = "",
    stall_timeout: float = Playing.stall_seconds,
    lockstep: bool = False,
    faithful: bool = False,
    faults: str | Path | None = None,
    offsets: Sequence[float] = (),
    port: int = 0,
) -> ReplayServer:
    """Play a recording, or several, to WebSocket clients, as ``wsproxy replay`` does.

    On Trio write ``async with wsproxy.replay(path) as server``, anywhere else ``with``: then it has
    a thread of its own. It serves from the beginning of the block to the end of the timeline, or
    of the block.

    The options are those of ``wsproxy replay``, with the same defaults but for two: it is as fast
    as clients read (``speed="max"``), and on a free port of 127.0.0.1 (``port=0``). ``max_idle``,
    ``settle`` and ``stall_timeout`` are seconds; ``offsets`` are seconds too, one for each
    recording; ``start`` and ``end`` are times as everywhere, ``start`` ≤ time < ``end``.

    Raises RecordingError for what cannot be replayed, ConfigError for an option that makes no
    sense, and in the block what ``ReplayServer`` says.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    recordings = [open_recording(one) for one in paths]
    programme = Programme(recordings, [round(seconds * SECOND_NS) for seconds in offsets])
    playing = Playing(
        start=None if start is None else programme.moment(start),
        end=None if end is None else programme.moment(end),
        speed=parse_speed(str(speed)),
        loops=None if loop == "forever" else loop,
        max_idle_ns=None if max_idle is None else int(max_idle * SECOND_NS),
        clients=clients,
        settle_seconds=settle,
        session=session,
        stall_seconds=stall_timeout,
        lockstep=lockstep,
        faithful=faithful,
        faults=None if faults is None else Path(faults),
    )
    serving = Serving(listen=Address("127.0.0.1", port), admin="off")
    return ReplayServer(Replay(programme, serving, playing), serving)


class ReplayServer:
    """A replay, to be entered once, with ``async with`` on Trio or ``with`` anywhere else.

    Entering raises ConfigError if the port is taken. What goes wrong while it plays, as a
    DamagedRecording, ends it: on Trio it cancels the block and is raised from there, elsewhere
    clients are closed and it is raised when the block ends.
    """

    def __init__(self, replay: Replay, serving: Serving) -> None:
        self.finished = trio.Event()
        """Set when every client has everything and was closed with 1000. For Trio; see ``join``."""
        self.clock = ReplayClock(lambda: self._call(self._read))
        """The time of the replay."""
        self._replay = replay
        self._serving = serving
        self._thread: TrioThread | None = None
        self._threads = ExitStack()
        self._is_over = False

    @property
    def url(self) -> str:
        """Where clients connect: ``ws://127.0.0.1:PORT``; /VENUE and the venue's path follow."""
        return f"ws://{self._replay.address}"

    @property
    def messages(self) -> int:
        """How many messages were delivered, or would have been had somebody wanted them."""
        return self._call(lambda: self._replay.player.messages)

    @property
    def digests(self) -> list[ClientDigest]:
        """What each client was sent so far, its SHA-256 among it; in order of arrival."""
        return self._call(lambda: self._replay.digests)

    @property
    def refused(self) -> Mapping[StreamKey, str]:
        """The streams that clients asked for and did not get, and what they were told."""
        return self._call(lambda: self._replay.refused)

    @property
    def stalled(self) -> Sequence[str]:
        """The clients that were closed because they read nothing: they lack messages."""
        return self._call(lambda: list(self._replay.patience.stalled))

    def join(self, timeout: float | None = None) -> None:
        """Block this thread until the replay has finished; for those who wrote ``with``.

        Raises TimeoutError after so many seconds, and what ended the replay before its end.
        """
        if self._thread is None:
            raise RuntimeError("on Trio, write `await server.finished.wait()`")
        with unwrapped():
            self._thread.join(timeout)

    # --- on Trio ---

    async def __aenter__(self) -> ReplayServer:
        if not trio.lowlevel.in_trio_task():
            raise RuntimeError("`async with` is for Trio: write `with wsproxy.replay(...)`")
        self._block = self._beside()
        with unwrapped():
            await self._block.__aenter__()
        return self

    def __aexit__(self, *_: object) -> Awaitable[None]:
        return self._leave()

    async def _leave(self) -> None:
        # What the block raised goes on unchanged: it does not pass through our nursery.
        with unwrapped():
            await self._block.__aexit__(None, None, None)

    @asynccontextmanager
    async def _beside(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self._serve)
            yield
            nursery.cancel_scope.cancel()

    # --- in a thread ---

    def __enter__(self) -> ReplayServer:
        with unwrapped():
            thread = trio_thread(self._serve, "wsproxy replay")
            self._thread = self._threads.enter_context(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with unwrapped():
            self._threads.__exit__(kind, error, traceback)

    # --- the same for both ---

    async def _serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        replay = self._replay
        try:
            async with replay.serve(self._serving):
                task_status.started()
                await replay.wait_for_clients()
                await replay.play()
                await replay.finish()
        finally:
            self._is_over = True
        self.finished.set()

    def _call(self, look: Callable[[], T]) -> T:
        return look() if self._thread is None else self._thread.call(look)

    def _read(self) -> Reading:
        player = self._replay.player
        return Reading(
            now_ns=player.wall_ns if self._is_over else player.time_ns(),
            first_ns=player.programme.first,
            speed=player.clock.speed,
            paused=player.clock.paused,
            over=self._is_over,
        )
