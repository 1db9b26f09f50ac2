"""When things are due: at any pace, paused, step by step, and never early."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.errors import ConfigError
from wsproxy.replay.clock import Clock, parse_speed

SECOND = 1_000_000_000
HOUR = 3600 * SECOND


def started(speed: float | None, now_ns: int = 100 * SECOND) -> Clock:
    clock = Clock(speed)
    clock.start(now_ns)
    return clock


@pytest.mark.parametrize(("speed", "after"), [(1.0, SECOND), (4.0, SECOND // 4), (0.5, 2 * SECOND)])
def test_due_times_follow_the_speed(speed: float, after: int) -> None:
    clock = started(speed)
    assert clock.due_ns(SECOND) == 100 * SECOND + after
    assert clock.position(100 * SECOND + after) == SECOND


def test_as_fast_as_possible_everything_is_due() -> None:
    clock = started(None)
    assert clock.is_free
    assert clock.due_ns(HOUR) == 100 * SECOND
    clock.reach(HOUR)
    assert clock.position(101 * SECOND) == HOUR


def test_paused_nothing_is_due_but_what_was_stepped_to() -> None:
    clock = started(1.0)
    clock.pause(102 * SECOND)
    assert clock.due_ns(1 * SECOND) is None
    assert clock.position(200 * SECOND) == 2 * SECOND
    clock.step(200 * SECOND)
    assert clock.due_ns(7 * SECOND) == 200 * SECOND
    clock.reach(7 * SECOND)
    assert clock.due_ns(8 * SECOND) is None
    assert clock.position(300 * SECOND) == 7 * SECOND
    clock.resume(300 * SECOND)
    assert clock.due_ns(8 * SECOND) == 301 * SECOND


def test_steps_add_up_and_end_when_it_goes_on() -> None:
    clock = started(1.0)
    clock.step(100 * SECOND)
    clock.step(100 * SECOND)
    clock.reach(1)
    assert clock.due_ns(2) is not None
    clock.resume(100 * SECOND)
    clock.pause(100 * SECOND)
    assert clock.due_ns(3) is None


def test_it_changes_pace_where_it_is() -> None:
    clock = started(1.0)
    clock.set_speed(10.0, 110 * SECOND)
    assert clock.position(110 * SECOND) == 10 * SECOND
    assert clock.due_ns(20 * SECOND) == 111 * SECOND
    clock.set_speed(None, 111 * SECOND)
    clock.reach(50 * SECOND)
    clock.set_speed(1.0, 112 * SECOND)
    assert clock.due_ns(51 * SECOND) == 113 * SECOND


@given(
    positions=st.lists(st.integers(0, 24 * HOUR), min_size=1, max_size=20),
    speed=st.floats(0.01, 1000),
    now_ns=st.integers(0, 10**15),
)
def test_never_early_and_no_drift(positions: list[int], speed: float, now_ns: int) -> None:
    """After any time the error is that of one rounding, not the sum of many."""
    clock = started(speed, now_ns)
    for position in positions:
        due_ns = clock.due_ns(position)
        assert due_ns is not None
        exact = now_ns + Fraction(position) / Fraction(speed)
        assert -2 <= due_ns - exact <= 2


@given(pauses=st.lists(st.integers(1, HOUR), max_size=20))
def test_pauses_cost_their_time_and_no_more(pauses: list[int]) -> None:
    clock, now_ns = started(1.0, 0), 0
    for pause in pauses:
        now_ns += 7
        clock.pause(now_ns)
        now_ns += pause
        clock.resume(now_ns)
    assert clock.due_ns(HOUR) == HOUR + sum(pauses)


@pytest.mark.parametrize(("text", "speed"), [("max", None), ("1", 1.0), ("7.3", 7.3)])
def test_a_speed(text: str, speed: float | None) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", ""])
def test_a_speed_that_cannot_be(text: str) -> None:
    with pytest.raises(ConfigError, match="write a number above 0, or max"):
        parse_speed(text)
