from __future__ import annotations

from typing import Any

from tests.hub.fake_venue import SECOND, FakeVenue
from wsproxy.hub.gaps import Hole
from wsproxy.hub.link import ACK_TIMEOUT_NS, Link, Phase
from wsproxy.hub.routing import Route
from wsproxy.model import Instant


def link(*streams: str, **profile: Any) -> Link:
    made = Link(FakeVenue(**profile), "/")
    for stream in streams:
        made.add(stream)
    made.opened(0)
    return made


def ask(link: Link, now_ns: int = 0) -> str:
    """The next request, sent at once; empty if there is none."""
    if link.ready_at(now_ns) != now_ns:
        return ""
    payload = link.next_frame(now_ns).payload.decode()
    link.sent(now_ns, control=False)
    return payload


def test_a_request_waits_until_the_one_before_has_left() -> None:
    one = link("a")
    assert one.next_frame(0).streams == ("a",)
    one.add("b")
    one.add("c")
    assert one.ready_at(0) is None
    one.sent(0, control=True)  # a pong
    assert one.ready_at(0) is None
    one.sent(0, control=False)
    assert ask(one) == "+b,c #2"
    assert one.ready_at(0) is None


def test_requests_and_pongs_keep_within_the_rate() -> None:
    one = link("a")  # 4 frames a second, one of them kept for a pong
    assert ask(one, 0) == "+a #1"
    one.sent(SECOND // 2, control=True)
    one.add("b")
    assert ask(one, SECOND // 2) == "+b #2"
    one.add("c")
    assert one.ready_at(SECOND // 2) == SECOND * 11 // 10


def test_no_rate_no_wait() -> None:
    one = link(*"abcdefghijkl", requests=None)
    assert [ask(one) for _ in range(5)] == [
        "+a,b,c #1",
        "+d,e,f #2",
        "+g,h,i #3",
        "+j,k,l #4",
        "",
    ]


def test_an_answer_makes_streams_live() -> None:
    one = link("a", "b")
    ask(one)
    assert one.acknowledged(9) == []
    assert one.acknowledged(1) == ["a", "b"]
    assert one.acknowledged(1) == []
    one.closed(0)
    assert set(one.streams.values()) == {Phase.PLANNED}


def test_an_answer_that_lists_everything() -> None:
    one = link("a", "b")
    ask(one)
    assert one.holding(frozenset("az")) == ["a"]
    assert one.next_answer_ns() == ACK_TIMEOUT_NS
    assert one.holding(frozenset("ab")) == ["b"]
    assert one.next_answer_ns() is None
    one.remove("a")
    assert ask(one) == "-a #2"
    one.holding(frozenset("ab"))
    assert one.next_answer_ns() == ACK_TIMEOUT_NS
    one.holding(frozenset("b"))
    assert one.next_answer_ns() is None


def test_a_stream_has_one_unanswered_request_at_most() -> None:
    one = link("a")
    assert ask(one) == "+a #1"
    one.remove("a")
    one.add("a")
    assert ask(one) == ""
    assert one.acknowledged(1) == []  # it is not what is wanted now
    assert ask(one) == "-a #2"
    assert ask(one) == ""
    assert one.acknowledged(2) == []
    assert ask(one, 2 * SECOND) == "+a #3"
    assert one.acknowledged(3) == ["a"]


def test_unsubscribing_makes_room_first() -> None:
    one = link("a")
    ask(one)
    one.acknowledged(1)
    one.remove("a")
    one.add("b")
    assert [ask(one), ask(one)] == ["-a #2", "+b #3"]


def test_what_was_never_asked_for_is_not_unsubscribed() -> None:
    one = link("a")
    one.remove("a")
    assert ask(one) == ""


def test_halving_forgets_streams_that_go_meanwhile() -> None:
    one = link("a", "b", "c", requests=None)
    ask(one)
    assert one.denied(1) == []
    one.remove("a")
    one.remove("b")
    assert ask(one) == "+c #2"
    assert one.denied(2) == ["c"]
    assert ask(one) == ""
    assert not one.streams


def test_a_denied_stream_that_is_wanted_no_longer_was_never_granted() -> None:
    one = link("a")
    ask(one)
    one.remove("a")
    assert one.denied(None) == []
    assert ask(one) == ""


def test_a_denied_unsubscription_refuses_nobody() -> None:
    one = link("a")
    ask(one)
    one.acknowledged(1)
    one.remove("a")
    ask(one)
    assert one.denied(2) is None
    assert one.denied(None) is None


def test_overdue() -> None:
    one = link("a", "b", requests=None)
    ask(one)
    one.remove("b")
    assert one.overdue(ACK_TIMEOUT_NS - 1) == []
    assert one.overdue(ACK_TIMEOUT_NS) == ["a"]
    assert ask(one, ACK_TIMEOUT_NS) == "-b,a #2"  # it may have been granted all the same
    assert one.overdue(2 * ACK_TIMEOUT_NS) == []
    assert one.next_answer_ns() is None


def test_a_new_connection_starts_from_nothing() -> None:
    one = link("a", "b", "c", requests=None)
    ask(one)
    one.denied(1)
    one.remove("b")
    one.closed(0)
    assert ask(one) == ""
    one.opened(SECOND)
    assert ask(one, SECOND) == "+a,c #2"
    assert one.acknowledged(1) == []


def test_what_was_given_up_before_it_was_granted_still_takes_room() -> None:
    one = link("a", requests=None)
    ask(one)
    one.remove("a")
    one.add("b")
    assert ask(one) == ""  # the venue may hold a
    one.acknowledged(1)
    assert [ask(one), ask(one)] == ["-a #2", "+b #3"]


def test_a_link_that_is_being_replaced_asks_for_nothing_but_answers() -> None:
    one = link("a", "b", requests=None)
    ask(one)
    one.acknowledged(1)
    one.rotating = True
    one.remove("a")
    one.add("c")
    assert ask(one) == ""
    one.reply(b"here")
    assert ask(one) == "here"
    one.rotating = False  # it stays after all
    assert [ask(one), ask(one)] == ["-a #2", "+c #3"]


def test_an_answer_goes_before_all_else_and_may_use_what_is_kept_free() -> None:
    one = link("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")
    assert [ask(one) for _ in range(4)] == ["+a,b,c #1", "+d,e,f #2", "+g,h,i #3", ""]
    one.reply(b"one")
    one.reply(b"two")
    assert ask(one) == "one"
    assert ask(one) == ""
    assert [ask(one, 2 * SECOND) for _ in range(3)] == ["two", "+j #4", ""]


def test_rates_are_those_since_the_last_look() -> None:
    one = link("a")
    route = Route(("a",), ("a",))
    one.routes[b"a"] = route
    one.messages = route.messages = 50
    assert one.measure(5 * SECOND) == {"a": 10.0}
    assert one.rate == 10.0
    one.messages += 10
    route.messages += 10
    assert one.measure(10 * SECOND) == {"a": 2.0}
    assert one.measure(20 * SECOND) == {"a": 0.0}
    assert one.line().rate == 0.0


def test_a_hole_begins_with_the_last_message_if_there_was_one() -> None:
    one = link("a")
    one.number = 7
    now = Instant(90, 9)
    assert one.hole("lost", now) == Hole(7, "lost", 90)
    one.last_message = Instant(50, 5)
    assert one.hole("lost", now) == Hole(7, "lost", 50)
