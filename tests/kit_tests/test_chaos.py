from __future__ import annotations

import pytest

from tests.kit.chaos import Gap, Item, Witness, is_flat, judge, schedule

SECOND = 1_000_000_000
KINDS = ("close", "abort", "freeze")


def witness(*numbers: int, gaps: tuple[Gap, ...] = ()) -> Witness:
    """Message n was recorded in second n."""
    found = Witness(
        gaps=[Gap(gap.since_ns * SECOND, gap.until_ns * SECOND, gap.missed) for gap in gaps]
    )
    for number in numbers:
        found.saw(Item("s", number), number * SECOND)
    return found


def items(*numbers: int) -> list[Item]:
    return [Item("s", number) for number in numbers]


def test_a_schedule_is_its_seeds() -> None:
    faults = schedule(1, 600, KINDS, 3)
    assert faults == schedule(1, 600, KINDS, 3)
    assert faults != schedule(2, 600, KINDS, 3)
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert 0 < faults[0].at < faults[-1].at < 600
    assert 150 < len(faults) < 260
    for start in range(0, len(faults) - 3, 3):
        assert {fault.kind for fault in faults[start : start + 3]} == set(KINDS)


GAP = (Gap(3, 3, None),)


@pytest.mark.parametrize(
    ("came", "seen", "complaint"),
    [
        ([], witness(1, 2), ""),
        ([1, 2, 3], witness(1, 2, 3), ""),
        ([2, 3], witness(1, 2, 3, 4), ""),  # it joined later and left earlier
        ([1, 2, 2], witness(1, 2), "2 behind 2"),
        ([1, 3, 2], witness(1, 2, 3), "2 behind 3"),
        ([1, 3], witness(1, 2, 3), "a hole between 1 and 3 without a gap record, 1 were recorded"),
        ([1, 2, 5], witness(1, 2, 5, gaps=GAP), ""),
        ([1, 2, 5], witness(1, 2, 5), "a hole between 2 and 5 without a gap record, 0 were"),
        ([1, 2, 5], witness(1, 2, 5, gaps=(Gap(6, 7, None),)), "without a gap record"),
        ([1, 2, 5], witness(1, 2, 5, gaps=(Gap(1, 1, None),)), "without a gap record"),
        ([1, 2, 5], witness(1, 2, 5, gaps=(Gap(1, 3, None),)), ""),
        ([1, 2, 5], witness(1, 2, 5, gaps=(Gap(2, 5, 2),)), ""),
        ([1, 2, 5], witness(1, 2, 5, gaps=(Gap(2, 5, 1),)), "2 missing behind 2, the gap"),
        ([1, 9], witness(1, 2, gaps=GAP), "without a gap record"),  # 9 was never recorded
    ],
)
def test_the_judgement(came: list[int], seen: Witness, complaint: str) -> None:
    found = list(judge(items(*came), seen, holes_allowed=True))
    assert bool(found) == bool(complaint)
    assert any(complaint in wrong for wrong in found) or not complaint


def test_where_no_hole_is_allowed_a_gap_record_does_not_help() -> None:
    seen = witness(1, 2, 5, 6, gaps=GAP)
    (found,) = judge(items(1, 2, 5, 6), seen, holes_allowed=False)
    assert found == "a hole between 2 and 5 that closed nobody's connection"
    assert list(judge(items(1, 2, 5), seen, holes_allowed=False)) == []  # it was closed then
    assert list(judge(items(1, 2, 5), witness(1, 2, 5), holes_allowed=False))


def test_each_hole_looks_for_its_own_gap_record() -> None:
    seen = witness(1, 3, 6, gaps=(Gap(1, 3, 1), Gap(3, 6, 2)))
    assert list(judge(items(1, 3, 6), seen, holes_allowed=True)) == []


def test_what_the_venue_sent_twice_may_come_twice_and_once_only() -> None:
    seen = witness(1, 2, 3)
    twice = frozenset({2})
    assert list(judge(items(1, 2, 2, 3), seen, holes_allowed=True, doubled=twice)) == []
    assert list(judge(items(1, 2, 3), seen, holes_allowed=True, doubled=twice)) == []
    assert list(judge(items(1, 2, 2, 2, 3), seen, holes_allowed=True, doubled=twice))
    assert list(judge(items(1, 2, 3, 2), seen, holes_allowed=True, doubled=twice))


def test_a_snapshot_stands_for_all_before_it() -> None:
    seen = witness(1, 2, 3, 6)
    seen.saw(Item("s", 5, is_snapshot=True), 5 * SECOND)
    seen.gaps.append(Gap(4 * SECOND, 4 * SECOND, None))
    snapshot = Item("s", 5, is_snapshot=True)
    assert list(judge([*items(3), snapshot, *items(6)], seen, holes_allowed=True)) == []
    assert list(judge([*items(6), snapshot], seen, holes_allowed=True))
    joined_late = [Item("s", 3, is_snapshot=True), *items(5)]
    assert list(judge(joined_late, witness(1, 2, 3, 4, 5), holes_allowed=True))


def test_memory_is_judged_by_thirds() -> None:
    assert is_flat([], 1.1, 0)
    assert is_flat([100, 100, 100, 105, 90, 109], 1.1, 0)
    assert is_flat([100, 101, 100, 100, 900, 100, 100, 100, 100], 1.1, 0)
    assert not is_flat([100, 100, 110, 110, 120, 120], 1.1, 0)
    assert is_flat([100, 100, 110, 110, 120, 120], 1.1, 10)
