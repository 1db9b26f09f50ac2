from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.support import KeptTape, Stage
from tests.hub.fake_venue import FakeState
from wsproxy.app.board import Feed
from wsproxy.app.keyframes import write_keyframes
from wsproxy.config import Recording
from wsproxy.hub.events import UpstreamClosed, UpstreamOpened, UpstreamSent
from wsproxy.model import Kind
from wsproxy.venues.base import Body, Numbered


class Scene:
    """A stage with these streams live, and what keyframes were written, with times."""

    def __init__(self, directory: Path, path: str) -> None:
        self.stage = Stage()
        self.stage.join(path)
        self.stage.engine.dispatch(self.stage.hub, UpstreamOpened(1))
        self.stage.engine.dispatch(self.stage.hub, UpstreamSent(1))
        self.stage.carry("!ok 1")
        self.began = trio.current_time()
        self.found: list[tuple[float, int, tuple[str, ...], bytes]] = []
        scene = self

        class Tape(KeptTape):
            def note(
                self, kind: Kind, connection: int, streams: tuple[str, ...], payload: bytes
            ) -> None:
                assert kind is Kind.KEYFRAME
                at = round(trio.current_time() - scene.began, 3)
                scene.found.append((at, connection, streams, payload))

        self.tape = Tape(directory, Recording(keyframe_seconds=60))

    async def run(self, seconds: float) -> None:
        with trio.move_on_after(seconds):
            feed = Feed(self.stage.hub, self.stage.pool, ["ws://fake"])
            await write_keyframes(self.tape, [feed])


async def test_streams_with_a_state_take_turns(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scene = Scene(tmp_path, "/book1,other,book2")
    scene.stage.carry("book1 =1,2", "book2 =7", "other 1", "book1 3")
    await scene.run(125)
    one, two = (1, ("book1",), b"snapshot 1,2,3"), (1, ("book2",), b"snapshot 7")
    assert scene.found == [(30, *one), (60, *two), (90, *one), (120, *two)]


async def test_what_is_not_known_any_more_is_left_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    scene = Scene(tmp_path, "/book1")
    scene.stage.carry("book1 =1")
    await scene.run(61)
    assert len(scene.found) == 1
    scene.stage.engine.dispatch(scene.stage.hub, UpstreamClosed(1, 1006, "", "network"))
    await scene.run(200)
    assert len(scene.found) == 1


async def test_a_state_that_says_nothing_is_left_out(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, "/book1")
    scene.stage.carry("book1 =1")
    monkeypatch.setattr(FakeState, "snapshot", lambda _: None)
    await scene.run(200)
    assert scene.found == []


async def test_a_numbered_state_has_number_0(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbered(_: FakeState) -> Body:
        return Numbered(b'{"n":', b',"x":1}')

    scene = Scene(tmp_path, "/book1")
    scene.stage.carry("book1 =1")
    monkeypatch.setattr(FakeState, "snapshot", numbered)
    await scene.run(61)
    assert [payload for *_, payload in scene.found] == [b'{"n":0,"x":1}']
