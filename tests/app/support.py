"""What the tests of this room share: stand-ins for what is at the ends of the engine."""

from __future__ import annotations

import itertools
from pathlib import Path

import trio

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import WALL_NS, messages
from wsproxy.app.engine import Engine, Port
from wsproxy.app.tape import Tape
from wsproxy.config import Recording
from wsproxy.hub.events import CloseUpstream, Note, OpenUpstream, SendUpstream
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget
from wsproxy.model import Batch, ConnectionInfo, Instant, Kind
from wsproxy.recording.writer import Writer
from wsproxy.replay.digest import Tally
from wsproxy.wire.client import Client


def seconds() -> float:
    """Trio's time; in a test without Trio it stands still."""
    return trio.current_time() if trio.lowlevel.in_trio_run() else 0.0


def instant() -> Instant:
    """The clock of the test, on both clocks of the proxy."""
    mono_ns = round(seconds() * SECOND)
    return Instant(WALL_NS + mono_ns, mono_ns)


class FakeClient(Client):
    """Keeps what it is sent; if ``is_slow``, all of that is pending until it is drained."""

    def __init__(self, *, is_slow: bool = False) -> None:
        self.frames = b""
        self.times: list[float] = []
        self.is_slow = is_slow
        self.since_ns = 0
        self.drained = trio.Event()
        self.gone = trio.Event()
        self._pending = 0

    @property
    def texts(self) -> list[str]:
        return [payload.decode() for payload in messages(self.frames)]

    @property
    def handed_bytes(self) -> int:
        return len(self.frames)

    @property
    def pending_bytes(self) -> int:
        return self._pending

    @property
    def pending_since_ns(self) -> int | None:
        return self.since_ns if self._pending else None

    def write_nowait(self, frames: bytes) -> int:
        self.frames += frames
        self.times.append(seconds())
        if self.is_slow:
            self._pending += len(frames)
        return self._pending

    @property
    def has_said(self) -> bool:
        return False

    async def ended(self) -> None:
        await self.gone.wait()

    async def drain(self) -> None:
        if self._pending:
            await self.drained.wait()
            self._pending = 0
        await trio.lowlevel.checkpoint()


class FakeUpstreams:
    """Keeps what it is told, as the playbook of the hub writes it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def open(self, hub: Hub, command: OpenUpstream) -> None:
        self.told.append(f"open {command.connection} {command.endpoint}")

    def send(self, command: SendUpstream) -> None:
        self.told.append(f"{command.connection}> {command.payload.decode()}")

    def close(self, command: CloseUpstream) -> None:
        self.told.append(f"close {command.connection}")


class KeptTape(Tape):
    """Keeps what is noted, and writes nothing."""

    def __init__(self, directory: Path, settings: Recording | None = None) -> None:
        writer = Writer.create(directory, venues=["fake"], wall_ns=WALL_NS, mono_ns=0)
        super().__init__(writer, settings or Recording())
        self.noted: list[Note] = []
        self.connections: list[ConnectionInfo] = []

    def connection(self, info: ConnectionInfo) -> None:
        self.connections.append(info)

    def note(self, kind: Kind, connection: int, streams: tuple[str, ...], payload: bytes) -> None:
        self.noted.append(Note(kind, connection, streams, payload))


class Stage:
    """An engine with a hub of the fake venue, live, and what came out of it."""

    def __init__(
        self,
        *,
        outbox_bytes: int = 1000,
        linger_ns: int = 0,
        digest: bool = False,
        replaced: str | None = None,
    ) -> None:
        self.hub = Hub(FakeVenue(replaced=replaced))
        self.budget = Budget(2, 1)
        self.pool = self.hub.go_live(
            self.budget, linger_ns=linger_ns, numbers=itertools.count(1), jitter=lambda: 0.5
        )
        self.notes: list[Note] = []
        self.engine = Engine(
            {"fake": self.hub},
            outbox_bytes=outbox_bytes,
            note=self.notes.append,
            time=instant,
            tally=lambda: Tally(lambda: instant().wall_ns) if digest else None,
        )
        self.upstreams = self.engine.upstreams = FakeUpstreams()

    def join(self, path: str, client: Client | None = None, *, conflates: bool = False) -> Port:
        session = self.hub.venue.session(path, "")
        client = client or FakeClient()
        return self.engine.join("fake", session, client, path, conflates=conflates)

    def carry(self, *texts: str) -> None:
        """One chunk from the venue, on connection 1."""
        payloads = [text.encode() for text in texts]
        self.engine.carry(self.hub, Batch(Kind.MESSAGE, 1, *instant(), payloads))


def make_recording(
    directory: Path,
    *batches: tuple[float, str | bytes, tuple[str, ...]]
    | tuple[float, str | bytes, tuple[str, ...], Kind],
) -> Path:
    """A recording of the fake venue: seconds after its start, text, streams, kind (a message)."""
    with Writer.create(directory, venues=["fake"], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "fake", "ws://fake/"))
        for seconds, text, streams, *kinds in batches:
            at_ns, kind = round(seconds * SECOND), Kind(kinds[0]) if kinds else Kind.MESSAGE
            payload = text.encode() if isinstance(text, str) else text
            writer.write([Batch(kind, 1, WALL_NS + at_ns, at_ns, [payload], None, [streams])])
    return directory
