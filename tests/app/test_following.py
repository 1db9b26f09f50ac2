"""Sleeping on the time of a replay: at any pace, and on either kind of loop."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.app.admin import Routes, admin_listening, serve_admin
from wsproxy.app.following import Reading, ReplayClock, follow
from wsproxy.errors import ConfigError, WsproxyError


@dataclass
class FakeReplay:
    """Goes from its beginning, at this speed, since it was made."""

    speed: float | None = 1
    paused: bool = False
    over: bool = False
    looks: int = 0

    def __post_init__(self) -> None:
        self.began = trio.current_time()
        self.ahead = 0.0

    def read(self) -> Reading:
        self.looks += 1
        passed = 0 if self.paused else (trio.current_time() - self.began) * (self.speed or 1000)
        now_ns = WALL_NS + round((passed + self.ahead) * SECOND)
        return Reading(now_ns, WALL_NS, self.speed, self.paused, self.over)


@pytest.mark.parametrize(("speed", "seconds"), [(1, 30.0), (20, 1.5), (0.5, 60.0), (None, 0.03)])
async def test_sleepers_wake_at_their_time(
    speed: float | None, seconds: float, autojump_clock: trio.testing.MockClock
) -> None:
    replay = FakeReplay(speed)
    clock = ReplayClock(replay.read)
    await clock.sleep_until("+30s")
    assert trio.current_time() - replay.began == pytest.approx(seconds)
    assert clock.now() == pytest.approx(WALL_NS + 30 * SECOND, abs=1000)


async def test_what_has_passed_is_not_waited_for() -> None:
    replay = FakeReplay(paused=True)
    await ReplayClock(replay.read).sleep_until(WALL_NS)
    assert replay.looks == 1


async def test_a_seek_and_a_change_of_pace_are_noticed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    replay = FakeReplay(speed=0.001)
    woken: list[float] = []

    async def sleep() -> None:
        await ReplayClock(replay.read).sleep_until("+1h")
        woken.append(trio.current_time() - replay.began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        await trio.sleep(10)
        replay.ahead = 3600
    assert woken == [pytest.approx(10, abs=0.25)]


async def test_a_replay_that_is_over_wakes_nobody(autojump_clock: trio.testing.MockClock) -> None:
    replay = FakeReplay(paused=True)

    async def sleep() -> None:
        with pytest.raises(WsproxyError, match=r"it ends before 2023-11-14T22:13:25\.0{9}Z"):
            await ReplayClock(replay.read).sleep_until("+5s")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sleep)
        await trio.sleep(1)
        replay.over = True


def test_on_asyncio() -> None:
    readings = iter([Reading(WALL_NS + at, WALL_NS, 1000.0, False) for at in (0, 1, 2, SECOND)])
    asyncio.run(ReplayClock(lambda: next(readings)).sleep_until("+1s"))
    assert list(readings) == []


async def test_a_running_replay_is_asked(tmp_path: Path, nursery: trio.Nursery) -> None:
    admin = tmp_path / "admin.sock"
    here: dict[str, object] = {
        "now_ns": 7,
        "first_ns": 5,
        "speed": None,
        "paused": False,
        "clients": [],
    }
    routes: Routes = {("GET", "/replay"): lambda _: here}
    async with admin_listening(admin, 1) as listeners:
        nursery.start_soon(serve_admin, listeners, routes)
        assert await trio.to_thread.run_sync(follow(admin).now) == 7
        assert await trio.to_thread.run_sync(follow(str(admin)).now) == 7
        del here["now_ns"]
        with pytest.raises(WsproxyError, match="is no replay"):
            await trio.to_thread.run_sync(follow(admin).now)
        nursery.cancel_scope.cancel()


def test_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(WsproxyError, match="no wsproxy answers"):
        follow(tmp_path / "none.sock").now()


@pytest.mark.parametrize("admin", ["auto", "off", "here"])
def test_what_is_no_admin_address(admin: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        follow(admin)
