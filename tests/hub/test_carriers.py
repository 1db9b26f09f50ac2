from __future__ import annotations

import itertools

from tests.hub.fake_venue import FakeVenue
from wsproxy.hub.carriers import Carriers
from wsproxy.hub.join import Item, Lead, Removed
from wsproxy.hub.link import Link

VENUE = FakeVenue(requests=None)


def carriers() -> Carriers:
    return Carriers(VENUE, lambda stream: None, lambda stream: None)


def link(number: int | None, *streams: str, granted: bool = True) -> Link:
    """A link with a connection that holds these streams, or is yet to ask for them."""
    made = Link(VENUE, "/", key=number or 0)
    made.number = number
    for stream in streams:
        made.add(stream)
    if granted:
        made.opened(0)
        made.next_frame(0)
        made.acknowledged(1)
    return made


def offer(them: Carriers, link: Link, *values: object) -> list[str]:
    return [
        f"{item.line}:{item.payload.decode()}"
        for value in values
        for item in them.deliver("a", link, f"a {value}".encode(), 0)
    ]


def test_what_one_link_says_is_delivered() -> None:
    them, one, other = carriers(), link(1, "a"), link(2, "a")
    them.add("a", one)
    assert list(them.of("a")) == [one]
    assert them.of("b") == ()
    assert offer(them, one, 1, 1) == ["1:a 1", "1:a 1"]
    assert offer(them, other, 2) == []  # not its business
    assert not them.joins
    assert them.remove("a", one, 0) == Removed(True, [])
    assert list(them.streams()) == []


def test_of_several_links_each_message_is_delivered_once() -> None:
    them, one, two = carriers(), link(1, "a"), link(2, "a", granted=False)
    them.add("a", one)
    them.add("a", two)
    assert offer(them, two, 1) == []  # it has not asked: this cannot be what it asked for
    them.asked(two, ["a", "b"])
    assert list(them.joining) == ["a"]
    assert offer(them, one, 1) == ["1:a 1"]
    assert not them.is_delivered("a", [two])
    assert offer(them, two, 1, 2) == ["2:a 2"]
    assert them.is_delivered("a", [two])
    assert offer(them, one, 2, 3) == ["1:a 3"]


def test_the_first_to_ask_is_the_source() -> None:
    them = carriers()
    links = [link(number, "a", granted=False) for number in (1, 2, 3)]
    for one in links:
        them.add("a", one)
    for one in reversed(links):
        them.asked(one, ["a"])
    assert [them.is_delivered("a", [one]) for one in links] == [False, False, True]


def test_a_connection_that_comes_back_has_a_new_line() -> None:
    them, one, two = carriers(), link(1, "a"), link(2, "a")
    for each in (one, two):
        them.add("a", each)
    assert offer(them, one, 1) + offer(them, two, 1) == ["1:a 1"]
    assert them.ended("a", one, 0).whole
    one.closed(0)
    assert offer(them, one, 2) == []
    one.number = 7
    assert offer(them, one, 2) == []
    them.asked(one, ["a"])
    assert offer(them, two, 2) == ["2:a 2"]
    assert offer(them, one, 2, 3) == ["7:a 3"]
    assert sorted(them.joins["a"].lines) == [2, 7]


def test_what_the_end_of_a_connection_means() -> None:
    for delivered, granted in itertools.product((False, True), (False, True)):
        them, one = carriers(), link(1, "a", granted=granted)
        them.add("a", one)
        if delivered:
            one.delivered.add("a")
        assert them.ended("a", one, 0).whole is not (delivered or granted)


def test_of_two_that_never_brought_anything_nothing_is_missing() -> None:
    them, one, two = carriers(), link(1, "a", granted=False), link(2, "a", granted=False)
    for each in (one, two):
        them.add("a", each)
        each.opened(0)
        them.asked(each, each.next_frame(0).streams)
    assert them.ended("a", one, 0).whole
    assert them.ended("a", two, 0).whole


def test_the_last_takes_over_what_it_holds() -> None:
    them, one, two = carriers(), link(1, "a"), link(2, "a", granted=False)
    them.add("a", one)
    them.add("a", two)
    them.asked(two, ["a"])
    assert offer(them, one, 1) == ["1:a 1"]
    assert offer(them, two, 3) == []
    assert them.remove("a", one, 0) == Removed(False, [Item(2, b"a 3")])
    assert offer(them, two, 4) == ["2:a 4"]
    assert not them.joins  # it is alone, and not behind


def test_a_link_without_a_connection_is_left_before_it_asked() -> None:
    """Its heir asks later, all alone, and is heard."""
    them, one, two = carriers(), link(None, "a", granted=False), link(2, "a", granted=False)
    them.add("a", one)
    them.add("a", two)
    them.remove("a", one, 0)
    them.asked(two, ["a"])
    assert offer(them, two, 1, 2) == ["2:a 1", "2:a 2"]


def test_nothing_is_kept_of_streams_that_are_gone() -> None:
    them = carriers()
    for number in range(1, 50, 2):
        one, two = link(number, "a"), link(number + 1, "a", granted=False)
        them.add("a", one)
        them.add("a", two)
        them.asked(two, ["a"])
        offer(them, one, number)
        offer(them, two, number + 2)
        them.remove("a", one, 0)
        them.remove("a", two, 0)
    assert not them.joins
    assert not them.joining
    assert not list(them.streams())


def test_who_is_first_by_how_much() -> None:
    them, one, other = carriers(), link(1, "a", "b"), link(2, "a", "b")
    for stream in ("a", "b"):
        them.add(stream, one)
        them.add(stream, other)
    for stream in ("a", "b"):
        assert them.deliver(stream, one, f"{stream} 1".encode(), 10)
        assert them.deliver(stream, other, f"{stream} 1".encode(), 30) == []
    assert them.deliver("a", other, b"a 2", 40)
    assert them.deliver("a", one, b"a 2", 45) == []
    assert them.leads() == {1: Lead(2, 40), 2: Lead(1, 5)}
