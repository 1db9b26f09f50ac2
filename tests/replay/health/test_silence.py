from __future__ import annotations

from wsproxy.replay.health.silence import Silence, Wait

MS = 10**6
SECOND = 10**9


def _speaking(times: range) -> Silence:
    silence = Silence()
    silence.start(times.start)
    for at in times[1:]:
        silence.message(at)
    return silence


def test_the_longest_wait_and_the_usual_one() -> None:
    silence = _speaking(range(0, 200 * SECOND, 2 * SECOND))
    assert (silence.longest.length, silence.usual) == (2 * SECOND, None)  # 99 waits are too few
    silence.message(200 * SECOND)
    silence.stop(300 * SECOND)
    assert silence.longest == Wait(100 * SECOND, 200 * SECOND)
    assert silence.usual == 2 * SECOND
    assert silence.excess == 50


def test_what_is_usual_has_a_second_at_least() -> None:
    silence = _speaking(range(0, 101 * MS, MS))
    silence.stop(100 * MS + 7 * SECOND)
    assert silence.usual == MS
    assert silence.excess == 7


def test_the_wait_for_the_first_and_the_end() -> None:
    silence = Silence()
    silence.start(10)
    silence.start(15)
    silence.message(60)
    silence.stop(160)
    assert silence.longest == Wait(100, 60)
    silence.stop(1_000)
    assert silence.longest == Wait(100, 60)


def test_messages_that_come_together_are_one() -> None:
    silence = _speaking(range(0, 103 * SECOND, SECOND))
    for _ in range(100_000):
        silence.message(102 * SECOND)
    assert silence.usual is not None
    assert abs(silence.usual - SECOND) < SECOND / 100


def test_a_hole_is_no_silence_told_before_or_after() -> None:
    for told_first in (True, False):
        silence = Silence()
        silence.start(0)
        if told_first:
            silence.hole(30, 80)
        silence.message(100)
        if not told_first:
            silence.hole(30, 80)
        silence.stop(101)
        assert silence.longest == Wait(30, 0)


def test_a_hole_elsewhere_changes_nothing() -> None:
    silence = Silence()
    silence.start(0)
    silence.message(50)
    silence.message(60)
    silence.hole(52, 55)
    assert silence.longest == Wait(50, 0)


def test_a_stream_that_nobody_wants_is_not_silent() -> None:
    silence = Silence()
    silence.message(0)
    silence.message(500)
    silence.stop(900)
    assert silence.longest == Wait(0, 0)
