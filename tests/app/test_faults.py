"""Connections break where a file of faults says so."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.replay_support import (
    join,
    replay_of,
    serving,
    use_fake_venue,
)
from tests.app.support import FakeClient, make_recording
from tests.wire.loopback import read_to_end
from wsproxy.app.engine import Port
from wsproxy.app.replaying import Replay

_UPGRADE = (
    b"GET /fake/a HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture(autouse=True)
def fake_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_venue(monkeypatch)


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """A message a second."""
    return make_recording(
        tmp_path / "ten", *((at, f"{'ab'[at % 2]} {at}", ("ab"[at % 2],)) for at in range(10))
    )


def replay_with(tmp_path: Path, recording: Path, *faults: str, **playing: object) -> Replay:
    path = tmp_path / "faults.toml"
    path.write_text("".join(f"[[fault]]\n{fault}\n" for fault in faults))
    return replay_of(recording, faults=path, **playing)


async def leave(replay: Replay, port: Port, left: list[float]) -> None:
    with port.scope:
        await trio.sleep_forever()
    left.append(trio.current_time())
    replay.engine.leave(replay.engine.hubs["fake"], port)


async def test_chosen_clients_are_cut_off(
    ten: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay = replay_with(
        tmp_path,
        ten,
        'kind="disconnect"\nat="+4500ms"\nclients=[1]\ncode=1001\nreason="gone"',
        'kind="disconnect"\nat="+6500ms"\nstreams=["b"]',
    )
    clients = [FakeClient() for _ in range(3)]
    ports = [join(replay, path, one) for path, one in zip(("/a", "/b", "/a"), clients, strict=True)]
    await replay.play()
    assert [port.close for port in ports] == [(1001, "gone"), (1006, ""), None]
    assert [client.texts[-1] for client in clients] == ["a 4", "b 5", "a 8"]


async def test_who_is_cut_off_has_read_everything_before(
    ten: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, slow = (
        replay_with(tmp_path, ten, 'kind="disconnect"\nat="+2s"', speed=None),
        FakeClient(),
    )
    port = join(replay, "/a", slow)
    slow.is_slow = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        await trio.sleep(50)
        assert port.close is None
        slow.drained.set()
    assert slow.texts == ["a 0"]
    assert port.close == (1006, "")


async def test_a_slow_close(
    ten: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    fault = 'kind="slow-close"\nat="+3s"\nseconds=4\ncode=1001'
    replay, client = replay_with(tmp_path, ten, fault), FakeClient()
    port, left = join(replay, "/a,b", client), list[float]()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, replay, port, left)
        await replay.play()
    assert client.texts == ["a 0", "b 1", "a 2"]
    assert [at - began for at in left] == pytest.approx([7])
    assert port.close == (1001, "")


async def test_pings_without_pongs(
    ten: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    class Hearing(FakeClient):
        is_mute = False

    replay, client = replay_with(tmp_path, ten, 'kind="mute"\nat="+3s"\nseconds=4'), Hearing()
    join(replay, "/a", client)
    heard = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        for _ in range(9):
            await trio.sleep(1.01)
            heard.append(not client.is_mute)
    assert heard == [True, True, False, False, False, False, True, True, True]


async def test_handshakes_are_refused_for_a_while(ten: Path, tmp_path: Path) -> None:
    replay = replay_with(tmp_path, ten, 'kind="refuse"\nat="+3s"\nseconds=2\ncode=429', speed=None)
    async with serving(replay):
        player = replay.player
        player.pause()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replay.play)
            for _ in range(4):
                player.step()
                await trio.testing.wait_all_tasks_blocked()
            assert player.refusal() == (429, "a fault of the replay")
            async with await trio.open_tcp_stream(*replay.address) as stream:
                await stream.send_all(_UPGRADE)
                assert b"HTTP/1.1 429 " in await read_to_end(stream)
            player.step()
            player.step()
            await trio.testing.wait_all_tasks_blocked()
            assert player.refusal() is None
            player.resume()


async def test_a_seek_begins_with_the_faults_behind_it(
    ten: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    faults = 'kind="disconnect"\nat="+2s"', 'kind="disconnect"\nat="+7s"'
    replay = replay_with(tmp_path, ten, *faults, start=None)
    replay.player.seek(replay.player.programme.first + 5 * 10**9)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        await trio.sleep(1)
        port, left = join(replay, "/a", FakeClient()), list[float]()
        nursery.start_soon(leave, replay, port, left)
    assert [at - began for at in left] == pytest.approx([2])


async def test_faults_of_messages_are_played(
    ten: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    fault = 'kind="latency"\nat="+0s"\nseconds=100\ndelay=0.25\nstreams=["a"]'
    replay, client = replay_with(tmp_path, ten, fault), FakeClient()
    join(replay, "/a,b", client)
    began = trio.current_time()
    await replay.play()
    assert [at - began for at in client.times[:3]] == pytest.approx([0.25, 1, 2.25])
