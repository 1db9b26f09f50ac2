"""What a command does from its beginning to its exit code."""

from __future__ import annotations

import hashlib
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.testing

from tests.app.support import make_recording
from tests.hub.fake_venue import FakeVenue
from tests.wire.loopback import Peer
from wsproxy.app import live, program, replaying
from wsproxy.app.program import LOSSY, run_live, run_replay
from wsproxy.app.tape import Tape
from wsproxy.config import Address, Playing, Recording, Serving, Upstream, VenueSetting
from wsproxy.errors import ConfigError, RecordingError
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer
from wsproxy.replay.programme import Programme
from wsproxy.wire.frames import encode

T = TypeVar("T")

SERVING = Serving(listen=Address("127.0.0.1", 0))
UPSTREAM = Upstream((VenueSetting("x", "ws://x"), VenueSetting("y", "ws://y")))


@pytest.fixture(autouse=True)
def surroundings(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """The fake venue everywhere, the log from INFO on, signals as before afterwards."""
    caplog.set_level(logging.INFO, "wsproxy")
    for module in (live, replaying):
        monkeypatch.setattr(module, "venue", lambda name: FakeVenue(name=name))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread would look idle to a clock that jumps."""

    async def here(call: Callable[[], T], **_: object) -> T:
        await trio.lowlevel.checkpoint()
        return call()

    monkeypatch.setattr(trio.to_thread, "run_sync", here)


async def said(caplog: pytest.LogCaptureFixture, text: str) -> str:
    """Wait until this is in the log; the line."""
    while True:
        for line in caplog.messages:
            if text in line:
                return line
        await trio.lowlevel.checkpoint()


# --- live --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_threads")
async def test_a_proxy_runs_for_as_long_as_it_was_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    began = trio.current_time()
    assert await run_live(UPSTREAM, SERVING, None, 100) == 0
    assert trio.current_time() - began == pytest.approx(100)
    first, *_, last = caplog.messages
    assert first.startswith("clients connect to ws://127.0.0.1:")
    assert first.endswith("/y")
    assert last.startswith("0 clients  0 streams  0/8 connections")


@pytest.mark.usefixtures("_no_threads")
async def test_a_recording_is_made_and_summed_up(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    assert await run_live(UPSTREAM, SERVING, Recording(out=out), 5) == 0
    assert open_recording(out).info.venues == ("x", "y")
    assert f"recording to {out}" in caplog.messages
    assert caplog.messages[-1] == f"{out}: 2 records, 0.0 MB raw, 0.0 MB on disk"


@pytest.mark.usefixtures("_no_threads")
async def test_without_a_directory_it_is_named_for_time_and_venues(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert await run_live(UPSTREAM, SERVING, Recording(), 5) == 0
    (made,) = (tmp_path / "recordings").iterdir()
    assert made.name.endswith("Z-x-y")


@pytest.mark.usefixtures("_no_threads")
async def test_a_recording_that_lacks_messages_has_its_exit_code(
    autojump_clock: trio.testing.MockClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Lossy(Tape):
        async def run(self) -> None:
            await super().run()
            self.lost = 1  # even if that happens at the very end

    monkeypatch.setattr(program, "Tape", Lossy)
    assert await run_live(UPSTREAM, SERVING, Recording(out=tmp_path / "out"), 5) == LOSSY


@pytest.mark.usefixtures("_no_threads")
async def test_other_machines_are_warned_of(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    await run_live(UPSTREAM, Serving(listen=Address("0.0.0.0", 0)), None, 1)
    warnings = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == ["listening on 0.0.0.0: other machines can connect"]


async def test_a_signal_stops_it(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    async def stop() -> None:
        await said(caplog, "clients connect to")
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGTERM)

    nursery.start_soon(stop)
    with trio.fail_after(20):
        assert await run_live(UPSTREAM, SERVING, None, None) == 0
    assert "SIGTERM: stopping" in caplog.messages


async def test_what_cannot_start_leaves_no_recording(tmp_path: Path) -> None:
    out = tmp_path / "out"
    upstream = Upstream(UPSTREAM.venues, ca_file=tmp_path / "none.pem")
    with pytest.raises(ConfigError, match=r"none\.pem"):
        await run_live(upstream, SERVING, Recording(out=out), None)
    elsewhere = Serving(listen=Address("192.0.2.1", 0))
    with pytest.raises(ConfigError, match="cannot be listened on"):
        await run_live(UPSTREAM, elsewhere, Recording(out=out), None)
    assert not out.exists()


async def test_a_recording_is_never_written_over(tmp_path: Path) -> None:
    Writer.create(tmp_path, venues=["x"], wall_ns=0, mono_ns=0).close()
    with pytest.raises(RecordingError, match="holds a recording already"):
        await run_live(UPSTREAM, SERVING, Recording(out=tmp_path), None)


# --- replay ------------------------------------------------------------------------------------


async def replay(path: Path, clients: int = 1) -> int:
    playing = Playing(speed=None, clients=clients, settle_seconds=0)
    with trio.fail_after(20):
        return await run_replay(Programme([open_recording(path)]), SERVING, playing)


async def connect(caplog: pytest.LogCaptureFixture) -> Peer:
    line = await said(caplog, "clients connect to ")
    port = int(line.split(":")[-1].partition("/")[0])
    return await Peer.connect(await trio.open_tcp_stream("127.0.0.1", port), "/fake/a")


async def test_a_replay_prints_what_each_client_was_sent(
    tmp_path: Path,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = make_recording(tmp_path, (0, "a 0", ("a",)), (1, "a 1", ("a",)))
    payloads: list[bytes] = []

    async def client() -> None:
        peer = await connect(caplog)
        payloads.extend([bytes((await peer.frame()).data), bytes((await peer.frame()).data)])
        await peer.closed()
        await peer.stream.aclose()

    nursery.start_soon(client)
    assert await replay(path) == 0
    assert payloads == [b"a 0", b"a 1"]
    frames = b"".join(map(encode, payloads))
    sha256, size, remote, where = capsys.readouterr().out.split()
    assert sha256 == hashlib.sha256(frames).hexdigest()
    assert int(size) == len(frames)
    assert remote.startswith("127.0.0.1:")
    assert where == "fake"
    assert any(line.startswith("2 messages in ") for line in caplog.messages)


async def test_a_replay_that_was_stopped_has_another_exit_code(
    tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    path = make_recording(tmp_path, (0, "a 0", ("a",)))

    async def stop() -> None:
        peer = await connect(caplog)
        await trio.testing.wait_all_tasks_blocked()
        signal.raise_signal(signal.SIGINT)
        await peer.closed()
        await peer.stream.aclose()

    nursery.start_soon(stop)
    assert await replay(path, clients=2) == 1
    assert "SIGINT: stopping" in caplog.messages
    assert "stopped before the end of the recording" in caplog.messages
