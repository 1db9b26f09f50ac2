from __future__ import annotations

from tests.kit.exchange_gate import Gate, Refusal
from tests.kit.peer import Limit


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_attempts_above_the_limit_are_told_how_long_to_wait() -> None:
    time = Time()
    gate = Gate(Limit(2, 10.0), None, time)
    assert gate.knock(0) is None
    time.now = 4.0
    assert gate.knock(1) is None
    time.now = 5.0
    # The refused attempt counts too: the window is free again when the one at 4.0 has left it.
    assert gate.knock(2) == Refusal(429, "more than 2 attempts", 9)
    time.now = 14.0
    assert gate.knock(2) is None
    assert gate.violations == ["more than 2 attempts"]
    assert gate.refused == [429]


def test_the_cap_counts_what_is_open() -> None:
    gate = Gate(Limit(100, 1.0), 2, Time())
    assert gate.knock(1) is None
    assert gate.knock(2) == Refusal(429, "more than 2 connections at once", 1)
    assert gate.knock(1) is None
    assert gate.violations == ["more than 2 connections at once"]


def test_refused_as_told_is_no_violation() -> None:
    gate = Gate(Limit(100, 1.0), None, Time())
    gate.refuse_next(503, 1)
    gate.refuse_next(404, 1)
    assert gate.knock(0) == Refusal(503, "not now", 1)
    assert gate.knock(0) == Refusal(404, "not now", None)
    assert gate.knock(0) is None
    assert gate.refused == [503, 404]
    assert gate.violations == []


def test_who_comes_back_during_a_ban_errs() -> None:
    time = Time()
    gate = Gate(Limit(100, 1.0), None, time)
    gate.ban(10, status=429)
    time.now = 2.0
    assert gate.knock(0) == Refusal(429, "banned", 8)
    time.now = 2.3
    assert gate.knock(0) == Refusal(429, "banned", 8)  # it may have been under way
    assert gate.violations == []
    time.now = 6.0
    assert gate.knock(0) == Refusal(429, "banned", 4)
    assert gate.violations == ["came back 4.0 s before the end of a ban"]
    time.now = 10.0
    assert gate.knock(0) is None


def test_violations_lead_to_a_ban() -> None:
    time = Time()
    gate = Gate(Limit(100, 1.0), None, time, ban_after=2, ban_s=30)
    gate.violated("one")
    assert gate.knock(0) is None
    gate.violated("two")
    assert gate.knock(0) == Refusal(418, "banned", 30)
    time.now = 30.0
    assert gate.knock(0) is None
    gate.violated("three")
    assert gate.knock(0) is None
