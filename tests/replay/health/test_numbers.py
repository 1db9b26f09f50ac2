from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsproxy.replay.health.numbers import ConnectionNumbers, StreamNumbers
from wsproxy.venues.base import Span


def _feed(numbers: StreamNumbers, connection: int, *spans: tuple[int, int]) -> None:
    for first, last in spans:
        numbers.feed(connection, Span(first, last, gapless=True))


def _said(numbers: StreamNumbers | ConnectionNumbers) -> tuple[int, int, int]:
    return numbers.covered, numbers.holes, numbers.missing


def test_numbers_without_holes() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (5, 5), (6, 9), (10, 10))
    assert _said(numbers) == (6, 0, 0)


def test_a_jump() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (1, 1), (4, 4), (5, 6), (8, 8))
    assert _said(numbers) == (8, 2, 3)


def test_a_jump_from_one_connection_to_the_next() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (1, 1))
    numbers.leave(1)
    _feed(numbers, 2, (11, 11))
    assert _said(numbers) == (11, 1, 9)


def test_a_slower_connection_fills_what_the_faster_one_lost() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (1, 1), (10, 10))
    _feed(numbers, 2, (1, 1), (2, 4), (7, 9), (10, 10))
    assert _said(numbers) == (10, 1, 2)
    _feed(numbers, 3, (6, 6))
    assert _said(numbers) == (10, 1, 1)
    _feed(numbers, 3, (5, 20))
    assert _said(numbers) == (20, 0, 0)


def test_a_venue_that_counts_anew() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (100, 100), (102, 102), (1, 1), (2, 2), (4, 4))
    assert _said(numbers) == (7, 2, 2)


def test_the_same_message_again_is_nothing_new() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (1, 3), (1, 3), (4, 4))
    assert _said(numbers) == (4, 0, 0)


def test_what_nobody_wanted_is_not_missing() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, (1, 1), (3, 3))
    numbers.restart()
    _feed(numbers, 1, (50, 50), (51, 51))
    assert _said(numbers) == (5, 1, 1)


@given(st.lists(st.booleans(), max_size=80), st.lists(st.booleans(), max_size=80))
def test_missing_is_what_no_connection_brought(one: list[bool], other: list[bool]) -> None:
    numbers, brought = StreamNumbers(), {0}
    _feed(numbers, 1, (0, 0))
    for connection, has in ((1, one), (2, other)):
        for number, comes in enumerate(has, 1):
            if comes:
                _feed(numbers, connection, (number, number))
                brought.add(number)
    assert numbers.covered == max(brought) + 1
    assert numbers.missing == max(brought) + 1 - len(brought)


def test_memory_does_not_grow_with_the_holes() -> None:
    numbers = StreamNumbers()
    _feed(numbers, 1, *((number, number) for number in range(0, 20_001, 2)))
    assert _said(numbers) == (20_001, 10_000, 10_000)
    assert len(numbers._holes) <= 64


def test_the_numbers_of_a_connection() -> None:
    numbers = ConnectionNumbers()
    for number in (0, 1, 4, 5, 0, 1):
        numbers.feed(number)
    assert _said(numbers) == (8, 1, 2)
