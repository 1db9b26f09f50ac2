from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.hub.plan import Load, place


@pytest.mark.parametrize(
    ("loads", "most", "chosen"),
    [
        ([], 3, None),
        ([Load("/", 3)], 3, None),
        ([Load("/", 3)], None, 0),
        ([Load("/x", 0)], 3, None),
        ([Load("/", 1), Load("/", 2), Load("/", 3)], 3, 1),
        ([Load("/x", 2), Load("/", 1), Load("/", 1)], 3, 1),
    ],
)
def test_the_fullest_with_room(loads: list[Load], most: int | None, chosen: int | None) -> None:
    assert place("/", loads, most) == chosen


@given(
    st.lists(st.builds(Load, st.sampled_from(["/", "/x"]), st.integers(0, 5))),
    st.integers(1, 5),
)
def test_never_over_the_limit_and_never_none_without_need(loads: list[Load], most: int) -> None:
    index = place("/", loads, most)
    free = [load for load in loads if load.endpoint == "/" and load.streams < most]
    if index is None:
        assert not free
    else:
        assert loads[index] in free
        assert loads[index].streams == max(load.streams for load in free)
