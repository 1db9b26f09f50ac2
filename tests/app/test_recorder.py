from __future__ import annotations

import itertools
import ssl
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from tests.app.support import KeptTape, Stage, instant
from tests.hub.fake_venue import PROFILE, SECOND, FakeRest, FakeVenue
from wsproxy.app import clock
from wsproxy.app import recorder as module
from wsproxy.app.board import Board, Feed
from wsproxy.app.fetcher import Fetcher
from wsproxy.app.recorder import Marked, Recorder
from wsproxy.config import Address, Recording, Upstream, VenueSetting
from wsproxy.model import Kind
from wsproxy.recording.events import read_event
from wsproxy.venues.profile import Rate


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", instant)
    monkeypatch.setattr(clock, "monotonic_offset", lambda: (-7, 3))


@pytest.fixture
def fetched_from(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses from which something would be fetched."""
    urls: list[str] = []

    class FakeFetcher(Fetcher):
        async def run(self, ssl_context: ssl.SSLContext) -> None:
            urls.append(self._url)
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(module, "Fetcher", FakeFetcher)
    return urls


class Scene:
    def __init__(self, directory: Path, settings: Recording | None = None) -> None:
        self.stage = Stage()
        venue = self.stage.hub.venue
        assert isinstance(venue, FakeVenue)
        venue.rest = FakeRest()
        venue.profile = replace(
            PROFILE, rest_weight=Rate(1000, 60 * SECOND), rest_url="https://own"
        )
        self.tape = KeptTape(directory, settings)
        feeds = {"fake": Feed(self.stage.hub, self.stage.pool, ["ws://fake"])}
        board = Board(Address("h", 1), self.stage.engine, feeds, self.stage.budget, self.tape)
        self.recorder = Recorder(self.tape, feeds, board, itertools.count(1))

    async def run(self, seconds: float, url: str | None = None) -> None:
        with trio.move_on_after(seconds):
            await self.recorder.run(Upstream((VenueSetting("fake", url),)))


async def test_clock_and_counters_every_minute(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, fetched_from: list[str]
) -> None:
    scene = Scene(tmp_path)
    await scene.run(121)
    told = [(note.kind, note.connection, note.streams) for note in scene.tape.noted]
    assert told == [(Kind.CLOCK, 0, ()), (Kind.STATISTICS, 0, ())] * 2
    assert read_event(scene.tape.noted[0].payload) == {
        "offset": -7,
        "error": 3,
        "source": "monotonic",
    }
    assert read_event(scene.tape.noted[1].payload)["counters"] == {
        "clients": 0,
        "streams": 0,
        "connections": 0,
        "cap": 2,
        "messages": 0,
        "gaps": 0,
        "lost": 0,
        "bytes_on_disk": scene.tape.writer.bytes_written,
        "records": 0,
        "raw_bytes": 0,
    }


def test_a_note_has_its_place(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    assert scene.recorder.mark(b'{"text":"lunch","who":"bob"}') == Marked(instant().wall_ns)
    scene.recorder.mark(b'{"text":"back"}')
    notes = [(note.kind, note.connection, read_event(note.payload)) for note in scene.tape.noted]
    assert notes == [
        (Kind.MARKER, 0, {"text": "lunch", "who": "bob"}),
        (Kind.MARKER, 0, {"text": "back", "who": ""}),
    ]


@pytest.mark.parametrize("body", [b"", b"lunch", b"{}", b'{"text":1}'])
def test_a_note_that_is_none(tmp_path: Path, body: bytes) -> None:
    scene = Scene(tmp_path)
    with pytest.raises(msgspec.DecodeError):
        scene.recorder.mark(body)
    assert scene.tape.noted == []


@pytest.mark.parametrize(
    ("own_url", "settings", "expected"),
    [
        (None, Recording(), ["https://own"]),
        ("ws://elsewhere", Recording(), []),
        ("ws://elsewhere", Recording(rest_urls=(("fake", "http://there"),)), ["http://there"]),
        (None, Recording(rest_urls=(("fake", "http://there"),)), ["http://there"]),
        (None, Recording(rest_urls=(("other", "http://there"),)), ["https://own"]),
        (None, Recording(rest_depth=0), []),
    ],
)
async def test_where_snapshots_come_from(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    fetched_from: list[str],
    own_url: str | None,
    settings: Recording,
    expected: list[str],
) -> None:
    await Scene(tmp_path, settings).run(1, own_url)
    assert fetched_from == expected


async def test_a_venue_without_rest_is_not_asked(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, fetched_from: list[str]
) -> None:
    scene = Scene(tmp_path)
    venue = scene.stage.hub.venue
    assert isinstance(venue, FakeVenue)
    venue.rest = None
    await scene.run(1)
    assert fetched_from == []


@pytest.mark.parametrize(("seconds", "count"), [(0, 0), (5, 2)])
async def test_keyframes_as_often_as_wanted(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    fetched_from: list[str],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    count: int,
) -> None:
    intervals: list[float] = []

    async def write_keyframes(tape: KeptTape, _: object) -> None:
        for _ in range(2):
            intervals.append(tape.settings.keyframe_seconds)
            await trio.lowlevel.checkpoint()

    monkeypatch.setattr(module, "write_keyframes", write_keyframes)
    await Scene(tmp_path, Recording(keyframe_seconds=seconds)).run(1)
    assert intervals == [seconds] * count
