from __future__ import annotations

from typing import Any

from tests.hub.fake_venue import SECOND, FakeVenue
from wsproxy.hub.link import ACK_TIMEOUT_NS, Link, Phase


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
