"""When snapshots are fetched: by hand, on a clock of the test."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.fake_venue import INFO, PROFILE, SECOND, TIME, FakeRest
from tests.hub.playbook import Play
from wsproxy.hub.fetches import Fetch, Fetches, runs
from wsproxy.venues.base import RestRequest, Span
from wsproxy.venues.profile import Rate

MINUTE = 60 * SECOND
LIMITED = replace(PROFILE, rest_weight=Rate(1000, MINUTE), penalty_ns=120 * SECOND)


class Desk:
    """Asks, and is answered, as the venue would."""

    def __init__(self, *, settled: bool = True) -> None:
        self.fetches = Fetches(FakeRest(), LIMITED, 50)
        self.now_ns = 1000 * MINUTE
        self.live: dict[str, Span | None] = {}
        if settled:
            self.live["other"] = None
            for body in (b"0", b""):
                assert self.answer(self.ask(), body=body) is None

    def due(self) -> Fetch | None:
        return self.fetches.due(self.live, self.now_ns)

    def ask(self) -> Fetch:
        fetch = self.due()
        assert fetch is not None
        return fetch

    def answer(
        self,
        fetch: Fetch,
        status: int = 200,
        body: bytes = b"0",
        *,
        used: int | None = None,
        retry_after_ns: int | None = None,
    ) -> str | None:
        return self.fetches.answered(
            fetch, status, body, self.now_ns, used=used, retry_after_ns=retry_after_ns
        )

    def live_with(self, stream: str, first: int, last: int) -> None:
        self.live[stream] = Span(first, last, gapless=True)


def fetch(stream: str, *streams: str) -> Fetch:
    return Fetch(RestRequest(f"/{stream}?50", 50), streams or (stream,))


# --- what is wanted ----------------------------------------------------------------------------


def test_nothing_is_asked_before_a_stream_is_live() -> None:
    assert Desk(settled=False).due() is None


def test_first_the_time_then_books_then_what_is_wanted_once() -> None:
    desk = Desk(settled=False)
    desk.live = {"seq1": None, "other": Span(1, 1, gapless=True)}
    asked = [desk.ask()]
    assert desk.answer(asked[0]) is None
    asked.append(desk.ask())
    assert desk.answer(asked[1], body=b"7") is None
    asked.append(desk.ask())
    assert desk.answer(asked[2], body=b"anything") is None
    assert asked == [Fetch(TIME, ()), fetch("seq1"), Fetch(INFO, ())]
    assert desk.due() is None


def test_the_time_is_asked_for_every_minute_and_the_rest_once() -> None:
    desk = Desk()
    desk.now_ns += MINUTE - 1
    assert desk.due() is None
    desk.now_ns += 1
    assert desk.ask() == Fetch(TIME, ())


def test_a_snapshot_that_reaches_into_the_run_is_enough() -> None:
    desk = Desk()
    desk.live_with("seq1", 10, 12)
    assert desk.answer(desk.ask(), body=b"11") is None
    desk.now_ns += MINUTE // 2
    desk.live_with("seq1", 10, 500)
    assert desk.due() is None


@pytest.mark.parametrize(("number", "is_enough"), [(9, True), (8, False)])
def test_the_first_message_of_the_run_has_to_follow_or_overlap(
    number: int, is_enough: bool
) -> None:
    desk = Desk()
    desk.live["seq1"] = None  # nothing has come yet
    assert desk.answer(desk.ask(), body=b"%d" % number) is None
    desk.live_with("seq1", 10, 12)
    desk.now_ns += 2 * SECOND
    assert (desk.due() is None) is is_enough


def test_behind_a_gap_there_is_another() -> None:
    desk = Desk()
    desk.live_with("seq1", 1, 10)
    assert desk.answer(desk.ask(), body=b"10") is None
    assert desk.due() is None
    desk.live_with("seq1", 14, 14)
    desk.now_ns += 2 * SECOND
    assert desk.ask() == fetch("seq1")


def test_a_gap_right_after_a_snapshot_is_asked_for_a_second_later() -> None:
    desk = Desk()
    desk.live_with("seq1", 1, 10)
    assert desk.answer(desk.ask(), body=b"10") is None
    desk.live_with("seq1", 14, 14)
    assert desk.due() is None
    desk.now_ns += SECOND
    assert desk.ask() == fetch("seq1")


def test_a_stream_that_was_given_up_begins_anew() -> None:
    desk = Desk()
    desk.live_with("seq1", 1, 10)
    assert desk.answer(desk.ask(), body=b"10") is None
    del desk.live["seq1"]
    assert desk.due() is None
    desk.live["seq1"] = None
    assert desk.ask() == fetch("seq1")


def test_streams_of_the_same_book_share_a_snapshot() -> None:
    desk = Desk()
    desk.live |= {"seq1": None, "seq2": None, "seq1@fast": None}
    assert desk.ask() == fetch("seq1", "seq1", "seq1@fast")


def test_a_snapshot_that_stays_too_old_is_asked_for_ever_less_often() -> None:
    desk = Desk()
    desk.live_with("seq1", 10, 12)
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        desk.answer(desk.ask(), body=b"5")
        desk.now_ns += wait_s * SECOND - 1
        if (clock := desk.due()) is not None:
            assert clock == Fetch(TIME, ())
            desk.answer(clock)
            assert desk.due() is None
        desk.now_ns += 1


# --- what goes wrong ---------------------------------------------------------------------------


def test_what_is_no_snapshot_is_tried_again() -> None:
    desk = Desk()
    desk.live["seq1"] = None
    assert desk.answer(desk.ask(), body=b"<html>") == "it is no snapshot"
    assert desk.due() is None
    desk.now_ns += SECOND
    assert desk.ask() == fetch("seq1")


@pytest.mark.parametrize("status", [429, 418])
@pytest.mark.parametrize(("retry_after_s", "waits_s"), [(7, 7), (None, 120)])
def test_too_fast_means_to_wait(status: int, retry_after_s: int | None, waits_s: int) -> None:
    desk = Desk()
    desk.live |= {"seq1": None, "seq2": None}
    retry_after_ns = None if retry_after_s is None else retry_after_s * SECOND
    wrong = desk.answer(desk.ask(), status, retry_after_ns=retry_after_ns)
    assert wrong == f"HTTP {status}; nothing is asked for in the next {waits_s} s"
    desk.now_ns += waits_s * SECOND - 1
    assert desk.due() is None
    desk.now_ns += 1
    assert desk.due() is not None


def test_a_refused_request_is_not_repeated_while_it_is_wanted() -> None:
    desk = Desk()
    desk.live |= {"seq1": None, "seq2": None}
    wrong = desk.answer(desk.ask(), 400, b'{"msg":"Invalid symbol."}')
    assert wrong == 'HTTP 400, {"msg":"Invalid symbol."}; it is not asked again'
    assert desk.ask() == fetch("seq2")


@pytest.mark.parametrize("status", [None, 503])
def test_failures_make_everything_wait_ever_longer(status: int | None) -> None:
    desk = Desk()
    desk.live |= {"seq1": None, "seq2": None}
    for wait_s in (1, 2, 4, 8, 16, 32, 60, 60):
        asked = desk.ask()
        if status is None:
            said: str | None = desk.fetches.failed(asked, desk.now_ns)
        else:
            said = desk.answer(asked, status)
        assert (said or "").endswith(f"trying again in {wait_s} s")
        desk.now_ns += wait_s * SECOND - 1
        assert desk.due() is None
        desk.now_ns += 1
    assert desk.answer(desk.ask()) is None
    assert desk.fetches.failed(desk.ask(), desk.now_ns) == "trying again in 1 s"


# --- weights -----------------------------------------------------------------------------------


def test_half_of_the_weight_is_left_to_others() -> None:
    desk = Desk()
    desk.live |= {f"seq{n}": None for n in range(20)}
    count = 0
    while (asked := desk.due()) is not None:
        desk.answer(asked, body=b"1")
        count += 1
    assert count == (500 - TIME.weight - INFO.weight) // 50


def test_when_others_use_much_nothing_is_asked_in_this_window() -> None:
    desk = Desk()
    desk.live |= {"seq1": None, "seq2": None}
    assert desk.answer(desk.ask(), body=b"1", used=801) is None
    desk.now_ns += MINUTE - 1
    assert desk.due() is None
    desk.now_ns += 1
    assert desk.due() is not None


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from([200, 200, 429, 503, 0]), st.integers(0, 5)),
        max_size=200,
    )
)
def test_no_window_ever_holds_more_than_its_share(steps: list[tuple[int, int, int]]) -> None:
    desk = Desk(settled=False)
    desk.live = {f"seq{n}": None for n in range(40)}
    counted: deque[tuple[int, int]] = deque()
    for seconds, status, takes in steps:
        desk.now_ns += seconds * SECOND
        asked = desk.due()
        if asked is None:
            continue
        desk.now_ns += takes * SECOND
        counted.append((desk.now_ns, asked.request.weight))
        while counted[0][0] <= desk.now_ns - MINUTE:
            counted.popleft()
        assert sum(weight for _, weight in counted) <= 500
        if status:
            desk.answer(asked, status, b"1", retry_after_ns=SECOND)
        else:
            desk.fetches.failed(asked, desk.now_ns)


# --- runs --------------------------------------------------------------------------------------


def test_the_runs_of_a_pool() -> None:
    play = Play()
    play.join(1, "/seq1,other")
    assert runs(play.pool) == {}
    (asks,) = play.opened(1)
    assert runs(play.pool) == {}
    play.drive([asks])
    assert runs(play.pool) == {"seq1": None, "other": None}
    play.venue_says(1, "seq1 5-7", "seq1 8")
    assert runs(play.pool)["seq1"] == Span(5, 8, gapless=True)
    play.venue_says(1, "seq1 12", "seq1 13-14")
    assert runs(play.pool)["seq1"] == Span(12, 14, gapless=True)


def test_a_run_goes_on_behind_a_reconnect_that_lost_nothing() -> None:
    play = Play(close_on_gap=False)
    play.drive(play.join(1, "/seq1"))
    for line in (1, 2):
        play.venue_says(line, f"seq1 {line}")
        assert runs(play.pool) == {"seq1": Span(1, line, gapless=True)}
        play.closed(line)
        assert runs(play.pool) == {"seq1": Span(1, line, gapless=True)}
        play.drive(play.wait(4))
