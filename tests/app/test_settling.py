from __future__ import annotations

import pytest
import trio
import trio.testing

from tests.hub.fake_venue import FakeVenue
from wsproxy.app.settling import settle
from wsproxy.hub.hub import Hub


async def test_each_turn_does_a_little(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    hub, turns, due = Hub(FakeVenue()), 0, [3]
    done: list[int] = []

    def do_a_little() -> bool:
        if not due[0]:
            return False
        due[0] -= 1
        done.append(turns)
        return True

    monkeypatch.setattr(hub, "settle", do_a_little)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(settle, hub)
        for _ in range(8):
            turns += 1
            await trio.lowlevel.checkpoint()
        assert len(done) == 3
        assert len(set(done)) >= 2  # not all in one turn; who has it first is random
        await trio.sleep(1)
        due[0] = 2
        await trio.sleep(1)
        assert len(done) == 5
        nursery.cancel_scope.cancel()
