from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.hub.lines import Draft, Limit, Line, Rules, Want, choose_mirror

WANT = Want("c", "/", characters=3, group="g")


@pytest.mark.parametrize(
    ("line", "rules", "obstacle"),
    [
        (Line("/", 0), Rules(), None),
        (Line("/", 0, {"a", "b"}, 6), Rules(3, 9), None),
        (Line("/", 0, {"a", "b"}, 6), Rules(2, 9), Limit.STREAMS),
        (Line("/", 0, {"a", "b"}, 6), Rules(3, 8), Limit.CHARACTERS),
        (Line("/", 0, {"a", "b"}, 6, {"g"}), Rules(3, 9), Limit.GROUP),
        (Line("/", 0, {"a", "b"}, 6, {"h"}), Rules(3, 9), None),
    ],
)
def test_what_keeps_a_stream_from_a_line(line: Line, rules: Rules, obstacle: Limit | None) -> None:
    assert Draft(1, line, rules).obstacle(WANT) is obstacle


def test_a_draft_is_what_the_line_will_be() -> None:
    line = Line("/", 0, {"a"}, 3, {"g"})
    draft = Draft(1, line, Rules(2, 6))
    assert not draft.is_empty
    draft.change(Want("a", "/", characters=3, group="g"), -1)
    assert draft.is_empty
    assert draft.obstacle(WANT) is None
    draft.change(WANT, 1)
    assert draft.obstacle(Want("d", "/", characters=3)) is None
    assert draft.obstacle(Want("d", "/", characters=4)) is Limit.CHARACTERS
    assert draft.obstacle(Want("d", "/", group="g")) is Limit.GROUP
    assert line == Line("/", 0, {"a"}, 3, {"g"})


def test_a_keepalive_counts_but_does_not_keep_a_line() -> None:
    draft = Draft(1, Line("/", 0, {"k"}), Rules(2, keepalive="k"))
    assert draft.is_empty
    draft.change(WANT, 1)
    assert not draft.is_empty
    assert draft.obstacle(Want("d", "/")) is Limit.STREAMS
    assert not Draft(1, Line("/", 0, {"a"}), Rules(keepalive="k")).is_empty


@pytest.mark.parametrize(
    ("weights", "lines_on", "avoided", "mirror"),
    [
        ([1], {0: 5}, {0}, 0),
        ([1, 1], {}, (), 0),
        ([1, 1], {0: 1}, (), 1),
        ([1, 1], {}, {0}, 1),
        ([2, 1], {0: 1}, (), 0),
        ([2, 1], {0: 2}, (), 1),
        ([0, 1], {1: 9}, (), 1),
        ([0, 1], {1: 9}, {1}, 1),
        ([0, 0], {0: 1}, (), 1),
    ],
)
def test_the_mirror_for_a_new_line(
    weights: list[float], lines_on: dict[int, int], avoided: set[int], mirror: int
) -> None:
    assert choose_mirror(weights, lines_on, avoided) == mirror


@given(st.lists(st.integers(0, 5), min_size=1).filter(any))
def test_mirrors_get_lines_by_their_weights(weights: list[int]) -> None:
    lines_on: Counter[int] = Counter()
    for _ in range(3 * sum(weights)):
        lines_on[choose_mirror(weights, lines_on, ())] += 1
    assert [lines_on[mirror] for mirror in range(len(weights))] == [3 * each for each in weights]
