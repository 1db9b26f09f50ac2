from __future__ import annotations

import time

import pytest
import trio
import trio.testing

from wsproxy.app import clock


def test_both_clocks_are_read() -> None:
    wall, mono = time.time_ns(), time.monotonic_ns()

    now = clock.now()

    assert wall <= now.wall_ns <= time.time_ns()
    assert mono <= now.mono_ns <= time.monotonic_ns()


def test_one_clock_is_told_by_the_other() -> None:
    before = clock.now()
    offset_ns, error_ns = clock.monotonic_offset()
    after = clock.now()
    assert error_ns >= 0
    assert before.mono_ns - after.wall_ns <= offset_ns <= after.mono_ns - before.wall_ns


@pytest.mark.parametrize("ns", [0, 1, 123_456_789, 10**9 // 3, 987_654_321_123])
async def test_the_loop_is_not_woken_too_early(
    ns: int, autojump_clock: trio.testing.MockClock
) -> None:
    due_ns = clock.loop_ns() + ns
    await trio.sleep_until(clock.loop_seconds(due_ns))
    assert due_ns <= clock.loop_ns() <= due_ns + 1_000_000
