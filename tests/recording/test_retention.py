from __future__ import annotations

from pathlib import Path

import pytest

from wsproxy.recording.retention import Finished, Retention

PARTS = [Finished(Path(f"{n}"), n, 100, 10 * n, 10, n * 10**9) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (Retention(), []),
        (Retention(bytes=350), []),
        (Retention(bytes=349), [1]),
        (Retention(bytes=250), [1]),
        (Retention(bytes=1), [1, 2, 3]),
        (Retention(age_ns=9 * 10**9), []),
        (Retention(age_ns=8 * 10**9), [1]),
        (Retention(age_ns=0), [1, 2, 3]),
        (Retention(free_bytes=1000), []),
        (Retention(free_bytes=1001), [1]),
        (Retention(free_bytes=1200), [1, 2]),
        (Retention(bytes=250, age_ns=7 * 10**9), [1, 2]),
    ],
)
def test_the_oldest_go_first_and_no_more_than_needed(retention: Retention, gone: list[int]) -> None:
    surplus = list(retention.surplus(PARTS, open_bytes=50, wall_ns=10 * 10**9 - 1, free_bytes=1000))
    assert [found.part.part for found in surplus] == gone
    assert all(found.why for found in surplus)
