from __future__ import annotations

import itertools

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play, live
from wsproxy.hub import events as e
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget
from wsproxy.model import BINARY, TEXT, Batch, Instant, Kind
from wsproxy.venues.binance import Binance
from wsproxy.venues.coinbase import Coinbase

# --- subscriptions -----------------------------------------------------------------------------


def test_from_a_request_to_data() -> None:
    play = Play()
    assert play.join(1) == []
    assert play.say(1, "+a,b") == ["open 1 /"]
    assert play.opened(1) == ["1> +a,b #1"]
    assert play.sent(1) == []
    assert play.venue_says(1, "a 1", "!ok 1", "a 2", "b 1") == [
        "c1< ok +a,b: a,b",  # nothing before it
        "c1< a 2",
        "c1< b 1",
    ]
    assert play.batch.streams == [("a",), (), ("a",), ("b",)]
    assert play.hub.messages == 3
    assert play.notes == ["SUBSCRIBED 1 a,b", "ACKNOWLEDGED 1 a,b"]


def test_a_stream_is_subscribed_once_and_lingers_after_its_last_client() -> None:
    play = live("/a,z", "/a")
    assert play.venue_says(1, "a 1") == ["c1< a 1", "c2< a 1"]
    assert play.say(1, "-a") == ["c1< ok -a: z"]
    assert play.venue_says(1, "a 2") == ["c2< a 2"]
    assert play.leave(2) == []
    assert play.venue_says(1, "a 3") == []
    assert play.batch.streams == [("a",)]  # still recorded under its name
    assert play.wait(9.9) == []
    assert play.wait(0.2) == ["1> -a #2"]
    assert play.notes[-1] == "UNSUBSCRIBED 1 a"


def test_back_within_the_linger() -> None:
    play = live("/a,z")
    play.say(1, "-a")
    play.wait(9)
    assert play.say(1, "+a") == ["c1< ok +a: z,a"]
    play.say(1, "-a")
    play.wait(9)
    assert play.say(1, "+a") == ["c1< ok +a: z,a"]
    assert play.wait(60) == []
    assert play.venue_says(1, "a 1") == ["c1< a 1"]


def test_the_last_stream_takes_the_connection_with_it() -> None:
    play = live("/a")
    play.leave(1)
    assert play.wait(10) == ["close 1"]
    assert play.pool.links
    play.closed(1, 1000)
    assert not play.pool.links
    assert not play.hub.gaps


def test_a_client_comes_while_the_connection_is_being_closed() -> None:
    play = live("/a")
    play.leave(1)
    assert play.wait(10) == ["close 1"]
    assert play.join(2, "/b") == []
    assert play.closed(1, 1000) == ["open 2 /"]
    assert play.drive(play.opened(2)) == []
    assert play.venue_says(2, "b 1") == ["c2< b 1"]


def test_answers_keep_the_order_of_the_requests() -> None:
    play = live("/a")
    play.join(2)
    assert play.say(2, "+b") == ["1> +b #2"]
    assert play.say(2, "+a") == []  # live already, but not its turn
    assert play.say(2, "?") == []
    assert play.venue_says(1, "a 1") == ["c1< a 1"]
    play.sent(1)
    assert play.venue_says(1, "!ok 2", "a 2") == [
        "c2< ok +b: b",
        "c2< ok +a: b,a",
        "c2< ok ?: b,a",
        "c1< a 2",
        "c2< a 2",
    ]


def test_changes_of_mind_while_a_request_waits() -> None:
    play = live("/a")
    assert play.say(1, "+b") == ["1> +b #2"]
    assert play.say(1, "-a") == play.say(1, "+a") == play.say(1, "-b") == []
    play.sent(1)
    assert play.venue_says(1, "!ok 2") == [
        "c1< ok +b: a,b",
        "c1< ok -a: b",
        "c1< ok +a: b,a",
        "c1< ok -b: a",
    ]
    assert play.wait(20) == ["1> -b #3"]


def test_a_client_that_leaves_while_its_request_waits() -> None:
    play = Play()
    play.join(1, "/a")
    assert play.leave(1) == []
    assert play.opened(1) == ["1> +a #1"]
    play.sent(1)
    assert play.venue_says(1, "!ok 1", "a 1") == []
    assert play.wait(10) == ["close 1"]
    assert not play.hub.clients


def test_a_stream_named_twice_is_delivered_once() -> None:
    play = live("/a")
    assert play.say(1, "+a") == ["c1< ok +a: a"]
    assert play.venue_says(1, "a 1") == ["c1< a 1"]


def test_unsubscribing_what_one_does_not_have() -> None:
    play = live("/a")
    assert play.say(1, "-x") == ["c1< ok -x: a"]


# --- refusals ----------------------------------------------------------------------------------


def test_a_refused_batch_is_halved_until_the_bad_stream_is_alone() -> None:
    play = Play()
    for client, stream in enumerate("abx", 1):
        play.join(client)
        play.say(client, f"+{stream}")
    assert play.opened(1) == ["1> +a,b,x #1"]
    play.sent(1)
    assert play.venue_says(1, "!no 1 bad") == ["1> +a #2"]
    assert play.sent(1) == ["1> +b,x #3"]
    assert play.venue_says(1, "!ok 2") == ["c1< ok +a: a"]
    assert play.sent(1) == []  # three in this second
    assert play.venue_says(1, "!no 3 bad") == []
    assert play.wait(1.2) == ["1> +b #4"]
    assert play.sent(1) == ["1> +x #5"]
    assert play.venue_says(1, "!ok 4", "!no 5 bad stream") == [
        "c2< ok +b: b",
        "c3< no +x: bad stream",
    ]
    assert play.notes[-1] == "REFUSED 1 x"
    assert play.warnings == ["fake refused x: bad stream"]
    assert play.wait(60) == []  # and no unsubscribe for what never was


def test_a_refusal_that_names_no_request_is_that_of_the_oldest() -> None:
    play = Play()
    play.join(1)
    play.say(1, "+x")
    play.opened(1)
    play.sent(1)
    assert play.venue_says(1, "!no - bad") == ["c1< no +x: bad", "close 1"]
    assert play.warnings == ["fake refused x: bad"]


def test_one_bad_stream_refuses_the_whole_request_and_releases_the_rest() -> None:
    play = live("/z")
    play.say(1, "+a,x")
    play.sent(1)
    assert play.venue_says(1, "!no 2 bad") == ["1> +a #3"]
    assert play.sent(1) == []  # three in this second
    assert play.wait(1.2) == ["1> +x #4"]
    assert play.venue_says(1, "!ok 3", "a 1") == []
    play.sent(1)
    assert play.venue_says(1, "!no 4 bad", "a 2") == ["c1< no +a,x: bad"]
    assert play.wait(12) == ["1> -a #5"]


def test_a_complaint_about_nothing_we_asked() -> None:
    play = live("/a")
    assert play.venue_says(1, "!no 77 what?", "!no - huh?") == []
    assert play.warnings == ["fake complains: what?", "fake complains: huh?"]


def test_a_venue_that_never_answers() -> None:
    play = live("/a")
    play.say(1, "+b")
    play.sent(1)
    assert play.wait(9.9) == []
    assert play.wait(0.2) == ["c1< no +b: the venue did not answer in time", "1> -b #3"]
    assert play.warnings == ["fake refused b: the venue did not answer in time"]


def test_a_venue_that_cannot_be_reached() -> None:
    play = Play()
    play.join(1)
    play.say(1, "+a")
    play.do(e.UpstreamClosed(1, 1006, "connection refused", "network"))
    lines = [line for line in play.wait(15.1) if line.startswith("c1<")]
    assert lines == [
        "c1< no +a: not subscribed within 15 s: the venue cannot be reached (connection refused)"
    ]


def test_too_many_requests() -> None:
    play = live("/a")
    for _ in range(100):
        assert play.say(1, "?") == ["c1< ok ?: a"]
    assert play.say(1, "?") == ["kick c1 1008"]
    assert play.say(1, "?") == []  # its close is under way
    assert play.leave(1) == []


def test_a_lagging_client_is_told_how_far_behind_it_was() -> None:
    play = live("/a", "/a")
    assert play.do(e.ClientLagged(1, 17_000_000, 2_500_000_000)) == ["kick c1 1008"]
    assert play.kicks == ["lagging: 17,000,000 bytes and 2.5 s behind"]
    assert play.do(e.ClientLagged(1, 17_000_000, 2_500_000_000)) == []
    assert play.venue_says(1, "a 1") == ["c2< a 1"]


# --- views, snapshots, numbers -----------------------------------------------------------------


def test_a_change_of_view_comes_in_order() -> None:
    play = live("/a", "/a")
    play.hub.route(Batch(Kind.MESSAGE, 1, *play.now, [b"a 1"]))  # not yet fetched
    assert play.say(1, "=round") == ["c1< a 1", "c2< a 1", "c1< ok =round: a"]
    assert play.venue_says(1, "a 2") == ["c2< a 2", "c1< (a 2)"]
    play.say(1, "=plain")
    assert play.venue_says(1, "a 3") == ["c2< a 3", "c1< a 3"]


def test_a_late_joiner_gets_the_state_before_the_answer() -> None:
    play = Play()
    play.join(1)
    play.drive(play.say(1, "+book"))
    assert play.venue_says(1, "book 1", "book 2") == ["c1< book 1", "c1< book 2"]
    play.hub.route(Batch(Kind.MESSAGE, 1, *play.now, [b"book 3"]))
    play.join(2)
    assert play.say(2, "+book") == ["c2< snapshot 1,2,3", "c2< ok +book: book"]
    assert play.venue_says(1, "book 4") == ["c1< book 4", "c2< book 4"]


def test_what_was_sent_before_the_fetch_is_not_sent_to_who_came_since() -> None:
    play = live("/book")
    play.hub.route(Batch(Kind.MESSAGE, 1, *play.now, [b"book 1"]))
    assert play.join(2, "/book") == ["c1< book 1", "c2< snapshot 1"]
    assert play.fetch() == []


def test_a_snapshot_that_came_before_the_answer_reaches_the_first_client() -> None:
    play = Play()
    play.join(1)
    play.say(1, "+book")
    play.opened(1)
    play.sent(1)
    assert play.venue_says(1, "book 1", "!ok 1") == ["c1< snapshot 1", "c1< ok +book: book"]


def test_states_do_not_outlive_the_subscription() -> None:
    play = live("/book,z")
    play.venue_says(1, "book 1")
    play.say(1, "-book")
    play.drive(play.wait(10))
    assert play.drive(play.say(1, "+book")) == ["c1< ok +book: z,book"]
    assert play.venue_says(1, "book 9") == ["c1< book 9"]
    assert play.join(2, "/book") == ["c2< snapshot 9"]


def test_numbers_have_no_gap_over_answers_and_data() -> None:
    play = Play()
    for client in (1, 2):
        play.join(client, "/", "numbered")
    assert play.drive(play.say(1, "+a")) == ["c1< 0 ok +a: a"]
    assert play.venue_says(1, "a 7", "a 8") == ["c1< 1 a 7", "c1< 2 a 8"]
    assert play.drive(play.say(2, "+a")) == ["c2< 0 ok +a: a"]
    assert play.venue_says(1, "a 9", "!notice soon", "a 10") == [
        "c1< 3 a 9",
        "c2< 1 a 9",
        "c1< 4 !notice soon",
        "c2< 2 !notice soon",
        "c1< 5 a 10",
        "c2< 3 a 10",
    ]
    assert play.say(1, "?") == ["c1< 6 ok ?: a"]


def test_a_message_of_several_streams_is_cut_to_what_each_client_wants() -> None:
    play = live("/a,b", "/b", "/c")
    assert play.venue_says(1, "a+b 1", "b+c 2", "a+b+c 3") == [
        "c1< a+b 1",
        "c1< b 2",
        "c1< a+b 3",
        "c2< b 1",
        "c2< b 2",
        "c2< b 3",
        "c3< c 2",
        "c3< c 3",
    ]
    play.say(2, "-b")
    assert play.venue_says(1, "a+b 4") == ["c1< a+b 4"]


def test_data_that_only_a_full_decode_understands() -> None:
    play = live("/a", "/b")
    assert play.venue_says(1, "a 1", "~a 2", "?", "a 3") == ["c1< a 1", "c1< ~a 2", "c1< a 3"]
    assert play.batch.streams == [("a",), ("a",), (), ("a",)]


def test_data_goes_out_before_what_the_same_moment_decides() -> None:
    play = live("/a")
    play.say(1, "+b")
    play.sent(1)
    play.say(1, "-a")
    play.mono_ns += 10 * SECOND  # b is overdue
    assert play.venue_says(1, "~a 1") == [
        "c1< ~a 1",
        "c1< no +b: the venue did not answer in time",
        "c1< ok -a: ",
        "1> -b #3",
    ]


def test_a_notice_goes_to_the_clients_of_the_connection() -> None:
    play = live("/a", "/b@x")
    assert play.venue_says(2, "!notice soon") == ["c2< !notice soon"]
    assert play.warnings == ["fake says on connection 2: soon"]


# --- gaps --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            e.UpstreamClosed(1, 1006, "no close frame came", "network"),
            "connection 1 to fake was lost: no close frame came",
        ),
        (e.UpstreamClosed(1, 1001, "bye", "peer"), "fake closed connection 1 with code 1001: bye"),
        (e.UpstreamClosed(1, 1001, "", "us"), "the proxy closed connection 1 with code 1001"),
    ],
    ids=["lost", "by the venue", "by us"],
)
def test_a_gap_says_how_the_connection_ended(event: e.UpstreamClosed, said: str) -> None:
    one, several = live("/a"), live("/a", "/b")
    one.do(event)
    assert one.warnings == [f"gap in fake:a: {said}"]
    several.do(event)
    assert several.warnings == [f"gap in 2 fake streams: {said}"]


def test_a_gap_closes_clients_unless_their_streams_start_anew() -> None:
    play = live("/a", "/book", "/b@x")
    play.venue_says(1, "book 1")
    assert play.closed(1) == ["kick c1 1012"]
    assert play.kicks == ["gap in a: fake closed connection 1 with code 1006"]
    assert play.hub.gaps == 2
    assert play.drive(play.wait(4)) == []
    # The snapshot that ends the gap of the book comes after the record that tells of it.
    assert play.notes[-4:] == [
        "GAP 1 book",
        "SUBSCRIBED 3 a,book",
        "GAP 1 a",
        "ACKNOWLEDGED 3 a,book",
    ]
    assert play.hub.gaps == 2
    assert play.venue_says(3, "book 5") == ["c2< book 5"]
    assert play.join(4, "/book") == ["c4< snapshot 5"]  # nothing from before the gap


def test_a_gap_may_be_borne() -> None:
    play = live("/a", close_on_gap=False)
    assert play.closed(1) == []
    play.drive(play.wait(1))
    assert play.notes[-2:] == ["GAP 1 a", "ACKNOWLEDGED 2 a"]
    assert play.venue_says(2, "a 2") == ["c1< a 2"]


def test_refused_after_a_reconnect() -> None:
    play = live("/book")
    play.closed(1)
    assert play.wait(1) == ["open 2 /"]
    play.opened(2)
    play.sent(2)
    assert "kick c1 1012" in play.venue_says(2, "!no 2 gone")
    assert play.kicks == ["book was refused after a reconnect: gone"]


def test_refused_after_a_reconnect_while_its_request_waits_for_its_turn() -> None:
    play = live("/book")
    play.join(2)
    play.say(2, "+b")
    play.sent(1)
    play.say(2, "+book")  # live, but behind b
    assert play.closed(1) == ["open 2 /"]  # to try b alone: perhaps it was the reason
    assert play.wait(1) == ["open 3 /"]
    assert play.opened(3) == ["3> +book #3"]
    assert play.opened(2) == ["2> +b #1"]
    play.sent(3)
    play.sent(2)
    assert play.venue_says(3, "!no 3 gone") == ["kick c1 1012", "close 3"]
    assert play.venue_says(2, "!ok 1") == ["c2< ok +b: b", "c2< no +book: gone"]


# --- pins --------------------------------------------------------------------------------------


def test_a_pinned_stream_needs_no_client_and_stays() -> None:
    play = Play()
    assert play.drive(play.told(play.hub.pin("a", play.now))) == []
    assert play.venue_says(1, "a 1") == []
    assert play.batch.streams == [("a",)]
    play.join(1, "/a")
    play.leave(1)
    assert play.wait(100) == []
    assert play.venue_says(1, "a 2") == []


def test_a_refused_pin_is_asked_for_again() -> None:
    play = Play()
    play.told(play.hub.pin("a", play.now))
    play.opened(1)
    play.sent(1)
    assert play.venue_says(1, "!no 1 not now") == ["close 1"]
    assert play.warnings == [
        "fake:a is not recorded, trying again in 60 s: not now",
        "fake refused a: not now",
    ]
    play.closed(1, 1000)
    assert play.wait(59) == []
    assert play.wait(1) == ["open 2 /"]


# --- real venues -------------------------------------------------------------------------------


def test_binance_raw_and_combined_clients_share_a_stream() -> None:
    play = Play(Binance())
    assert play.join(1, "/ws/btcusdt@trade") == ["open 1 /stream"]
    play.join(2, "/stream")
    play.say(2, '{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":0}')
    assert play.opened(1) == ['1> {"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}']
    play.sent(1)
    data = '{"stream":"btcusdt@trade","data":{"e":"trade","p":"1.00"}}'
    assert play.venue_says(1, '{"result":null,"id":1}', data) == [
        'c2< {"result":null,"id":0}',
        'c1< {"e":"trade","p":"1.00"}',
        f"c2< {data}",
    ]


def test_coinbase_clients_have_their_own_numbers_and_products() -> None:
    play = Play(Coinbase())
    for client in (1, 2):
        play.join(client)
        product = ("BTC-USD", "ETH-USD")[client - 1]
        ask = f'{{"type":"subscribe","channel":"ticker","product_ids":["{product}"]}}'
        assert play.say(client, ask) == ["open 1 /"][client - 1 :]
    lines = play.opened(1)
    while lines:
        lines = play.sent(1)
    assert play.notes == ["SUBSCRIBED 1 heartbeats", "SUBSCRIBED 1 ticker:BTC-USD,ticker:ETH-USD"]

    def frame(number: int, *products: str) -> str:
        tickers = ",".join(f'{{"product_id":"{product}"}}' for product in products)
        events = f'[{{"type":"update","tickers":[{tickers}]}}]'
        return f'{{"channel":"ticker","timestamp":"t","sequence_num":{number},"events":{events}}}'

    held = '{"heartbeats":["heartbeats"],"ticker":["BTC-USD","ETH-USD"]}'
    reply = f'{{"channel":"subscriptions","sequence_num":5,"events":[{{"subscriptions":{held}}}]}}'
    answers = play.venue_says(1, reply)
    assert [line[:3] for line in answers] == ["c1<", "c2<"]
    assert all('"sequence_num":0' in line for line in answers)
    assert play.venue_says(1, frame(6, "BTC-USD"), frame(7, "BTC-USD", "ETH-USD")) == [
        f"c1< {frame(1, 'BTC-USD')}",
        f"c1< {frame(2, 'BTC-USD')}",
        f"c2< {frame(1, 'ETH-USD')}",
    ]


# --- replay ------------------------------------------------------------------------------------


def test_a_recording_in_the_place_of_a_venue() -> None:
    now = Instant(0, 0)
    venue = FakeVenue()
    hub = Hub(venue)
    hub.play(frozenset({"a", "b"}))
    assert hub.next_deadline_ns(now) is None
    assert hub.handle(e.ClientJoined(1, venue.session("/a", "")), now) == []
    (answer,) = hub.handle(e.ClientSaid(1, b"+x", 1), now)
    assert isinstance(answer, e.SendClient)
    assert answer.frames.endswith(b"no +x: stream x is not in this recording")
    batch = Batch(Kind.MESSAGE, 1, 0, 0, [b"a 1", b"b 2", b"a+b 3", b"?"])
    batch.streams = [("a",), ("b",), ("a", "b")]
    hub.route_named(batch)
    assert [(frames, list(clients)) for frames, clients in hub.deliveries()] == [
        (b"\x81\x03a 1\x81\x03a 3", [1])
    ]
    with pytest.raises(AssertionError, match="no upstream in a replay"):
        hub.handle(e.UpstreamOpened(1), now)


def test_an_address_gets_what_the_recording_has_of_it() -> None:
    """A venue says nothing of a name in an address that it does not know; a client waits then."""
    now = Instant(0, 0)
    venue = FakeVenue()
    hub = Hub(venue)
    catalogue = hub.play(frozenset({"a"}))
    assert hub.handle(e.ClientJoined(1, venue.session("/a,x", "")), now) == [
        e.Warn("an address asks for more than there is: stream x is not in this recording")
    ]
    assert catalogue.lacking == {"x": "stream x is not in this recording"}
    assert hub.refused == {"not to be had": 1}
    batch = Batch(Kind.MESSAGE, 1, 0, 0, [b"a 1", b"x 2"])
    batch.streams = [("a",), ("x",)]
    hub.route_named(batch)
    assert [(frames, list(clients)) for frames, clients in hub.deliveries()] == [
        (b"\x81\x03a 1", [1])
    ]


def test_two_venues_share_the_cap() -> None:
    budget, numbers = Budget(3, 2), itertools.count(1)
    one, two = (Play(budget=budget, numbers=numbers) for _ in range(2))
    assert one.join(1, "/a") == ["open 1 /"]
    assert one.join(2, "/a@x") == ["open 2 /x"]
    one.join(3)
    assert one.say(3, "+a@y") == [
        "c3< no +a@y: a@y would need one more upstream connection, and all 3 (--max-connections) "
        "are taken"
    ]
    assert two.join(1, "/a") == ["open 3 /"]
    assert budget.used == 3
    one.leave(2)
    one.wait(10)
    one.closed(2)
    assert budget.used == 2
    assert one.say(3, "+a@y") == ["open 4 /y"]
    assert one.mono_ns == 10 * SECOND


def test_a_binary_message_is_nobodys() -> None:
    """Clients are sent text frames, which a binary payload may break: text is UTF-8."""
    play = Play()
    play.drive(play.join(1, "/a"))
    payloads = [b"a 1", b"a \xff", b"a 3"]
    batch = Batch(Kind.MESSAGE, 1, *play.now, payloads, bytes([TEXT, BINARY, TEXT]))
    assert play.hub.route(batch) == 1
    assert play.do(e.UpstreamSaid(batch, 1)) == ["c1< a 1"]
    assert play.hub.route(batch, 2) == 3
    assert play.fetch() == ["c1< a 3"]
    assert batch.streams == [("a",), (), ("a",)]
