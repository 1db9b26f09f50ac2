from __future__ import annotations

import pytest

from wsproxy.replay.health.words import percent, some, span


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 µs"),
        (1_500, "1.5 µs"),
        (350_000_000, "350 ms"),
        (-1_270_000_000, "-1.27 s"),
        (119_900_000_000, "120 s"),
        (300_000_000_000, "5 min"),
        (3 * 3600 * 10**9, "3 h"),
    ],
)
def test_spans(ns: int, text: str) -> None:
    assert span(ns) == text


def test_more_digits() -> None:
    assert span(1_234_567_890, digits=5) == "1.2346 s"


@pytest.mark.parametrize(
    ("share", "text"),
    [(1, "100%"), (0.99999, "99.99%"), (0.95, "95%"), (0.000123, "0.012%"), (0, "0%")],
)
def test_shares(share: float, text: str) -> None:
    assert percent(share) == text


def test_numbers_of_things() -> None:
    assert [some(count, "gap", "gaps") for count in (0, 1, 1234)] == [
        "0 gaps",
        "1 gap",
        "1,234 gaps",
    ]
