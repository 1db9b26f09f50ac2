from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsproxy.replay.health.cover import Cover

SECOND = 10**9


def _cover() -> Cover:
    return Cover(lambda start, end: None)


def test_a_stream_that_was_there_all_the_time() -> None:
    cover = _cover()
    cover.ask(5)
    cover.carry(1, 10)
    cover.finish(110)
    assert (cover.wanted, cover.missing, cover.missing_share) == (100, 0, 0)


def test_a_disconnect_lasts_until_another_connection_carries_it() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.drop(1, 40, by_us=False)
    cover.carry(2, 45)
    cover.finish(100)
    assert (cover.wanted, cover.missing, cover.disconnects) == (100, 5, 1)


def test_while_another_connection_carries_it_nothing_is_missing() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.carry(2, 39)
    cover.drop(1, 40, by_us=False)
    cover.drop(7, 41, by_us=False)
    cover.finish(100)
    assert (cover.missing, cover.disconnects) == (0, 0)


def test_what_is_down_at_the_end_is_missing() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.drop(1, 40, by_us=False)
    cover.finish(100)
    assert cover.missing == 60


def test_the_recorder_says_farewell() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.drop(1, 9 * SECOND, by_us=True)
    cover.finish(10 * SECOND)
    assert (cover.wanted, cover.missing, cover.disconnects) == (9 * SECOND, 0, 0)


def test_what_the_recorder_closes_earlier_is_missing() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.drop(1, 9 * SECOND, by_us=True)
    cover.finish(10 * SECOND + 1)
    assert (cover.missing, cover.disconnects) == (SECOND + 1, 1)


def test_what_was_never_granted_is_missing() -> None:
    cover = _cover()
    cover.ask(20)
    cover.ask(30)
    cover.finish(100)
    assert (cover.wanted, cover.missing_share) == (80, 1)


def test_what_was_refused_is_not_missing() -> None:
    cover = _cover()
    cover.ask(20)
    cover.give_up(1, 30)
    cover.finish(100)
    assert (cover.wanted, cover.missing_share) == (0, None)


def test_what_was_given_up_is_not_missing() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.give_up(1, 10)
    cover.hole(12, 15)
    assert cover.is_late(1)
    cover.carry(1, 50)
    assert not cover.is_late(1)
    cover.finish(100)
    assert (cover.wanted, cover.missing) == (60, 0)


def test_moving_to_another_connection_is_not_giving_up() -> None:
    cover = _cover()
    cover.carry(1, 0)
    cover.ask(5)
    cover.carry(2, 10)
    cover.give_up(1, 11)
    cover.finish(100)
    assert (cover.wanted, cover.missing) == (100, 0)


def test_a_hole_before_it_was_wanted_is_none() -> None:
    cover = _cover()
    cover.hole(0, 5)
    cover.carry(1, 10)
    cover.hole(5, 15)
    cover.hole(20, 20)
    cover.finish(100)
    assert cover.missing == 5


_spans = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 50)), max_size=60)


@given(_spans)
def test_holes_that_overlap_count_once(spans: list[tuple[int, int]]) -> None:
    cover = _cover()
    cover.carry(1, 0)
    holes = sorted(((start, start + size) for start, size in spans), key=lambda hole: hole[1])
    for start, end in holes:
        cover.hole(start, end)
    cover.finish(300)
    assert cover.missing == len({at for start, end in holes for at in range(start, end)})


def test_memory_does_not_grow_with_the_holes() -> None:
    cover = _cover()
    cover.carry(1, 0)
    for start in range(0, 100_000, 10):
        cover.hole(start, start + 1)
    cover.finish(100_000)
    assert cover.missing == 10_000
    assert len(cover._holes) <= 64
