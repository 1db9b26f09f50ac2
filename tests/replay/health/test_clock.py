from __future__ import annotations

from wsproxy.replay.health.clock import Clock, Comparison


def test_a_clock_that_keeps_pace() -> None:
    clock = Clock()
    for at in range(3):
        clock.record(1_000 + at, at)
    assert (clock.drift, clock.spread, clock.step, clock.step_at) == (0, 0, 0, None)


def test_drift_steps_and_spread() -> None:
    clock = Clock()
    for wall, mono in [(1_000, 0), (1_012, 10), (992, 20), (1_007, 30)]:
        clock.record(wall, mono)
    assert (clock.drift, clock.spread) == (-23, 30)
    assert (clock.step, clock.step_at) == (-30, 992)


def test_the_comparison_that_differs_most_for_certain() -> None:
    clock = Clock()
    assert clock.worst is None
    for offset, error in [(50, 10), (-100, 80), (45, None)]:
        clock.compared(Comparison("ntp", offset, error))
    assert clock.comparisons == 3
    assert clock.worst == Comparison("ntp", 45, None)
    assert Comparison("ntp", 5, 8).certain == 0
