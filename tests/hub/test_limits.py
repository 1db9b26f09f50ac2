from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.hub.fake_venue import PROFILE
from wsproxy.hub.limits import Budget, Limiter, Share, Urgency, Window
from wsproxy.venues.profile import Rate


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


def test_the_rest_of_a_window_is_spread_over_its_length() -> None:
    window = Window(Rate(5, 1000))
    found = []
    for _ in range(7):
        found.append(window.spacing_ns(0))
        window.record(0)
    assert found == [220, 275, 366, 550, 1100, 1100, 1100]
    assert window.spacing_ns(1100) == 220


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


def test_what_is_urgent_may_use_the_reserve() -> None:
    window = Window(Rate(3, 1000), reserve=1)
    window.record(0)
    window.record(10)
    assert window.ready_at(20) == 1100
    assert window.ready_at(20, urgent=True) == 20
    window.record(20)
    assert window.ready_at(30, urgent=True) == 1100


def test_a_reserve_leaves_room_for_at_least_one() -> None:
    assert Window(Rate(1, 1000), reserve=1).ready_at(5) == 5


def test_what_is_under_way_may_happen_at_any_moment() -> None:
    window = Window(Rate(2, 1000))
    window.record(0)
    window.begin()
    assert window.filled(5) == (2, 2)
    assert window.ready_at(5) == 1100  # when the first is old, whenever the second happens
    window.begin()
    assert window.ready_at(500) == 1600  # both may happen now
    window.finish(600)
    window.finish(700)
    assert window.ready_at(700) == 1700


def test_nothing_goes_before_the_end_of_a_penalty() -> None:
    window = Window(Rate(2, 1000))
    window.stretch(5000)
    window.stretch(4000)  # does not shorten it
    assert window.ready_at(10) == 5000
    assert window.ready_at(10, urgent=True) == 5000
    assert window.ready_at(6000) == 6000


def test_how_full_a_window_is() -> None:
    window = Window(Rate(3, 1000))
    for now in (0, 100, 200):
        window.record(now)
    assert window.filled(300) == (3, 3)
    assert window.filled(1150) == (2, 3)
    assert window.filled(5000) == (0, 3)


# --- several windows ---------------------------------------------------------------------------


def limiter(per_ip: Window | None = None, **changes: Any) -> Limiter:
    return Limiter(replace(PROFILE, **changes), per_ip)


def test_a_venue_without_limits_holds_nothing_back() -> None:
    free = limiter(requests=None)
    free.begin(Urgency.SUBSCRIBE)
    free.sent(0, control=False)
    assert free.hold(0, Urgency.SUBSCRIBE) is None
    assert free.ready_at(7, Urgency.SUBSCRIBE) == 7
    assert free.filled(0) == {}


def test_the_window_that_holds_longest_is_named() -> None:
    both = limiter(requests=Rate(3, 1000), operations=Rate(2, 10_000))
    for now in (0, 1):
        both.begin(Urgency.SUBSCRIBE)
        both.sent(now, control=False)
    assert both.hold(2, Urgency.SUBSCRIBE) == ("subscriptions per connection", 11_000)
    assert both.hold(2, Urgency.ANSWER) is None  # is no subscription, and may use the reserve
    assert both.filled(2) == {
        "frames per connection": (2, 3),
        "subscriptions per connection": (2, 2),
    }


def test_answers_and_pongs_count_as_frames_and_not_as_operations() -> None:
    both = limiter(requests=Rate(3, 1000), operations=Rate(2, 10_000))
    both.sent(0, control=True)
    both.begin(Urgency.ANSWER)
    both.sent(0, control=False)
    assert both.filled(0)["subscriptions per connection"].used == 0
    assert both.filled(0)["frames per connection"].used == 2
    assert both.hold(0, Urgency.UNSUBSCRIBE) == ("frames per connection", 1100)


def test_connections_of_one_address_share_a_window() -> None:
    shared = Window(Rate(2, 1000))
    one, two = (limiter(shared, requests=None) for _ in range(2))
    one.begin(Urgency.SUBSCRIBE)
    two.begin(Urgency.SUBSCRIBE)
    assert one.hold(5, Urgency.SUBSCRIBE) == ("frames per IP address", 1105)
    one.sent(10, control=False)
    two.closed(20)  # what was under way may have arrived
    two.closed(30)
    assert shared.filled(30) == (2, 2)
    assert two.ready_at(40, Urgency.SUBSCRIBE) == 1110


def test_too_fast_holds_everything_back() -> None:
    one = limiter()
    one.stretch(9000)
    assert one.hold(0, Urgency.ANSWER) == ("frames per connection", 9000)


def test_the_order_in_which_frames_wait() -> None:
    order = [Urgency.PONG, Urgency.ANSWER, Urgency.UNSUBSCRIBE, Urgency.SUBSCRIBE]
    assert sorted(Urgency) == order


@given(
    most=st.integers(2, 5),
    operations=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.integers(0, 300), st.integers(0, 1), st.integers(0, 900), st.booleans()),
        max_size=60,
    ),
)
def test_no_window_of_any_scope_holds_more_than_its_rate(
    most: int, operations: int, steps: list[tuple[int, int, int, bool]]
) -> None:
    """Two connections; frames go when they may, and take a while to leave."""
    per_ip, per_hour = Rate(most, 1000), Rate(operations, 5000)
    shared = Window(per_ip)
    pair = [limiter(shared, requests=None, operations=per_hour) for _ in range(2)]
    leaves: list[int | None] = [None, None]
    every: list[int] = []
    asked: list[list[int]] = [[], []]
    now = 0
    for step, which, takes, answer in steps:
        now += step
        for index, at in enumerate(leaves):
            if at is not None and at <= now:
                pair[index].sent(now, control=False)
                every.append(now)
                leaves[index] = None
        urgency = Urgency.ANSWER if answer else Urgency.SUBSCRIBE
        if leaves[which] is None and pair[which].ready_at(now, urgency) == now:
            pair[which].begin(urgency)
            leaves[which] = now + takes
            if not answer:
                asked[which].append(now)
    for times, rate in ((every, per_ip), (asked[0], per_hour), (asked[1], per_hour)):
        for start in times:
            assert sum(start <= time < start + rate.period_ns for time in times) <= rate.most


# --- connections at once -----------------------------------------------------------------------


def test_a_venue_allows_so_many_connections_at_once() -> None:
    budget = Budget(3, 1)
    share = Share(budget, replace(PROFILE, connections=2))
    assert share.take()
    assert share.take()
    assert not share.take()
    assert share.limit == "all 2 that Fake allows are taken"
    assert budget.used == 2
    share.give_back()
    assert share.take()


def test_shares_of_one_budget() -> None:
    budget = Budget(2, 2)
    one, two = Share(budget, PROFILE), Share(budget, PROFILE)
    assert one.take()
    assert not one.take()  # the other venue has none yet
    assert one.limit == "all 2 (--max-connections) are taken"
    assert two.take()
    two.give_back()
    assert not one.take()
    assert two.take()


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 10)), max_size=60))
def test_what_weighs_more_counts_more(steps: list[tuple[int, int]]) -> None:
    window, now, counted = Window(Rate(10, 100)), 0, list[tuple[int, int]]()
    for later, weight in steps:
        now += later
        at = window.ready_at(now, weight=weight)
        assert at >= now
        if at > now:
            fits = sum(w for t, w in counted if t > now - 110) + weight <= 10
            assert not fits
            continue
        window.begin(weight)
        window.finish(now, weight)
        counted.append((now, weight))
        assert sum(w for t, w in counted if t > now - 110) <= 10
