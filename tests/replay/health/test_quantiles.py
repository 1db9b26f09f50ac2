from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.replay.health.quantiles import Quantiles

_numbers = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=200)


def _of(values: list[int]) -> Quantiles:
    quantiles = Quantiles()
    for value in values:
        quantiles.add(value)
    return quantiles


def test_of_nothing_there_are_none() -> None:
    assert Quantiles().quantile(0.5) is None


@pytest.mark.parametrize(
    ("share", "value"),
    [(0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.999, 100), (1, 100)],
)
def test_small_numbers_are_exact(share: float, value: int) -> None:
    assert _of(list(range(100, 0, -1))).quantile(share) == value


@given(_numbers, st.floats(0, 1))
def test_a_quantile_is_off_by_less_than_a_hundredth(values: list[int], share: float) -> None:
    exact = sorted(values)[max(1, ceil(share * len(values))) - 1]
    found = _of(values).quantile(share)
    assert found is not None
    assert abs(found - exact) <= abs(exact) * 0.0079


@given(_numbers, _numbers)
def test_merging_is_counting_both(one: list[int], other: list[int]) -> None:
    merged, together = _of(one), _of(one + other)
    merged.merge(_of(other))
    merged.merge(Quantiles())
    shares = (0, 0.25, 0.5, 0.99, 1)
    assert [merged.quantile(share) for share in shares] == [
        together.quantile(share) for share in shares
    ]
    assert (merged.count, merged.smallest, merged.largest) == (
        len(one + other),
        min(one + other),
        max(one + other),
    )


def test_memory_does_not_grow_with_the_count() -> None:
    quantiles = Quantiles()
    for value in range(1_000_000, 2_000_000, 7):
        quantiles.add(value)
    assert quantiles.count > 100_000
    assert len(quantiles._counts) <= 128
