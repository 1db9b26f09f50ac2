from __future__ import annotations

from tests.hub.fake_venue import SECOND, FakeSession
from wsproxy.hub.client import PATIENCE_NS, Client
from wsproxy.venues.base import Request


def client() -> Client:
    return Client(7, FakeSession("/", "plain"))


def subscribe(*streams: str) -> Request:
    return Request("subscribe", streams)


def test_requests_are_taken_in_order_when_they_are_ready() -> None:
    asker = client()
    first = asker.ask(subscribe("a", "b"), 0)
    first.outstanding.update("ab")
    second = asker.ask(subscribe("b"), 0)
    second.outstanding.add("b")
    third = asker.ask(Request("query"), 0)
    assert asker.next_ready() is None
    asker.resolve("b", None)
    assert second.is_ready
    assert asker.next_ready() is None
    asker.resolve("a", None)
    assert [asker.next_ready() for _ in range(4)] == [first, second, third, None]


def test_the_first_refusal_is_the_reason() -> None:
    asker = client()
    pending = asker.ask(subscribe("a", "b", "c"), 0)
    pending.outstanding.update("abc")
    asker.resolve("b", "no b")
    asker.resolve("c", "no c")
    assert asker.next_ready() is pending
    assert pending.refused == "no b"


def test_a_stream_that_was_granted_may_still_be_refused_before_the_answer() -> None:
    asker = client()
    pending = asker.ask(subscribe("a", "b"), 0)
    pending.outstanding.add("b")
    asker.resolve("a", "gone")
    assert pending.refused == "gone"


def test_patience_ends() -> None:
    asker = client()
    early, late = asker.ask(subscribe("a"), 0), asker.ask(subscribe("b"), SECOND)
    early.outstanding.add("a")
    late.outstanding.add("b")
    asker.expire(PATIENCE_NS - 1, lambda stream: f"{stream} sleeps")
    assert early.refused is None
    asker.expire(PATIENCE_NS, lambda stream: f"{stream} sleeps")
    assert early.refused == "not subscribed within 15 s: a sleeps"
    assert late.refused is None


def test_it_keeps_what_it_has_and_what_it_waits_for() -> None:
    asker = client()
    asker.active["a"] = None
    asker.ask(subscribe("b"), 0)
    asker.ask(Request("unsubscribe", ("c",)), 0)
    assert asker.keeps() == {"a", "b"}
