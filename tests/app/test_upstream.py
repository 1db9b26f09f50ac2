"""Whatever happens to a connection, exactly one opened (or none) and one closed are reported."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.wire.loopback import Peer, cancel_at_every_step, serving
from wsproxy.app import clock
from wsproxy.app import upstream as module
from wsproxy.app.engine import Engine
from wsproxy.app.ledger import Claim, Ledger, Wait
from wsproxy.app.tape import Tape
from wsproxy.app.upstream import Connections, tls_context
from wsproxy.errors import ConfigError, ConnectionEnded, HandshakeRefused
from wsproxy.hub import events as e
from wsproxy.hub.hub import Hub
from wsproxy.model import TEXT, Batch, ConnectionInfo, Instant, Kind
from wsproxy.recording.events import read_event
from wsproxy.venues.profile import Heartbeat, Rate
from wsproxy.wire.frames import Split
from wsproxy.wire.upstream import Upstream

HUB = Hub(FakeVenue())
OPEN = e.OpenUpstream(7, "/x")


class FakeUpstream(Upstream):
    """A connection to nowhere."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.heard = 0
        self.is_dead = False
        self.on_sent: Callable[[], object] = lambda: None
        self._end: ConnectionEnded | None = None
        self._ended = trio.Event()

    @property
    def heard_ns(self) -> int:
        return self.heard

    async def send(self, payload: bytes, opcode: int = TEXT) -> None:
        await trio.lowlevel.checkpoint()
        if self._end is not None:
            raise self._end
        self.sent.append(payload)
        self.on_sent()

    async def wait_closed(self) -> ConnectionEnded:
        await self._ended.wait()
        assert self._end is not None
        return self._end

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self._end = ConnectionEnded(code, reason, "us")
        try:
            if self.is_dead:
                await trio.sleep_forever()
        finally:
            self._ended.set()

    def end(self, code: int, *, noticed: bool = True) -> None:
        """The venue closes; what is sent fails from now on."""
        self._end = ConnectionEnded(code, "bye", "peer")
        if noticed:
            self._ended.set()


class Ears(Engine):
    """Hears what is reported."""

    def __init__(self) -> None:
        super().__init__({"fake": HUB}, outbox_bytes=0, note=lambda note: None)
        self.heard: list[str] = []
        self.ends: list[str] = []
        self.events: list[e.Event] = []
        self.on_opened: Callable[[], object] = lambda: None

    def dispatch(self, hub: Hub, event: e.Event) -> None:
        self.events.append(event)
        self.heard.append(type(event).__name__.removeprefix("Upstream").lower())
        match event:
            case e.UpstreamOpened(connection):
                assert connection == OPEN.connection
                self.on_opened()
            case e.UpstreamClosed(connection, code, reason, by):
                assert connection == OPEN.connection
                self.ends.append(f"{code} {by}: {reason}")

    def carry(self, hub: Hub, batch: Batch, frames: bytes | None = None) -> None:
        self.heard += [payload.decode() for payload in batch.payloads]


class Notes(Tape):
    """Keeps what would be recorded."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.infos: list[ConnectionInfo] = []

    def connection(self, info: ConnectionInfo) -> None:
        self.infos.append(info)

    def append(self, batch: Batch) -> None:
        self.kept += [f"message {payload.decode()}" for payload in batch.payloads]

    def note(self, kind: Kind, connection: int, streams: tuple[str, ...], payload: bytes) -> None:
        assert connection == OPEN.connection
        what = payload.decode() if kind is Kind.REQUEST else read_event(payload)
        self.kept.append(f"{kind.name.lower()} {what}")


class Scene:
    """Connections whose ``open_upstream`` is a stand-in."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.upstream = FakeUpstream()
        self.engine = Ears()
        self.tape = Notes()
        self.hub = HUB
        self.url = ""
        self.handed: dict[str, Any] = {}
        self.opening: Callable[[], Awaitable[object]] = trio.lowlevel.checkpoint
        """What a handshake is like."""
        self.connections: Connections

    @asynccontextmanager
    async def open_upstream(self, url: str, **handed: Any) -> AsyncIterator[Upstream]:
        self.url, self.handed = url, handed
        await self.opening()
        try:
            yield self.upstream
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()

    def make(self, nursery: trio.Nursery) -> Connections:
        urls = {"fake": ["ws://fake"]}
        return Connections(self.engine, self.tape, urls, None, nursery, self.ledger)

    async def run(self, then: Callable[[], Awaitable[object]] | None = None) -> None:
        """Open a connection, do something, wait until everything has ended."""
        async with trio.open_nursery() as nursery:
            self.connections = self.make(nursery)
            self.connections.open(self.hub, OPEN)
            if then is not None:
                await trio.testing.wait_all_tasks_blocked()
                await then()


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scene:
    made = Scene(Ledger(tmp_path / "ledger"))
    monkeypatch.setattr(module, "open_upstream", made.open_upstream)
    monkeypatch.setattr(clock, "now", lambda: Instant(0, round(trio.current_time() * SECOND)))
    made.upstream.heard = 1 << 62  # never silent, unless a test says so
    return made


# --- a good life -------------------------------------------------------------------------------


async def test_the_life_of_a_connection(scene: Scene) -> None:
    async def then() -> None:
        scene.handed["on_messages"](Split([b"a 1", b"a 2"], None, [], None))
        scene.connections.send(e.SendUpstream(7, b"+a"))
        await trio.testing.wait_all_tasks_blocked()
        scene.handed["on_frame_sent"](False)
        scene.upstream.end(1001)

    await scene.run(then)
    assert scene.url == "ws://fake/x"
    assert scene.handed["max_message_bytes"] == HUB.venue.profile.max_message_bytes
    assert scene.upstream.sent == [b"+a"]
    assert scene.engine.heard == ["opened", "a 1", "a 2", "sent", "closed"]
    assert scene.engine.ends == ["1001 peer: bye"]
    assert scene.tape.infos == [ConnectionInfo(7, "fake", "ws://fake/x")]
    assert scene.tape.kept == [
        "opened {}",
        "message a 1",
        "message a 2",
        "request +a",
        "closed {'code': 1001, 'reason': 'bye', 'by': 'peer'}",
    ]


async def test_what_is_asked_for_as_soon_as_it_is_open(scene: Scene) -> None:
    def on_opened() -> None:
        scene.connections.send(e.SendUpstream(7, b"+a"))
        scene.connections.close(e.CloseUpstream(7, 1000, "enough"))

    scene.engine.on_opened = on_opened
    await scene.run()
    assert scene.upstream.sent == [b"+a"]
    assert scene.engine.heard == ["opened", "closed"]
    assert scene.engine.ends == ["1000 us: enough"]


async def test_without_a_tape_nothing_is_recorded(scene: Scene) -> None:
    async with trio.open_nursery() as nursery:
        urls = {"fake": ["ws://fake"]}
        connections = Connections(scene.engine, None, urls, None, nursery, scene.ledger)
        connections.open(HUB, OPEN)
        await trio.testing.wait_all_tasks_blocked()
        scene.handed["on_messages"](Split([b"a 1"], None, [], None))
        scene.upstream.end(1001)
    assert scene.engine.heard == ["opened", "a 1", "closed"]


# --- ends --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "by"), [(429, "peer"), (0, "network")])
async def test_a_refused_handshake(
    scene: Scene, status: int, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse() -> None:
        await trio.lowlevel.checkpoint()
        raise HandshakeRefused(status, "not now")

    scene.opening = refuse
    await scene.run()
    assert scene.engine.heard == ["closed"]
    assert scene.engine.ends == [f"1006 {by}: not now"]
    assert scene.tape.kept == []
    assert caplog.messages == ["fake: not now"]


async def test_a_handshake_without_end(
    scene: Scene, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    scene.opening = trio.sleep_forever
    began = trio.current_time()
    await scene.run()
    assert trio.current_time() - began == pytest.approx(module._OPEN_SECONDS)
    assert scene.engine.heard == ["closed"]
    assert scene.engine.ends == ["1006 us: no handshake within 15 s"]
    assert caplog.messages == ["fake: no handshake within 15 s"]


@pytest.mark.parametrize("begun", [False, True])
async def test_closed_while_it_opens(
    scene: Scene, begun: bool, caplog: pytest.LogCaptureFixture
) -> None:
    scene.opening = trio.sleep_forever
    async with trio.open_nursery() as nursery:
        connections = scene.make(nursery)
        connections.open(HUB, OPEN)
        if begun:
            await trio.testing.wait_all_tasks_blocked()
        connections.close(e.CloseUpstream(7, 1000, "no stream is wanted"))
    assert scene.engine.heard == ["closed"]
    assert caplog.messages == []  # this was our wish


async def test_a_connection_that_lives_longer_than_a_handshake_may_take(
    scene: Scene, autojump_clock: trio.testing.MockClock
) -> None:
    async def then() -> None:
        await trio.sleep(10 * module._OPEN_SECONDS)
        scene.upstream.end(1006)

    await scene.run(then)
    assert scene.engine.ends == ["1006 peer: bye"]


async def test_a_message_for_a_connection_that_just_ended(scene: Scene) -> None:
    async def then() -> None:
        scene.upstream.end(1001, noticed=False)
        scene.connections.send(e.SendUpstream(7, b"+a"))
        await trio.testing.wait_all_tasks_blocked()
        scene.upstream.end(1001)

    await scene.run(then)
    assert scene.engine.heard == ["opened", "closed"]


async def test_closing_what_has_ended_is_nothing(scene: Scene) -> None:
    async def then() -> None:
        scene.upstream.end(1001)
        await trio.testing.wait_all_tasks_blocked()
        scene.connections.close(e.CloseUpstream(7, 1000, "late"))

    await scene.run(then)
    assert scene.engine.ends == ["1001 peer: bye"]


async def test_silence_ends_a_connection(
    scene: Scene, autojump_clock: trio.testing.MockClock
) -> None:
    began = clock.now().mono_ns
    scene.upstream.heard = began

    async def then() -> None:
        await trio.sleep(50)
        scene.upstream.heard = clock.now().mono_ns

    await scene.run(then)
    assert (clock.now().mono_ns - began) / SECOND == pytest.approx(110)
    assert scene.engine.heard == ["opened", "closed"]
    assert scene.engine.ends == ["1001 us: silent for 60 s"]


@pytest.mark.parametrize("why", ["silence", "wish"])
async def test_a_dead_venue_need_not_answer(
    scene: Scene, why: str, autojump_clock: trio.testing.MockClock
) -> None:
    scene.upstream.is_dead = True
    if why == "silence":
        scene.upstream.heard = clock.now().mono_ns

    else:
        close = e.CloseUpstream(7, 1000, "enough")
        scene.engine.on_opened = lambda: scene.connections.close(close)
    await scene.run()
    assert scene.engine.heard == ["opened", "closed"]


async def test_a_dead_venue_for_real(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_GOODBYE_SECONDS", 0.05)
    hub = Hub(FakeVenue(silence_ns=SECOND // 20))
    engine, done = Ears(), trio.Event()

    async def silent(stream: trio.SocketStream) -> None:
        await Peer.accept(stream)
        await done.wait()  # reads nothing, so answers nothing

    with trio.fail_after(10):
        async with serving(silent) as port:
            async with trio.open_nursery() as nursery:
                urls = {"fake": [f"ws://127.0.0.1:{port}"]}
                ledger = Ledger(tmp_path / "ledger")
                Connections(engine, None, urls, None, nursery, ledger).open(hub, OPEN)
            done.set()
    assert engine.heard[0] == "opened"
    assert engine.heard[-1] == "closed"
    assert engine.ends == ["1001 us: silent for 0 s"]


# --- limits of the machine ---------------------------------------------------------------------


async def test_attempts_of_all_processes_count(
    scene: Scene, autojump_clock: trio.testing.MockClock
) -> None:
    """The fake venue allows five in ten seconds; somebody else has made them."""
    for _ in range(5):
        scene.ledger.attempt("fake", Rate(5, 10 * SECOND), None, clock.now().mono_ns)
    await scene.run()
    (deferred,) = scene.engine.events
    assert isinstance(deferred, e.UpstreamDeferred)
    assert deferred.connection == OPEN.connection
    assert deferred.until_ns == clock.now().mono_ns + 11 * SECOND
    assert deferred.why.startswith("5 connection attempts in 10 s")
    assert scene.url == ""
    assert scene.tape.kept == []
    assert scene.tape.infos == []


async def test_a_connection_is_held_in_the_ledger_until_it_ends(scene: Scene) -> None:
    scene.hub = Hub(FakeVenue(connections=1))

    def attempt() -> Claim | Wait:
        return scene.ledger.attempt("fake", Rate(100, 1), 1, clock.now().mono_ns + SECOND)

    async def then() -> None:
        assert isinstance(attempt(), Wait)
        scene.upstream.end(1001)

    await scene.run(then)
    assert isinstance(attempt(), Claim)


@pytest.mark.parametrize(
    ("status", "retry_after_ns", "banned_s"),
    [(429, None, 60), (418, 90 * SECOND, 90), (429, SECOND, 1), (503, 90 * SECOND, 0)],
)
async def test_too_fast_is_told_to_the_hub_and_to_all_processes(
    scene: Scene,
    status: int,
    retry_after_ns: int | None,
    banned_s: int,
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def refuse() -> None:
        await trio.lowlevel.checkpoint()
        raise HandshakeRefused(status, "not now", retry_after_ns)

    scene.opening = refuse
    await scene.run()
    assert scene.engine.events == [
        e.UpstreamClosed(7, 1006, "not now", "peer", status, retry_after_ns)
    ]
    now_ns = clock.now().mono_ns
    again = scene.ledger.attempt("fake", Rate(100, 1), None, now_ns + 1)
    until_ns = again.until_ns if isinstance(again, Wait) else now_ns
    assert until_ns - now_ns == banned_s * SECOND


# --- heartbeats --------------------------------------------------------------------------------


async def test_heartbeats_are_sent_when_nothing_else_was(
    scene: Scene, autojump_clock: trio.testing.MockClock
) -> None:
    scene.hub = Hub(FakeVenue(heartbeat=Heartbeat(b"ping", 20 * SECOND)))
    sent: list[tuple[float, str]] = []
    began = trio.current_time()

    def on_sent() -> None:
        scene.handed["on_frame_sent"](False)
        sent.append((trio.current_time() - began, scene.upstream.sent[-1].decode()))

    scene.upstream.on_sent = on_sent

    async def then() -> None:
        await trio.sleep(50)
        scene.connections.send(e.SendUpstream(7, b"+a"))
        await trio.sleep(35)
        scene.upstream.end(1001)

    await scene.run(then)
    assert sent == [(20, "ping"), (40, "ping"), (50, "+a"), (70, "ping")]
    frames = [event for event in scene.engine.events if isinstance(event, e.UpstreamSent)]
    assert [frame.control for frame in frames] == [True, True, False, True]
    assert scene.tape.kept[1:-1] == ["request ping", "request ping", "request +a", "request ping"]


# --- the proxy stops ---------------------------------------------------------------------------


async def test_when_the_proxy_stops_the_recording_says_so_and_nothing_is_mended(
    scene: Scene,
) -> None:
    async with trio.open_nursery() as nursery:
        scene.make(nursery).open(HUB, OPEN)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert scene.engine.heard == ["opened"]
    assert scene.tape.kept[1:] == ["closed {'code': 1000, 'reason': 'the proxy stops', 'by': 'us'}"]


async def test_cancelled_at_any_moment_the_recording_closes_what_it_opened(
    scene: Scene, tmp_path: Path
) -> None:
    def on_opened() -> None:
        scene.connections.send(e.SendUpstream(7, b"+a"))
        scene.connections.close(e.CloseUpstream(7, 1000, ""))

    async def scenario() -> None:
        scene.engine, scene.tape, scene.upstream = Ears(), Notes(), FakeUpstream()
        scene.ledger = Ledger(Path(tempfile.mkdtemp(dir=tmp_path)))
        scene.upstream.heard = 1 << 62
        scene.engine.on_opened = on_opened
        try:
            await scene.run()
        finally:
            heard = scene.engine.heard
            assert heard in ([], ["opened"], ["closed"], ["opened", "closed"])
            recorded = [line.split()[0] for line in scene.tape.kept]
            assert recorded.count("opened") == recorded.count("closed") == heard.count("opened")

    await cancel_at_every_step(scenario)
    assert scene.engine.heard == ["opened", "closed"]


# --- TLS ---------------------------------------------------------------------------------------


def test_the_system_authorities_are_trusted() -> None:
    assert tls_context(None).verify_mode is ssl.CERT_REQUIRED


def test_more_authorities_can_be_trusted(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    more, usual = tls_context(file), tls_context(None)
    assert len(more.get_ca_certs()) == len(usual.get_ca_certs()) + 1


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_without_certificates_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"--upstream-ca .*ca\.pem holds no certificates"):
        tls_context(file)
