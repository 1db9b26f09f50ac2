"""A running replay is asked and ordered by HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from tests.app.replay_support import book_of, join, replay_of, use_fake_venue
from tests.app.support import FakeClient
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.app.replaying import Replay
from wsproxy.app.transport import ReplayStatus, Transport
from wsproxy.wire.http import Refusal


@pytest.fixture
def replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replay:
    use_fake_venue(monkeypatch)
    return replay_of(book_of(tmp_path / "book", 10), session="mine")


def order(transport: Transport, path: str, **body: Any) -> ReplayStatus:
    content = json.dumps(body).encode() if body else b""
    said = transport.routes["POST", f"/replay/{path}"](content)
    assert isinstance(said, ReplayStatus)
    return said


async def test_it_is_obeyed(replay: Replay, autojump_clock: trio.testing.MockClock) -> None:
    transport, client = Transport(replay), FakeClient()
    join(replay, "/book", client)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        await trio.sleep(2.5)
        assert order(transport, "pause").paused
        await trio.sleep(100)
        assert order(transport, "step").paused
        await trio.sleep(100)
        assert client.texts[-1] == "book 3"
        order(transport, "seek", to="-1s")
        await trio.testing.wait_all_tasks_blocked()
        assert transport.status().position_ns == WALL_NS + 8 * SECOND
        order(transport, "seek", by=-1)
        await trio.testing.wait_all_tasks_blocked()
        assert client.texts[-1] == "snapshot 0,1,2,3,4,5,6"
        assert order(transport, "speed", speed="max").speed is None
        assert order(transport, "speed", speed=2).speed == 2.0
        assert not order(transport, "resume").paused
    assert client.texts[-3:] == ["book 7", "book 8", "book 9"]


async def test_it_tells_where_it_is(replay: Replay, autojump_clock: trio.testing.MockClock) -> None:
    transport = Transport(replay)
    join(replay, "/book", FakeClient())
    with trio.move_on_after(1.5):
        await replay.play()
    said = transport.routes["GET", "/replay"](b"")
    assert msgspec.to_builtins(said) == {
        "session": "mine",
        "position": "2023-11-14T22:13:21.000000000Z",
        "position_ns": WALL_NS + SECOND,
        "now_ns": WALL_NS + 3 * SECOND // 2,
        "first_ns": WALL_NS,
        "last_ns": WALL_NS + 9 * SECOND,
        "speed": 1.0,
        "paused": False,
        "messages": 2,
        "clients": [{"number": 1, "name": "/book", "streams": 1, "bytes": 16, "lag_bytes": 0}],
    }


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("seek", {"to": "noon"}, "'noon' is not a time"),
        ("seek", {"to": 1, "by": 1}, 'Write {"to": TIME} or {"by": SECONDS}.'),
        ("speed", {"speed": 0}, "--speed 0.0: write a number above 0, or max"),
        ("speed", {"speed": "fast"}, "--speed fast: write a number above 0, or max"),
    ],
)
def test_an_order_that_makes_no_sense(
    replay: Replay, path: str, body: dict[str, Any], why: str
) -> None:
    with pytest.raises(Refusal, match=why.replace("{", r"\{")) as refused:
        order(Transport(replay), path, **body)
    assert refused.value.status == 400


@pytest.mark.parametrize("body", [b"", b"{}", b'{"speed": 1, "x": 2}'])
def test_a_body_that_is_none(replay: Replay, body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Transport(replay).routes["POST", "/replay/speed"](body)
