from __future__ import annotations

import gc
from contextlib import ExitStack
from weakref import ref

import trio
import trio.testing

from tests.app.support import FakeClient, Stage
from wsproxy.app.engine import Port
from wsproxy.app.pinging import Metronome, ping
from wsproxy.config import SECOND_NS
from wsproxy.errors import ConnectionEnded
from wsproxy.venues.profile import Pings

PINGS = Pings(every_ns=20 * SECOND_NS, patience_ns=60 * SECOND_NS)


class Pinged(FakeClient):
    """Answers at once, or after so many seconds; keeps when it was pinged."""

    def __init__(self, seconds: float = 0) -> None:
        super().__init__()
        self.at: list[float] = []
        self._seconds = seconds

    async def ping(self) -> None:
        self.at.append(trio.current_time() % 1000)
        await trio.sleep(self._seconds)


class Gone(Pinged):
    async def ping(self) -> None:
        await super().ping()
        raise ConnectionEnded(1006, "", "network")


async def test_each_is_pinged_at_its_own_times(autojump_clock: trio.testing.MockClock) -> None:
    stage, metronome = Stage(), Metronome(PINGS)
    began = trio.current_time() % 1000
    clients = [Pinged(), Pinged(), Pinged(5)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        with ExitStack() as inside:
            for client in clients:
                inside.enter_context(metronome.pinging(stage.join("/a", client)))
                await trio.sleep(7)
            await trio.sleep(50)
        await trio.sleep(100)  # they have left
        nursery.cancel_scope.cancel()
    assert [[round(at - began) for at in client.at] for client in clients] == [
        [20, 40, 60],
        [27, 47, 67],
        [34, 59],  # twenty seconds behind the pong
    ]


async def test_who_comes_while_nobody_is_there_is_pinged_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    metronome, client = Metronome(PINGS), Pinged()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        await trio.sleep(19)
        joined = trio.current_time() % 1000
        with metronome.pinging(Stage().join("/a", client)):
            await trio.sleep(25)
        nursery.cancel_scope.cancel()
    assert [round(at - joined) for at in client.at] == [20]


async def test_who_does_not_answer_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    port = Stage().join("/a", Pinged(61))
    await ping(PINGS, port)
    assert port.close == (1008, "Pong timeout")
    assert port.scope.cancel_called


async def test_who_left_is_not_blamed(autojump_clock: trio.testing.MockClock) -> None:
    port = Stage().join("/a", Gone())
    await ping(PINGS, port)
    assert port.close is None


async def test_who_leaves_while_it_owes_a_pong_is_forgotten(
    autojump_clock: trio.testing.MockClock,
) -> None:
    metronome = Metronome(PINGS)
    left: list[ref[Port]] = []

    async def visit() -> None:
        port = Stage().join("/a", Pinged(1000))
        left.append(ref(port))
        with metronome.pinging(port):
            await trio.sleep(30)
        assert port.close is None

    async with trio.open_nursery() as nursery:
        nursery.start_soon(metronome.run)
        await visit()
        await trio.sleep(1)
        gc.collect()
        assert left[0]() is None
        nursery.cancel_scope.cancel()
