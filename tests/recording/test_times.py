from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.errors import ConfigError
from wsproxy.recording.times import Moment, iso, moment

FIRST = 1_700_000_000_000_000_000
AT = 1_723_161_600_000_000_000  # 2024-08-09T00:00:00Z


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, 5),
        (str(AT + 1), AT + 1),
        ("2024-08-09", AT),
        ("20240809", AT),
        ("2024-08-09T00:00:00", AT),
        ("2024-08-09T00:00:00Z", AT),
        ("2024-08-09 02:00+02:00", AT),
        ("2024-08-09T00:00:00.5Z", AT + 500_000_000),
        ("2024-08-09T00:00:00.123456789", AT + 123_456_789),
        (" 2024-08-08T19:00:00,000000001-05:00 ", AT + 1),
        (datetime(2024, 8, 9), AT),
        (datetime(2024, 8, 9, 0, 0, 0, 7, tzinfo=UTC), AT + 7000),
        (datetime(2024, 8, 9, 3, tzinfo=timezone(timedelta(hours=3))), AT),
        (timedelta(minutes=1, microseconds=1), FIRST + 60_000_001_000),
        ("+0s", FIRST),
        ("+1.5s", FIRST + 1_500_000_000),
        ("+250ms", FIRST + 250_000_000),
        ("+3us", FIRST + 3000),
        ("+9ns", FIRST + 9),
        ("+2m", FIRST + 120 * 10**9),
        ("+0.5h", FIRST + 1800 * 10**9),
    ],
)
def test_a_moment_is_understood(value: Moment, expected: int) -> None:
    assert moment(value, FIRST) == expected


def test_what_is_counted_back_from_the_end() -> None:
    assert moment("-1.5s", FIRST, AT) == AT - 1_500_000_000
    assert moment("-10m", FIRST, AT) == AT - 600 * 10**9
    with pytest.raises(ConfigError, match="is not a time"):
        moment("-1s", FIRST)


@pytest.mark.parametrize(
    "value",
    ["", "noon", "1.5", "+", "+1", "+1d", "-1s", "12345", "2024-13-01", "²" * 16, 1.5, True, None],
)
def test_what_is_no_moment_is_refused_with_an_example(value: Moment) -> None:
    with pytest.raises(ConfigError, match=r"is not a time: write 2024-08-09T12:00:00Z"):
        moment(value, FIRST)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_a_datetime_and_its_text_are_the_same_moment(value: datetime) -> None:
    assert moment(value, 0) == moment(value.isoformat(), 0) == moment(f"{value}Z", 0)


@given(st.integers(0, 7_000_000_000_000_000_000))
def test_iso_writes_what_moment_reads(time_ns: int) -> None:
    assert moment(iso(time_ns), 0) == time_ns
