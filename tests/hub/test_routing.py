from __future__ import annotations

import pytest

from tests.hub.fake_venue import FakeVenue
from tests.hub.playbook import messages
from wsproxy.hub import routing as module
from wsproxy.hub.routing import Member, Route, Routing
from wsproxy.venues.base import Body, Numbered


class CountingVenue(FakeVenue):
    """Counts how often a message is put into a form."""

    rendered = 0

    def render(self, payload: bytes, view: str, wanted: frozenset[str] | None) -> Body:
        self.rendered += 1
        return super().render(payload, view, wanted)


class Table:
    """A routing table with one link's routes."""

    def __init__(self) -> None:
        self.venue = CountingVenue()
        self.routing = Routing(self.venue)
        self.routes: dict[bytes, Route] = {}
        self.members: dict[int, Member] = {}

    def place(self, client: int, view: str, *streams: str) -> None:
        member = self.members.setdefault(client, Member(client))
        self.routing.place(member, view, frozenset(streams))

    def spread(self, *payloads: bytes) -> None:
        for payload in payloads:
            key = payload.partition(b" ")[0]
            if key not in self.routes:
                streams = self.venue.streams(key, "/")
                self.routing.remember(self.routes, key, Route(streams, streams))
            self.routing.spread([payload], [self.routes[key]])

    def fetch(self) -> list[tuple[list[bytes], list[int]]]:
        return [(list(messages(f)), list(clients)) for f, clients in self.routing.deliveries()]


def test_equal_clients_share_every_step() -> None:
    table = Table()
    for client in (1, 2, 3):
        table.place(client, "plain", "a", "b")
    table.spread(b"a 1", b"b 1", b"c 1")
    assert table.fetch() == [([b"a 1", b"b 1"], [1, 2, 3])]
    assert table.venue.rendered == 2
    assert table.fetch() == []


def test_each_form_is_made_once() -> None:
    table = Table()
    for client, streams in enumerate(("a", "ab", "abc", "b"), 1):
        table.place(client, "plain", *streams)
    table.spread(b"a+b 1")
    assert table.venue.rendered == 3
    assert table.fetch() == [
        ([b"a 1"], [1]),
        ([b"a+b 1"], [2]),
        ([b"a+b 1"], [3]),
        ([b"b 1"], [4]),
    ]


def test_routes_follow_the_subscriptions() -> None:
    table = Table()
    table.place(1, "plain", "a")
    table.spread(b"a 1")
    table.fetch()
    table.place(2, "round", "a", "b")
    table.spread(b"a 2", b"b 2")
    assert table.fetch() == [([b"a 2"], [1]), ([b"(a 2)", b"(b 2)"], [2])]
    table.place(2, "round", "b")
    table.place(1, "plain")
    table.spread(b"a 3", b"b 3")
    assert table.fetch() == [([b"(b 3)"], [2])]


def test_clients_with_equal_numbers_share_the_encoding() -> None:
    table = Table()
    for client in (1, 2, 3):
        table.place(client, "numbered", "a")
    table.members[2].frames([Numbered(b"", b"")])
    table.spread(b"a 1", b"a 2")
    assert table.fetch() == [
        ([b"0 a 1", b"1 a 2"], [1, 3]),
        ([b"1 a 1", b"2 a 2"], [2]),
    ]
    table.spread(b"a 3")
    assert table.fetch() == [([b"2 a 3"], [1, 3]), ([b"3 a 3"], [2])]


def test_what_has_a_number_and_what_has_none_keep_their_order() -> None:
    member = Member(1)
    items = [module.framed(body) for body in (b"x", Numbered(b"<", b">"), b"y", Numbered(b"", b""))]
    assert list(messages(member.frames(items))) == [b"x", b"<0>", b"y", b"1"]


def test_only_what_is_delivered_from_here_counts_as_wanted() -> None:
    table = Table()
    table.place(1, "plain", "a", "b")
    table.routing.spread([b"a+b 1"], [Route(("a", "b"), ("a",))])
    assert table.fetch() == [([b"a 1"], [1])]


def test_a_state_is_fed_without_clients_and_can_be_forgotten() -> None:
    table = Table()
    table.spread(b"book 1", b"book 2")
    assert table.routing.snapshot("book") == b"snapshot 1,2"
    table.routing.forget("book")
    assert table.routing.snapshot("book") is None
    table.spread(b"book 3")
    assert table.routing.snapshot("book") == b"snapshot 3"
    assert table.routing.snapshot("a") is None


def test_a_delivery_does_not_mind_clients_that_go_meanwhile() -> None:
    table = Table()
    table.place(1, "plain", "a")
    table.place(2, "plain", "a")
    table.spread(b"a 1")
    seen = []
    for _, clients in table.routing.deliveries():
        for client in clients:
            seen.append(client)
            table.place(1, "plain")
    assert seen == [1, 2]


def test_routes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ROUTES", 3)
    table = Table()
    table.place(1, "plain", "a")
    for number in range(5):
        table.spread(b"a+x%d 1" % number)
    assert len(table.routes) == 2
    assert table.fetch() == [([b"a 1"] * 5, [1])]
    table.place(1, "plain", "x0", "x4")
    table.spread(b"a+x0 2", b"a+x4 2")
    assert table.fetch() == [([b"x0 2", b"x4 2"], [1])]
