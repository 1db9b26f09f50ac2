from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.fake_venue import FakeState, FakeVenue
from tests.hub.playbook import messages
from wsproxy.hub import routing as module
from wsproxy.hub.cohort import Member, framed
from wsproxy.hub.routing import Route, Routing
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
        self.venue = CountingVenue(replaced="last.*")
        self.routing = Routing(self.venue)
        self.routes: dict[bytes, Route] = {}
        self.members: dict[int, Member] = {}

    def place(self, client: int, view: str, *streams: str, conflates: bool = False) -> None:
        member = self.members.setdefault(client, Member(client, conflates=conflates))
        self.routing.place(member, view, frozenset(streams))

    def spread(self, *payloads: bytes) -> None:
        for payload in payloads:
            key = payload.partition(b" ")[0]
            if key not in self.routes:
                streams = self.venue.streams(key, "/")
                self.routing.remember(self.routes, key, Route(streams, streams))
            self.routing.spread([payload], [self.routes[key]])

    def spread_together(self, *payloads: bytes) -> None:
        """As one batch."""
        routes = []
        for payload in payloads:
            key = payload.partition(b" ")[0]
            if key not in self.routes:
                streams = self.venue.streams(key, "/")
                self.routing.remember(self.routes, key, Route(streams, streams))
            routes.append(self.routes[key])
        self.routing.spread([*payloads, b"no route"], routes)

    def fetch(self) -> list[tuple[list[bytes], list[int]]]:
        return [(list(messages(f)), list(clients)) for f, clients in self.routing.deliveries()]


def test_what_all_want_as_it_came_is_not_encoded_again() -> None:
    table = Table()
    for client in (1, 2):
        table.place(client, "plain", "a", "b")
    table.spread(b"a 1", b"b 1")
    table.fetch()
    routes = list(table.routes.values())
    table.routing.spread([b"a 2", b"b 2"], routes, b"both")
    assert [(f, list(c)) for f, c in table.routing.deliveries()] == [(b"both", [1, 2])]
    table.place(3, "plain", "a")
    table.spread(b"a 3", b"b 3")
    table.fetch()
    table.routing.spread([b"a 4", b"b 4"], routes, b"both")
    assert table.fetch() == [([b"a 4", b"b 4"], [1, 2]), ([b"a 4"], [3])]


def test_equal_clients_share_every_step() -> None:
    table = Table()
    for client in (1, 2, 3):
        table.place(client, "round", "a", "b")
    table.spread(b"a 1", b"b 1", b"c 1")
    assert table.fetch() == [([b"(a 1)", b"(b 1)"], [1, 2, 3])]
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


VIEWS = st.sampled_from(["plain", "round", "numbered", "conflating"])
STREAMS = st.sets(st.sampled_from(["a", "b", "c", "last", "book"]))
KEYS = st.sampled_from([b"a", b"b", b"a+b", b"c", b"last", b"book"])


@settings(deadline=None)
@given(
    clients=st.lists(st.tuples(VIEWS, STREAMS), max_size=4),
    batches=st.lists(st.lists(KEYS, max_size=12), max_size=4),
)
def test_a_batch_is_spread_as_its_messages_would_be(
    clients: list[tuple[str, set[str]]], batches: list[list[bytes]]
) -> None:
    one_by_one, together = Table(), Table()
    for table in (one_by_one, together):
        for number, (view, streams) in enumerate(clients):
            form = "plain" if view == "conflating" else view
            table.place(number, form, *streams, conflates=view == "conflating")
    for turn, keys in enumerate(batches):
        payloads = [b"%b %d.%d" % (key, turn, at) for at, key in enumerate(keys)]
        one_by_one.spread(*payloads)
        together.spread_together(*payloads)
        assert sorted(together.fetch()) == sorted(one_by_one.fetch())
    counts = [{k: r.messages for k, r in t.routes.items()} for t in (one_by_one, together)]
    assert counts[0] == counts[1]
    states = [t.routing.snapshot("book") for t in (one_by_one, together)]
    assert states[0] == states[1]


def test_a_batch_for_the_same_clients_is_not_rendered_at_all() -> None:
    table = Table()
    for client in (1, 2):
        table.place(client, "plain", "a", "b")
    table.spread(b"a 0", b"b 0")
    table.venue.rendered = 0
    batch = [b"%b %d" % (key, at) for at in range(1, 9) for key in (b"a", b"b")]
    table.spread_together(*batch)
    assert table.fetch() == [([b"a 0", b"b 0", *batch], [1, 2])]
    assert table.venue.rendered == 0


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


def test_a_state_is_told_of_messages_that_carry_nothing_else() -> None:
    table = Table()
    table.spread(b"book =1", b"a+book 2", b"book 3")
    state = table.routing.known("book")
    assert isinstance(state, FakeState)
    assert (state.alone, state.snapshot()) == (2, b"snapshot 1,2,3")


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


# --- clients that conflate ---


def test_a_client_that_conflates_and_keeps_up_gets_everything() -> None:
    table = Table()
    table.place(1, "plain", "last", "a", conflates=True)
    table.place(2, "plain", "last", "a", conflates=True)
    table.place(3, "plain", "last", "a")
    table.spread(b"last 1", b"a 1", b"last 2")
    everything = [b"last 1", b"a 1", b"last 2"]
    assert table.fetch() == [(everything, [3]), (everything, [1, 2])]
    assert table.routing.conflated == 0


def test_a_client_that_fell_behind_gets_the_newest_when_it_has_caught_up() -> None:
    table = Table()
    for client in (1, 2):
        table.place(client, "plain", "last", "last2", "a", conflates=True)
    table.routing.fell_behind(table.members[1])
    table.spread(b"last 1", b"a 1", b"last2 1", b"last 2")
    table.spread(b"last 3", b"a 2")
    everything = [b"last 1", b"a 1", b"last2 1", b"last 2", b"last 3", b"a 2"]
    assert table.fetch() == [(everything, [2])]
    assert list(table.routing.behind) == [1]
    frames = table.routing.catch_up(table.members[1])
    assert list(messages(frames)) == [b"last 3", b"a 1", b"last2 1", b"a 2"]
    assert table.routing.conflated == 2
    table.spread(b"last 4")
    assert table.fetch() == [([b"last 4"], [1, 2])]


def test_numbers_are_given_when_messages_go_out() -> None:
    table = Table()
    table.place(1, "numbered", "last", "a", conflates=True)
    table.spread(b"a 1")
    assert table.fetch() == [([b"0 a 1"], [1])]
    table.routing.fell_behind(table.members[1])
    table.spread(b"last 1", b"a 2", b"last 2")
    assert table.fetch() == []
    frames = table.routing.catch_up(table.members[1])
    assert list(messages(frames)) == [b"1 last 2", b"2 a 2"]


def test_a_reply_stays_behind_what_waits() -> None:
    table = Table()
    table.place(1, "plain", "last", conflates=True)
    table.routing.fell_behind(table.members[1])
    table.spread(b"last 1", b"last 2")
    table.fetch()
    assert list(messages(table.members[1].frames([framed(b"ok")]))) == [b"last 2", b"ok"]
    table.spread(b"last 3")
    table.fetch()
    assert list(messages(table.routing.catch_up(table.members[1]))) == [b"last 3"]


def test_only_a_message_of_one_stream_replaces_another() -> None:
    table = Table()
    table.place(1, "plain", "last", "last2", conflates=True)
    table.routing.fell_behind(table.members[1])
    table.spread(b"last 1", b"last+last2 2", b"last 3", b"last 4")
    table.fetch()
    kept = [b"last 1", b"last+last2 2", b"last 4"]
    assert list(messages(table.routing.catch_up(table.members[1]))) == kept


def test_of_a_message_of_many_only_what_the_client_wants_counts() -> None:
    table = Table()
    table.place(1, "plain", "last", conflates=True)
    table.routing.fell_behind(table.members[1])
    table.spread(b"last+last2 1", b"last+a 2")
    table.fetch()
    assert list(messages(table.routing.catch_up(table.members[1]))) == [b"last 2"]


def test_without_word_from_the_venue_nothing_is_replaced() -> None:
    table = Table()
    table.routing = Routing(FakeVenue())
    table.place(1, "plain", "last", conflates=True)
    table.routing.fell_behind(table.members[1])
    table.spread(b"last 1", b"last 2")
    table.fetch()
    assert list(messages(table.routing.catch_up(table.members[1]))) == [b"last 1", b"last 2"]


def test_who_wants_every_message_never_falls_behind() -> None:
    table = Table()
    table.place(1, "plain", "last")
    table.routing.fell_behind(table.members[1])
    table.spread(b"last 1", b"last 2")
    assert table.fetch() == [([b"last 1", b"last 2"], [1])]


def test_who_has_gone_is_not_behind() -> None:
    table = Table()
    table.place(1, "plain", "last", conflates=True)
    table.routing.fell_behind(table.members[1])
    table.place(1, "plain")
    assert list(table.routing.behind) == []


def test_states_settle_one_after_another_a_little_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = Table()
    table.spread(b"a 1", b"book1 =1", b"book2 =2")
    left = {table.routing.known("book1"): 2, table.routing.known("book2"): 1}

    def settle(state: FakeState) -> bool:
        left[state] = max(0, left[state] - 1)
        return left[state] > 0

    monkeypatch.setattr(FakeState, "settle", settle)
    assert table.routing.settle() is True
    assert list(left.values()) == [1, 1]
    assert table.routing.settle() is False
    assert list(left.values()) == [0, 0]
