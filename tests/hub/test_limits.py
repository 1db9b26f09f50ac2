from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsproxy.hub.limits import Budget, Window
from wsproxy.venues.base import Rate


def test_a_window_opens_when_its_first_event_is_old_enough() -> None:
    window = Window(Rate(2, 1000))
    assert window.ready_at(5) == 5
    window.record(5)
    window.record(300)
    assert window.ready_at(301) == 1105  # a tenth later than the rate says
    assert window.ready_at(2000) == 2000


def test_the_reserve_is_left_to_what_does_not_ask() -> None:
    window = Window(Rate(3, 1000), reserve=1)
    window.record(0)
    window.record(0)
    assert window.ready_at(0) == 1100


@given(
    most=st.integers(1, 6),
    steps=st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=80),
)
def test_no_window_holds_more_than_the_rate(most: int, steps: list[tuple[int, bool]]) -> None:
    """Requests go out as early as they may, pongs whenever they come, one a period at most."""
    period = 1000
    window = Window(Rate(most, period), reserve=1 if most > 1 else 0)
    now, events, last_pong = 0, [], -10 * period
    for step, is_pong in steps:
        now += step
        if is_pong and most > 1:
            if now - last_pong < 2 * period:
                continue
            last_pong = now
        else:
            now = window.ready_at(now)
        window.record(now)
        events.append(now)
    for start in events:
        assert sum(start <= event < start + period for event in events) <= most


def test_a_connection_is_kept_for_each_venue_that_has_none() -> None:
    budget = Budget(3, 2)
    assert budget.take(first=True)
    assert budget.take(first=False)
    assert not budget.take(first=False)
    assert budget.take(first=True)
    assert budget.used == 3
    budget.give_back(last=True)
    assert not budget.take(first=False)
    budget.give_back(last=False)
    assert budget.take(first=False)


def test_a_cap_below_the_number_of_venues_serves_who_asks_first() -> None:
    budget = Budget(1, 2)
    assert budget.take(first=True)
    assert not budget.take(first=False)
    assert not budget.take(first=True)
