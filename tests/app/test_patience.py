"""The timeline begins when it should, and waits for whoever is slow, but not for ever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from tests.app.replay_support import four_messages, join, replay_of, say, use_fake_venue
from tests.app.support import FakeClient
from wsproxy.app import patience, player
from wsproxy.app.replaying import Replay


@pytest.fixture(autouse=True)
def fake_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_venue(monkeypatch)
    monkeypatch.setattr(patience, "_HIGH_WATER_BYTES", 4)
    monkeypatch.setattr(player, "RUN_BYTES", 1)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return four_messages(tmp_path / "four")


async def test_it_waits_for_so_many_and_until_they_have_settled(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, ready = replay_of(four, clients=2, settle_seconds=0.5), []
    began = trio.current_time()

    async def wait() -> None:
        await replay.wait_for_clients()
        ready.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(10)
        join(replay, "/a", FakeClient())
        port = join(replay, "/", FakeClient())  # has subscribed to nothing yet
        await trio.sleep(10)
        assert replay.patience.subscribed == 1
        say(replay, port, "+b")
        await trio.sleep(0.4)
        say(replay, port, "?")  # still asking
        assert replay.patience.subscribed == 2
    assert ready == pytest.approx([20.9])


async def test_a_client_that_leaves_again_is_waited_for(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay = replay_of(four, settle_seconds=0.5)
    port = join(replay, "/a", FakeClient())
    with trio.move_on_after(100) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replay.wait_for_clients)
            await trio.sleep(0.4)
            replay.engine.leave(replay.engine.hubs["fake"], port)
    assert scope.cancelled_caught


@pytest.mark.parametrize("speed", [None, 1.0])
async def test_it_waits_for_a_slow_client(
    four: Path,
    speed: float | None,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    replay, slow = replay_of(four, speed=speed, stall_seconds=1000), FakeClient(is_slow=True)
    join(replay, "/a", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        await trio.sleep(100)
        assert slow.texts == ["a 0"]
        slow.drained.set()
    assert slow.texts == ["a 0", "a 2", "a 3"]
    warned = ["client /a is slow: the replay waits for it"]
    assert caplog.messages == ([] if speed is None else warned)  # at full speed that is the point


async def leave_when_closed(replay: Replay, port: Any) -> None:
    with port.scope:
        await trio.sleep_forever()
    replay.engine.leave(replay.engine.hubs["fake"], port)


async def test_who_reads_nothing_for_too_long_is_closed_and_reported(
    four: Path, autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    replay, dead, alive = replay_of(four, speed=None), FakeClient(is_slow=True), FakeClient()
    port = join(replay, "/a", dead)
    join(replay, "/a,b", alive)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave_when_closed, replay, port)
        began = trio.current_time()
        await replay.play()
        assert trio.current_time() - began == pytest.approx(60)
    assert alive.texts == ["a 0", "b 1", "a 2", "a 3"]
    assert port.close == (1008, "stalled: read nothing for 60 s")
    assert replay.patience.stalled == ["/a"]
    assert caplog.messages == ["client /a is closed: stalled: read nothing for 60 s"]


async def test_who_reads_a_little_is_waited_for(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, slow = replay_of(four, speed=None), FakeClient(is_slow=True)
    port = join(replay, "/a", slow)
    slow._pending = 100
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.patience.drain, port)
        for _ in range(10):
            await trio.sleep(50)
            slow._pending -= 1
        assert replay.patience.stalled == []
        await trio.sleep(200)
        assert replay.patience.stalled == ["/a"]


# --- lockstep ----------------------------------------------------------------------------------


class Reacting(FakeClient):
    """Says something when it has this message, as it answers the ``at``-th ping behind it."""

    def __init__(self, wanted: str, at: int) -> None:
        super().__init__()
        self.replay: Replay
        self._wanted = wanted
        self._at = at
        self._pings = 0

    async def ping(self) -> None:
        await trio.sleep(0.1)
        if self.texts[-1:] == [self._wanted]:
            self._pings += 1
            if self._pings == self._at:
                say(self.replay, self.replay.engine.ports[1], "+b")


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_in_lockstep_what_a_client_says_takes_effect_at_once(
    four: Path, at: int, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(four, speed=None, lockstep=True), Reacting("a 0", at)
    client.replay = replay
    join(replay, "/a", client)
    await replay.play()
    assert client.texts == ["a 0", "ok +b: a,b", "b 1", "a 2", "a 3"]


async def test_in_lockstep_who_answers_no_ping_is_closed(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    class Mute(FakeClient):
        async def ping(self) -> None:
            await trio.sleep_forever()

    replay = replay_of(four, speed=None, lockstep=True)
    port = join(replay, "/a", Mute())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave_when_closed, replay, port)
        await replay.play()
    assert port.close == (1008, "stalled: answered no ping for 60 s")


async def test_in_lockstep_who_leaves_is_not_waited_for(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    class Leaving(FakeClient):
        async def ping(self) -> None:
            self.gone.set()
            await trio.sleep_forever()

    replay = replay_of(four, speed=None, lockstep=True)
    join(replay, "/a", Leaving())
    began = trio.current_time()
    await replay.play()
    assert trio.current_time() == began
