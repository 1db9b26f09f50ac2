from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.traffic import COINBASE, load, requires_traffic
from wsproxy.venues.base import (
    Data,
    Denied,
    Holding,
    Numbered,
    PathRefused,
    Same,
    Snapshot,
    Unknown,
    Venue,
)
from wsproxy.venues.coinbase import Coinbase

VENUE = Coinbase()
AS_VENUE: Venue = VENUE


def frame(channel: str, events: list[object]) -> bytes:
    whole = {"channel": channel, "timestamp": "t", "sequence_num": 3, "events": events}
    return json.dumps(whole, separators=(",", ":")).encode()


TWO = frame("ticker", [{"tickers": [{"product_id": "A-B"}, {"product_id": "C-D"}]}])
SUBSCRIPTIONS = frame(
    "subscriptions",
    [{"subscriptions": {"heartbeats": ["heartbeats"], "level2": ["BTC-USDC", "ETH-USD"]}}],
)


@pytest.mark.parametrize(
    ("payload", "reading"),
    [
        (TWO, Data(("ticker:A-B", "ticker:C-D"))),
        (frame("heartbeats", [{}]), Data(("heartbeats",))),
        (SUBSCRIPTIONS, Holding(frozenset({"heartbeats", "level2:BTC-USD", "level2:ETH-USD"}))),
        (frame("subscriptions", [{"subscriptions": {}}]), Holding(frozenset())),
        (
            b'{"type":"error","message":"authentication failure"}',
            Denied(None, "authentication failure"),
        ),
        (b'{"type":"error","message":"No","reason":"why"}', Denied(None, "No: why")),
        (b'{"type":"error"}', Denied(None, "refused without a reason")),
    ],
)
def test_readings(payload: bytes, reading: object) -> None:
    assert VENUE.read(payload, "/") == reading


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"garbage",
        b"[]",
        b"{}",
        b"\xff",
        frame("user", [{"orders": []}]),
        frame("subscriptions", [{"subscriptions": 7}]),
        frame("ticker", []),
    ],
)
def test_what_means_nothing_is_unknown_and_stays_as_it_is(payload: bytes) -> None:
    assert isinstance(VENUE.read(payload, "/"), Unknown)
    assert VENUE.key(payload) is None
    if b"sequence_num" not in payload:
        assert VENUE.render(payload, "frames", None) is payload
        assert VENUE.render(payload, "frames", frozenset({"ticker:A-B"})) is payload


def test_frames_are_numbered_for_each_client() -> None:
    head, _, tail = TWO.partition(b":3,")
    assert VENUE.render(TWO, "frames", None) == Numbered(head + b":", b"," + tail)
    assert VENUE.render(TWO, "frames", frozenset({"ticker:C-D"})) == Numbered(
        head + b":", b',"events":[{"tickers":[{"product_id":"C-D"}]}]}'
    )


def test_sessions_are_at_the_root() -> None:
    assert VENUE.session("/", "").view == "frames"
    with pytest.raises(PathRefused):
        VENUE.session("/ws", "")


def test_one_channel_and_a_hundred_products_a_request() -> None:
    level2 = [f"level2:A{n}-USD" for n in range(150)]
    streams = ["ticker:BTC-USD", *level2[:75], "heartbeats", *level2[75:]]
    batches = VENUE.batches(streams)
    assert batches == [
        ("ticker:BTC-USD",),
        tuple(level2[:100]),
        tuple(level2[100:]),
        ("heartbeats",),
    ]
    assert VENUE.batches([]) == []
    assert {VENUE.endpoint(stream) for stream in streams} == {"/"}


def test_requests() -> None:
    assert VENUE.subscribe(("level2:BTC-USD", "level2:ETH-USD"), 1) == (
        b'{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}'
    )
    assert VENUE.unsubscribe(("ticker:BTC-USD",), 2) == (
        b'{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"ticker"}'
    )
    assert VENUE.subscribe(("heartbeats",), 3) == b'{"type":"subscribe","channel":"heartbeats"}'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("level2:BTC-USD", "level2:BTC-USD"),
        ("level2:BTC-USDC", "level2:BTC-USD"),
        ("ticker_batch:USDT-USDC", "ticker_batch:USDT-USDC"),
        ("heartbeats", "heartbeats"),
    ],
)
def test_stream_names(text: str, name: str) -> None:
    assert VENUE.stream(text) == name


@pytest.mark.parametrize(
    "text", ["", "level2", "level2:", "BTC-USD", "user:BTC-USD", "level2:btc-usd", "heartbeats:X-Y"]
)
def test_stream_names_that_coinbase_does_not_have(text: str) -> None:
    with pytest.raises(ValueError, match="names no Coinbase stream"):
        VENUE.stream(text)


def test_subscribing_anew_makes_every_stream_whole() -> None:
    assert VENUE.resnapshots("level2:BTC-USD")
    assert VENUE.resnapshots("heartbeats")
    assert VENUE.profile.keepalive == "heartbeats"
    assert VENUE.state("heartbeats") is None
    assert VENUE.state("level2:BTC-USD") is not None


def test_a_message_is_known_by_its_events() -> None:
    one = frame("ticker", [{"tickers": [{"product_id": "A-B"}]}])
    known = Same(b'[{"tickers":[{"product_id":"A-B"}]}]')
    assert VENUE.mark(one, "ticker:A-B") == known
    elsewhere = one.replace(b'"t"', b'"later"').replace(b":3,", b":4,")
    assert VENUE.mark(elsewhere, "ticker:A-B") == known
    assert VENUE.mark(TWO, "ticker:A-B") == known
    assert VENUE.mark(one, "ticker:C-D") == Same(one)
    assert VENUE.mark(b"garbage", "ticker:A-B") == Same(b"garbage")
    snapshot = frame("l2_data", [{"type": "snapshot", "product_id": "A-B", "updates": []}])
    assert VENUE.mark(snapshot, "level2:A-B") == Snapshot()


def test_the_frames_of_a_connection_are_counted() -> None:
    assert VENUE.sequence(TWO) == 3
    assert VENUE.sequence(b'{"type":"error"}') is None


_products = st.sampled_from(["BTC-USD", "ETH-USD", "USDT-USDC"]) | st.text(max_size=8)
_items = st.lists(st.fixed_dictionaries({"product_id": _products, "x": st.text(max_size=5)}))
_frames = st.builds(
    lambda channel, events, pad: json.dumps(
        {"channel": channel, "sequence_num": 1, "events": events},
        separators=((", ", ": ") if pad else (",", ":")),
    ).encode(),
    st.sampled_from(["l2_data", "market_trades", "ticker", "heartbeats", "user"]),
    st.lists(
        st.fixed_dictionaries({"trades": _items})
        | st.fixed_dictionaries({"tickers": _items})
        | st.fixed_dictionaries({"product_id": _products, "updates": st.just([])})
    ),
    st.booleans(),
)


@given(_frames)
def test_the_quick_way_agrees_with_the_slow_one(payload: bytes) -> None:
    key = VENUE.key(payload)
    reading = VENUE.read(payload, "/")
    if key is not None and isinstance(reading, Data):
        assert VENUE.streams(key, "/") == reading.streams
    if isinstance(reading, Data) and len(reading.streams) > 1:
        for stream in reading.streams:
            part = VENUE.render(payload, "frames", frozenset({stream}))
            assert isinstance(part, Numbered)
            assert VENUE.read(part.head + b"1" + part.tail, "/") == Data((stream,))


@given(st.binary())
def test_arbitrary_bytes_raise_nothing(payload: bytes) -> None:
    assert VENUE.key(payload) is None
    assert isinstance(VENUE.read(payload, "/"), Unknown)
    assert VENUE.render(payload, "frames", frozenset({"level2:A-B"})) == payload
    assert VENUE.mark(payload, "level2:A-B") == Same(payload)
    assert VENUE.sequence(payload) is None


@requires_traffic
def test_recorded_frames_are_named_and_numbered() -> None:
    seen = set()
    for number, line in enumerate(line for line in load(COINBASE) if line.dir == "in"):
        payload = line.m.encode()
        frame = json.loads(line.m)
        rendered = VENUE.render(payload, "frames", None)
        assert isinstance(rendered, Numbered)
        assert rendered.head + b"%d" % number + rendered.tail == payload
        assert VENUE.sequence(payload) == number
        key = VENUE.key(payload)
        if frame["channel"] == "subscriptions":
            assert key is None
            assert VENUE.read(payload, "/") == Holding(
                frozenset(
                    channel if channel == "heartbeats" else f"{channel}:{product}"
                    for channel, products in frame["events"][0]["subscriptions"].items()
                    for product in products
                )
            )
            continue
        assert key is not None
        channel = frame["channel"].replace("l2_data", "level2")
        event = frame["events"][0]
        items = event.get("trades") or event.get("tickers") or event.get("candles") or [event]
        expected = f"{channel}:{items[0]['product_id']}" if channel != "heartbeats" else channel
        assert VENUE.streams(key, "/") == (expected,)
        assert VENUE.read(payload, "/") == Data((expected,))
        mark = VENUE.mark(payload, expected)
        if event.get("type") == "snapshot":
            assert mark == Snapshot()
        else:
            assert mark == Same(payload.partition(b'"events":')[2][:-1])
        seen.add(expected)
    assert len(seen) == 9
