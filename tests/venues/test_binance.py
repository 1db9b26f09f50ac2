from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.traffic import BINANCE_BTC, BINANCE_MANY, load, requires_traffic
from wsproxy.venues.base import Acknowledged, Data, Denied, Notice, Same, Span, Unknown, Venue
from wsproxy.venues.binance import Binance

BINANCE = Binance()
AS_VENUE: Venue = BINANCE
MICRO = "?timeUnit=MICROSECOND"

TRADE = b'{"stream":"btcusdt@trade","data":{"e":"trade","p":"1.50"}}'
SHUTDOWN = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'


@pytest.mark.parametrize(
    ("payload", "stream", "raw"),
    [
        (TRADE, "btcusdt@trade", b'{"e":"trade","p":"1.50"}'),
        (b'{"stream":"!miniTicker@arr","data":[{"s":"X"}]}', "!miniTicker@arr", b'[{"s":"X"}]'),
        (b'{"stream":"!miniTicker@arr","data":[]}', "!miniTicker@arr", b"[]"),
        (b'{"stream":"a@b","data":{"x":"\\"}}"}}', "a@b", b'{"x":"\\"}}"}'),
        (b'{"stream":"a@b","data":{"x":1.50},"more":7}', "a@b", b'{"x":1.50}'),
        (b'{"stream":"a@b","data":{"x":1.50}}\n', "a@b", b'{"x":1.50}'),
        (b'{ "stream": "a@b", "data": {"x": 1.50} }', None, b'{"x": 1.50}'),
        (b'{"data":{"x":1.50},"stream":"a@b"}', None, b'{"x":1.50}'),
        (b'{"stream":"a\\u0040b","data":{"x":1.50}}', None, b'{"x":1.50}'),
        (SHUTDOWN, None, b'{"e":"serverShutdown","E":1770123456789}'),
        (b'{"result":null,"id":1}', None, b'{"result":null,"id":1}'),
        (b"garbage", None, b"garbage"),
        (b'{"stream":"a@b","data":', "a@b", b'{"stream":"a@b","data":'),
    ],
)
def test_keys_and_views(payload: bytes, stream: str | None, raw: bytes) -> None:
    key = BINANCE.key(payload)
    assert (key is None) == (stream is None)
    if key is not None:
        assert BINANCE.streams(key, "/stream") == (stream,)
        assert BINANCE.keys([payload, payload]) == [key, key]
    assert BINANCE.render(payload, "raw", None) == raw
    assert BINANCE.render_all([payload, TRADE], "raw") == [raw, b'{"e":"trade","p":"1.50"}']
    assert BINANCE.render(payload, "combined", None) is payload
    assert BINANCE.render_all(both := [payload, TRADE], "combined") is both


@pytest.mark.parametrize(
    ("payload", "reading"),
    [
        (TRADE, Data(("btcusdt@trade",))),
        (b'{"data":{"x":1},"stream":"a\\u0040b"}', Data(("a@b",))),
        (SHUTDOWN, Notice("the server will shut down", is_leaving=True)),
        (b'{"e":"serverShutdown","E":1}', Notice("the server will shut down", is_leaving=True)),
        (b'{"result":null,"id":7}', Acknowledged(7)),
        (b'{"result":["a@trade"],"id":8}', Acknowledged(8)),
        (b'{"error":{"code":2,"msg":"Invalid"},"id":4}', Denied(4, "Invalid (code 2)")),
        (
            b'{"error":{"code":4,"msg":"Too many subscriptions"},"id":"x"}',
            Denied(None, "Too many subscriptions (code 4)"),
        ),
        (b'{"code":3,"msg":"Invalid JSON"}', Denied(None, "Invalid JSON (code 3)")),
        (b'{"error":{}}', Denied(None, "refused without a reason (code None)")),
    ],
)
def test_readings(payload: bytes, reading: object) -> None:
    assert BINANCE.read(payload, "/stream") == reading


@pytest.mark.parametrize(
    "payload", [b"", b"garbage", b"[]", b"{}", b'{"stream":7,"data":{}}', b"\xff", b'{"id":1}']
)
def test_what_means_nothing_is_unknown(payload: bytes) -> None:
    assert isinstance(BINANCE.read(payload, "/stream"), Unknown)


def test_the_endpoint_tells_the_time_unit() -> None:
    assert BINANCE.endpoint("a@trade") == "/stream"
    assert BINANCE.endpoint("a@trade" + MICRO) == "/stream" + MICRO
    key = BINANCE.key(TRADE)
    assert key is not None
    assert BINANCE.streams(key, "/stream") == ("btcusdt@trade",)
    assert BINANCE.streams(key, "/stream" + MICRO) == ("btcusdt@trade" + MICRO,)
    assert BINANCE.read(TRADE, "/stream" + MICRO) == Data(("btcusdt@trade" + MICRO,))
    assert BINANCE.streams(key.replace(b"btc", b"\xff"), "/stream") == ()


def test_requests() -> None:
    assert BINANCE.subscribe(("a@trade", "!miniTicker@arr"), 7) == (
        b'{"method":"SUBSCRIBE","params":["a@trade","!miniTicker@arr"],"id":7}'
    )
    assert BINANCE.unsubscribe(("a@trade" + MICRO,), 8) == (
        b'{"method":"UNSUBSCRIBE","params":["a@trade"],"id":8}'
    )


@given(
    st.lists(
        st.integers(2, 90).map(lambda n: "s" * n + "@trade") | st.just("币安人生usdt@trade"),
        max_size=500,
    )
)
def test_batches_keep_order_and_limits(streams: list[str]) -> None:
    batches = BINANCE.batches(streams)
    assert [stream for batch in batches for stream in batch] == streams
    for batch in batches:
        assert 1 <= len(batch) <= 200
        assert len(BINANCE.unsubscribe(batch, 2**62)) <= 4096
    for batch, following in pairwise(batches):
        grown = (*batch, following[0])
        assert len(grown) > 200 or len(BINANCE.unsubscribe(grown, 2**63)) > 4096 - 2


@pytest.mark.parametrize("name", ["btcusdt@depth@100ms", "a@kline_1m@+08:00", "!miniTicker@arr"])
def test_stream_names_are_kept(name: str) -> None:
    assert BINANCE.stream(name) == name
    assert BINANCE.stream(name + MICRO) == name + MICRO


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("BTCUSDT@trade", "lower case"),
        ("btcusdt", "names no Binance stream"),
        ("", "names no Binance stream"),
        ("@trade", "names no Binance stream"),
        ("a@b c", "names no Binance stream"),
        ("a@trade?timeUnit=HOUR", "names no Binance stream"),
    ],
)
def test_stream_names_that_binance_does_not_have(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        BINANCE.stream(text)


def test_a_message_is_known_by_its_numbers() -> None:
    assert BINANCE.mark(b'{"t":7}', "btcusdt@trade") == Span(7, 7, gapless=True)
    assert BINANCE.mark(TRADE, "btcusdt@kline_1m") == Same(TRADE)
    assert BINANCE.sequence(TRADE) is None


def test_there_is_no_state() -> None:
    assert BINANCE.state("btcusdt@depth") is None
    assert not BINANCE.resnapshots("btcusdt@depth")


_names = st.text(min_size=1, max_size=12)
_envelopes = st.builds(
    lambda name, data, pad: json.dumps(
        {"stream": name, "data": data},
        separators=((", ", ": ") if pad else (",", ":")),
        ensure_ascii=pad,
    ).encode(),
    _names,
    st.dictionaries(_names, _names | st.integers()) | st.lists(st.integers()),
    st.booleans(),
)


@given(_envelopes)
def test_the_quick_way_agrees_with_the_slow_one(payload: bytes) -> None:
    message = json.loads(payload)
    reading = BINANCE.read(payload, "/stream")
    assert reading == Data((message["stream"],))
    key = BINANCE.key(payload)
    if key is not None:
        assert BINANCE.streams(key, "/stream") == reading.streams
        assert BINANCE.keys([payload]) == [key]
    raw = BINANCE.render(payload, "raw", None)
    assert isinstance(raw, bytes)
    assert json.loads(raw) == message["data"]
    assert raw in payload
    assert BINANCE.render_all([payload], "raw") == [raw]


@given(st.binary())
def test_arbitrary_bytes_raise_nothing(payload: bytes) -> None:
    assert isinstance(BINANCE.read(payload, "/stream"), Unknown | Denied | Data)
    assert BINANCE.render(payload, "raw", None) == payload
    assert BINANCE.render_all([payload], "raw") == [payload]


@pytest.mark.parametrize(
    ("payload", "time"),
    [
        (b'{"data":{"e":"trade","E":1770123456789,"T":1770123456788}}', 1770123456789_000000),
        (b'{"data":{"E":1770123456789123}}', 1770123456789123_000),
        (b'{"data":[{"s":"X","E":1770123456789}]}', 1770123456789_000000),
        (b'{"data":{"T":1770123456788,"s":"X"}}', 1770123456788_000000),
        (b'{"data":{"lastUpdateId":1,"bids":[["1","2"]]}}', None),
        (b'{"data":{"s":"\\"E\\":1770123456789"}}', None),
        (b'{"data":{"E":177012345678}}', None),
        (b'{"data":{"E":17701234567891}}', None),
        (b"garbage", None),
    ],
)
def test_when_a_message_was_sent(payload: bytes, time: int | None) -> None:
    assert BINANCE.event_time(payload) == time


@requires_traffic
def test_recorded_messages_were_sent_a_second_before_or_behind() -> None:
    """The clock of that machine was 1.2 s behind: see the traffic's README."""
    timed = 0
    for line in load(BINANCE_BTC):
        sent = BINANCE.event_time(line.m.encode())
        assert (sent is None) == ("@bookTicker" in line.m)
        if sent is not None:
            timed += 1
            assert -2e9 < line.t - sent < -1e9
    assert timed > 10_000


@requires_traffic
@pytest.mark.parametrize(
    ("name", "streams"),
    [(BINANCE_BTC, 3), ("binance__hftb-btcusdt_20240809", 3), (BINANCE_MANY, 28)],
)
def test_recorded_messages_are_named_and_unwrapped(name: str, streams: int) -> None:
    seen = set()
    for line in load(name):
        payload = line.m.encode()
        head, sep, rest = payload.partition(b'","data":')
        assert sep
        key = BINANCE.key(payload)
        assert key == head + b'"'
        assert BINANCE.keys([payload]) == [key]
        assert BINANCE.render(payload, "raw", None) == rest[:-1]
        seen.add(key)
    assert len(seen) == streams
    for line in load(name)[::500]:
        payload = line.m.encode()
        key = BINANCE.key(payload)
        assert key is not None
        assert BINANCE.read(payload, "/stream") == Data(BINANCE.streams(key, "/stream"))
