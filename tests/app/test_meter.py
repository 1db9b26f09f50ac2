from __future__ import annotations

from wsproxy.app.meter import Meter

SECOND = 1_000_000_000


def test_without_samples_there_is_no_rate() -> None:
    assert Meter().rate("a", 5, SECOND) is None


def test_a_sample_of_this_moment_says_nothing_yet() -> None:
    meter = Meter()
    meter.sample({"a": 5}, SECOND)
    assert meter.rate("a", 5, SECOND) is None


def test_what_was_not_counted_then_has_no_rate() -> None:
    meter = Meter()
    meter.sample({"a": 5}, 0)
    assert meter.rate("b", 5, SECOND) is None


def test_the_rate_is_since_the_oldest_sample_that_is_kept() -> None:
    meter = Meter()
    for second in range(20):
        meter.sample({"a": second * second}, second * SECOND)
    assert meter.rate("a", 19 * 19 + 100, 20 * SECOND) == (361 + 100 - 15 * 15) / 5
