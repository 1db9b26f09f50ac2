"""What is fetched beside the streams becomes records, or a warning."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from tests.app.support import KeptTape, Stage, instant
from tests.hub.fake_venue import PROFILE, SECOND, FakeRest
from wsproxy.app import clock
from wsproxy.app import fetcher as module
from wsproxy.app.fetcher import Fetcher
from wsproxy.app.upstream import tls_context
from wsproxy.config import Recording
from wsproxy.hub.events import UpstreamOpened, UpstreamSent
from wsproxy.model import ConnectionInfo, Kind
from wsproxy.recording.events import read_event
from wsproxy.venues.profile import Rate
from wsproxy.wire.rest import Answer, NoAnswer

SSL_CONTEXT = tls_context(None)
LIMITED = replace(PROFILE, rest_weight=Rate(1000, 60 * SECOND), rest_used="x-used")


class Said(NamedTuple):
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})


class FakeClient:
    """Answers by path, None with an error; each takes 0.1 s."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []
        self.answers: dict[str, Iterable[Said | None]] = {}

    async def get(self, path: str) -> Answer:
        self.asked.append((trio.current_time(), path))
        asked = instant()
        await trio.sleep(0.1)
        said = next(iter(self.answers.get(path, ())), Said(b"7"))
        if said is None:
            raise NoAnswer("it is not there")
        return Answer(said.status, said.headers, said.body, asked, instant())


class Scene:
    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(clock, "now", instant)
        monkeypatch.setattr(module, "rest_client", self._client)
        self.client = FakeClient()
        self.stage = Stage()
        for stream in ("seq1", "other"):
            self.stage.engine.perform(self.stage.hub, self.stage.hub.pin(stream, instant()))
        self.tape = KeptTape(directory, Recording(rest_depth=50))
        self.fetcher = Fetcher(
            FakeRest(), LIMITED, self.stage.pool, self.tape, "http://h", itertools.count(5)
        )

    @asynccontextmanager
    async def _client(self, url: str, *_: object) -> AsyncIterator[FakeClient]:
        assert url == "http://h"
        await trio.lowlevel.checkpoint()
        yield self.client

    def go_live(self) -> None:
        self.stage.engine.dispatch(self.stage.hub, UpstreamOpened(1))
        self.stage.engine.dispatch(self.stage.hub, UpstreamSent(1))
        self.stage.carry("!ok 1")

    async def run(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            await self.fetcher.run(SSL_CONTEXT)

    def events(self, kind: Kind) -> list[tuple[int, tuple[str, ...], dict[str, object]]]:
        return [
            (note.connection, note.streams, read_event(note.payload))
            for note in self.tape.noted
            if note.kind is kind
        ]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


async def test_nothing_is_asked_before_a_stream_is_live(
    scene: Scene, autojump_clock: MockClock
) -> None:
    await scene.run(10)
    assert scene.client.asked == []
    assert scene.tape.connections == []


async def test_a_snapshot_and_what_is_wanted_once(scene: Scene, autojump_clock: MockClock) -> None:
    scene.go_live()
    headers = {"date": "D", "set-cookie": "secret", "x-used": "9"}
    scene.client.answers["/seq1?50"] = [Said(b"7", headers=headers)]
    began = instant().wall_ns
    await scene.run(30)
    assert [path for _, path in scene.client.asked] == ["/time", "/seq1?50", "/info"]
    assert scene.tape.connections == [ConnectionInfo(5, "fake", "http://h")]
    book, info = scene.events(Kind.ATTACHMENT)
    assert book == (
        5,
        ("seq1",),
        {
            "url": "http://h/seq1?50",
            "status": 200,
            "headers": {"date": "D", "x-used": "9"},
            "asked": began + SECOND // 10,
            "body": b"7",
        },
    )
    assert info[:2] == (5, ())
    assert info[2]["url"] == "http://h/info"


async def test_behind_a_gap_there_is_another(scene: Scene, autojump_clock: MockClock) -> None:
    scene.go_live()
    scene.stage.carry("seq1 6", "seq1 7")
    await scene.run(30)
    assert len(scene.events(Kind.ATTACHMENT)) == 2
    scene.stage.carry("seq1 10")
    scene.client.answers["/seq1?50"] = [Said(b"12")]
    await scene.run(20)
    assert [streams for _, streams, _ in scene.events(Kind.ATTACHMENT)] == [
        ("seq1",),
        (),
        ("seq1",),
    ]


async def test_the_clocks_are_compared_every_minute(
    scene: Scene, autojump_clock: MockClock
) -> None:
    scene.go_live()
    began = instant().wall_ns
    scene.client.answers["/time"] = [Said(b"%d" % (began + 1_000 * SECOND))]
    await scene.run(125)
    first, *others = scene.events(Kind.CLOCK)
    assert len(others) == 2
    number, streams, fields = first
    assert (number, streams, fields["source"]) == (5, (), "http://h/time")
    assert fields["error"] == SECOND // 20
    assert fields["offset"] == 1_000 * SECOND - SECOND // 20


async def test_a_time_that_makes_no_sense_is_no_record(
    scene: Scene, autojump_clock: MockClock
) -> None:
    scene.go_live()
    scene.client.answers["/time"] = [Said(b"<html>")]
    await scene.run(5)
    assert scene.events(Kind.CLOCK) == []


async def test_trouble_is_told_and_tried_again(
    scene: Scene, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    scene.go_live()
    refused = Said(b"", 429, {"retry-after": "9"})
    scene.client.answers["/seq1?50"] = iter([None, refused, Said(b"7")])
    await scene.run(30)
    assert caplog.messages == [
        "fake: GET http://h/seq1?50: it is not there; trying again in 1 s",
        "fake: GET http://h/seq1?50: HTTP 429; nothing is asked for in the next 9 s",
    ]
    first, second, third = [at for at, path in scene.client.asked if path == "/seq1?50"]
    assert second - first >= 1
    assert third - second >= 9
    assert len(scene.events(Kind.ATTACHMENT)) == 2


async def test_the_weight_that_others_use_counts(scene: Scene, autojump_clock: MockClock) -> None:
    scene.go_live()
    scene.client.answers["/time"] = [Said(b"7", headers={"x-used": "801"})]
    await scene.run(59)
    assert [path for _, path in scene.client.asked] == ["/time"]
