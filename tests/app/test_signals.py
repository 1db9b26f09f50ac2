from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from wsproxy.app.signals import on_hangup, on_stop

STOPS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers are as before, whatever a test does."""
    before = {number: signal.getsignal(number) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", STOPS, ids=lambda number: number.name)
async def test_the_first_signal_is_named_and_the_second_one_kills(
    nursery: trio.Nursery, number: signal.Signals
) -> None:
    names: list[str] = []

    done = trio.Event()

    async def wait() -> None:
        await on_stop(names.append)
        done.set()

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    assert all(signal.getsignal(one) is not signal.SIG_DFL for one in STOPS)
    signal.raise_signal(number)
    with trio.fail_after(10):
        await done.wait()
    assert names == [number.name]
    assert all(signal.getsignal(one) is signal.SIG_DFL for one in STOPS)


async def test_a_hangup_is_not_the_end(nursery: trio.Nursery) -> None:
    sent, got = trio.open_memory_channel[None](2)
    nursery.start_soon(on_hangup, lambda: sent.send_nowait(None))
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(2):
        signal.raise_signal(signal.SIGHUP)
        with trio.fail_after(10):
            await got.receive()
    sent.close()
    got.close()


async def test_while_nobody_waits_signals_are_as_before() -> None:
    before = [signal.getsignal(number) for number in STOPS]
    with trio.CancelScope() as scope:
        scope.cancel()
        await on_stop(lambda name: None)
    assert [signal.getsignal(number) for number in STOPS] == before
