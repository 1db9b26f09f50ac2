from __future__ import annotations

import time

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
