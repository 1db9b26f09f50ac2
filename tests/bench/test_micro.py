from __future__ import annotations

from tests.bench.micro import recording, splitting, spreading, starting


def test_the_parts_are_measured() -> None:
    rows = [*splitting(1), *spreading(1, times=1), *recording(1, times=1), *starting(1)]
    assert [len(row) for row in rows] == [3] * 13
    assert rows[1][1].endswith(" /s")
