"""Clients of a replay are pinged as their venue would ping them, in replayed time."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.replay_support import A, join, replay_of, use_fake_venue
from tests.app.support import FakeClient, make_recording
from tests.hub.fake_venue import SECOND, FakeVenue
from wsproxy.app import replaying
from wsproxy.venues.profile import Pings


class Pinged(FakeClient):
    def __init__(self, *, answers: bool = True) -> None:
        super().__init__()
        self.pings: list[float] = []
        self._answers = answers

    async def ping(self) -> None:
        self.pings.append(trio.current_time())
        if not self._answers:
            await trio.sleep_forever()


@pytest.fixture(autouse=True)
def pinging_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    pings = Pings(every_ns=20 * SECOND, patience_ns=60 * SECOND)
    monkeypatch.setattr(replaying, "venue", lambda name: FakeVenue(name=name, pings=pings))


@pytest.fixture
def quiet(tmp_path: Path) -> Path:
    """Two messages, a hundred seconds apart."""
    return make_recording(tmp_path / "quiet", (0, "a 0", A), (100, "a 1", A))


@pytest.mark.parametrize("speed", [1.0, 10.0])
async def test_pings_keep_replayed_time(
    quiet: Path, speed: float, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(quiet, speed=speed), Pinged()
    join(replay, "/a", client)
    began = trio.current_time()
    await replay.play()
    assert [at - began for at in client.pings] == pytest.approx(
        [at / speed for at in (20, 40, 60, 80, 100)]
    )


async def test_who_still_owes_a_pong_gets_no_other_ping(
    quiet: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(quiet, speed=10.0), Pinged(answers=False)
    port = join(replay, "/a", client)
    await replay.play()
    assert len(client.pings) == 1
    assert port.close is None


async def test_who_never_answers_is_closed(
    quiet: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(quiet), Pinged(answers=False)
    port = join(replay, "/a", client)
    await replay.play()
    assert port.close == (1008, "Pong timeout")


async def test_a_venue_that_pings_nobody(
    quiet: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    use_fake_venue(monkeypatch)
    replay, client = replay_of(quiet), Pinged()
    join(replay, "/a", client)
    await replay.play()
    assert client.pings == []
