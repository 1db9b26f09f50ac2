from __future__ import annotations

import time

from wsproxy.app import clock


def test_both_clocks_are_read() -> None:
    wall, mono = time.time_ns(), time.monotonic_ns()

    now = clock.now()

    assert wall <= now.wall_ns <= time.time_ns()
    assert mono <= now.mono_ns <= time.monotonic_ns()
