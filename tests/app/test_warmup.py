"""A recording in front of live streams: how long it is played, and what ends it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.app.replay_support import programme
from tests.app.support import FakeClient, Stage, instant, make_recording
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.app import clock, patience, warmup
from wsproxy.app.board import Board, Feed
from wsproxy.app.engine import Port
from wsproxy.app.warmup import WarmUp
from wsproxy.config import Address, Playing
from wsproxy.hub.events import UpstreamOpened, UpstreamSent
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.writer import Writer

Clock = trio.testing.MockClock


@pytest.fixture(autouse=True)
def same_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", instant)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Four messages over two seconds."""
    numbered = [(second / 2, f"seq {second}", ("seq",)) for second in range(4)]
    return make_recording(tmp_path / "r", (0, "a 0", ("a",)), *numbered)


class Theatre(Stage):
    """A live engine, 10 s after the recording began, with a warm-up in front."""

    def __init__(self, path: Path, **playing: Any) -> None:
        super().__init__(outbox_bytes=1 << 20)
        playing = {"settle_seconds": 0.0, "speed": None} | playing
        self.warm_up = WarmUp(programme(path), Playing(**playing))
        feeds = {"fake": Feed(self.hub, self.pool, ["ws://fake"])}
        self.board = Board(
            *(Address("127.0.0.1", 0), self.engine, feeds, self.budget, None, self.warm_up.lacks)
        )
        self.engine._note = self.board.noted

    @asynccontextmanager
    async def running(self) -> AsyncIterator[trio.Nursery]:
        await trio.sleep(10)
        with trio.fail_after(100):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.engine.tick, self.hub)
                await nursery.start(self.warm_up.play, self.engine, count(50))
                yield nursery
                nursery.cancel_scope.cancel()

    def enter(self, path: str, client: FakeClient | None = None) -> FakeClient:
        client = client or FakeClient()
        self.join(path, client)
        return client

    def connect(self) -> None:
        """Grant what is asked for on connection 1."""
        self.engine.dispatch(self.hub, UpstreamOpened(1))
        self.engine.dispatch(self.hub, UpstreamSent(1))
        self.carry("!ok 1")


async def test_live_messages_follow_a_recording_that_has_ended(
    autojump_clock: Clock, recording: Path
) -> None:
    stage = Theatre(recording)
    async with stage.running():
        client = stage.enter("/seq")
        await trio.sleep(5)
        assert client.texts == ["seq 0", "seq 1", "seq 2", "seq 3"]
        assert not stage.warm_up.over.is_set()  # the venue has not granted it
        stage.connect()
        await stage.warm_up.over.wait()
        stage.carry("seq 4")
        assert client.texts[-1] == "seq 4"
    assert stage.warm_up.missing == []


async def test_it_begins_when_clients_are_there_and_where_it_shall(
    autojump_clock: Clock, recording: Path
) -> None:
    stage = Theatre(recording, clients=2, start=WALL_NS + SECOND)
    async with stage.running():
        client = stage.enter("/seq")
        await trio.sleep(5)
        assert client.texts == []
        stage.enter("/a")
        await trio.sleep(1)
        assert client.texts == ["seq 2", "seq 3"]


async def test_it_has_a_pace(autojump_clock: Clock, recording: Path) -> None:
    stage = Theatre(recording, speed=2.0)
    async with stage.running():
        client = stage.enter("/seq")
        await trio.sleep(2)
    assert [round(time - client.times[0], 3) for time in client.times] == [0, 0.25, 0.5, 0.75]


async def test_states_of_the_start_are_known(autojump_clock: Clock, tmp_path: Path) -> None:
    books = [(second, f"book {second}", ("book",)) for second in range(4)]
    stage = Theatre(make_recording(tmp_path / "r", *books), start=WALL_NS + 2 * SECOND)
    async with stage.running():
        client = stage.enter("/book")
        assert [text.rpartition(" ")[2] for text in client.texts] == ["0,1"]


async def test_who_reads_slowly_makes_it_wait(
    autojump_clock: Clock, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warmup, "RUN_BYTES", 1)
    monkeypatch.setattr(patience, "_HIGH_WATER_BYTES", 0)
    stage = Theatre(recording)
    async with stage.running():
        client = stage.enter("/seq", FakeClient(is_slow=True))
        await trio.sleep(3)
        assert client.texts == ["seq 0"]
        client.is_slow = False
        client.drained.set()
        await trio.sleep(1)
        assert len(client.texts) == 4


async def test_a_gap_is_said(
    autojump_clock: Clock, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsproxy")
    stage = Theatre(recording)
    async with stage.running():
        client = stage.enter("/seq")
        stage.connect()
        stage.carry("seq 9")
        await stage.warm_up.over.wait()
        assert client.texts == ["seq 0", "seq 1", "seq 2", "seq 3"]
    (gap,) = stage.warm_up.missing
    assert (gap.last, gap.first, gap.missed) == (3, 9, 5)
    assert gap.since_ns == WALL_NS + 3 * SECOND // 2
    assert WALL_NS + 10 * SECOND <= gap.until_ns < WALL_NS + 11 * SECOND
    assert gap.sentence in caplog.messages
    assert caplog.messages[-1].startswith(
        "live from here: the recording ends at 2023-11-14T22:13:2"
    )


async def test_a_venue_that_never_grants_is_waited_for_so_long(
    autojump_clock: Clock, recording: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "wsproxy")
    stage = Theatre(recording)
    async with stage.running():
        stage.enter("/seq")
        began = trio.current_time()
        await stage.warm_up.over.wait()
        assert trio.current_time() - began == pytest.approx(15, abs=0.3)
    assert caplog.messages[-1].endswith(", but the venue has not granted everything")
    assert stage.engine.ports[1].close is not None


class Recorder:
    """Somebody who is still writing the recording."""

    def __init__(self, directory: Path) -> None:
        self.writer = Writer.create(directory, venues=["fake"], wall_ns=WALL_NS, mono_ns=0)
        self.writer.add_connection(ConnectionInfo(1, "fake", "ws://fake/"))

    def write(self, *texts: str) -> None:
        names = [(text.partition(" ")[0],) for text in texts]
        payloads = [text.encode() for text in texts]
        batch = Batch(Kind.MESSAGE, 1, *instant(), payloads, None, [*names])
        self.writer.write([batch])


async def test_a_recording_that_is_still_written_is_followed(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.write("a 0", "a 1")
    stage = Theatre(tmp_path / "r")
    async with stage.running():
        client = stage.enter("/a")
        stage.connect()
        stage.carry("a 5")
        await trio.sleep(0.5)
        assert client.texts == ["a 0", "a 1"]
        recorder.write("a 4")
        await trio.sleep(0.5)
        assert client.texts == ["a 0", "a 1", "a 4"]
        recorder.write("a 5", "a 6")
        await stage.warm_up.over.wait()
        stage.carry("a 6")
        assert client.texts == ["a 0", "a 1", "a 4", "a 5", "a 6"]
    assert stage.warm_up.missing == []
    recorder.writer.close()


async def test_a_recording_that_gets_nothing_any_more_is_as_good_as_over(
    autojump_clock: Clock, tmp_path: Path
) -> None:
    recorder = Recorder(tmp_path / "r")
    recorder.write("a 0")
    stage = Theatre(tmp_path / "r")
    async with stage.running():
        stage.enter("/a")
        stage.connect()
        await trio.sleep(40)
        assert not stage.warm_up.over.is_set()  # nothing comes at all
        began = trio.current_time()
        stage.carry("a 7")
        await stage.warm_up.over.wait()
        assert trio.current_time() - began == pytest.approx(15, abs=0.3)
    assert len(stage.warm_up.missing) == 1
    recorder.writer.close()


async def test_without_clients_left_it_is_over(autojump_clock: Clock, recording: Path) -> None:
    stage = Theatre(recording)
    async with stage.running():
        port = stage.join("/seq")
        await trio.sleep(1)
        assert isinstance(port, Port)
        stage.engine.leave(stage.hub, port)
        await stage.warm_up.over.wait()
    assert stage.warm_up.missing == []
