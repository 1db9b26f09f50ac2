from __future__ import annotations

import json

import pytest

from wsproxy.venues import coinbase_frames as frames
from wsproxy.venues.base import Numbered
from wsproxy.venues.coinbase_frames import Unreadable

HEAD = b'{"channel":"%b","timestamp":"2026-08-09T21:05:48.2Z","sequence_num":13,"events":['


def frame(channel: bytes, *events: bytes) -> bytes:
    return HEAD % channel + b",".join(events) + b"]}"


def l2(product: bytes, kind: bytes = b"update") -> bytes:
    return (
        b'{"type":"%b","product_id":"%b","updates":[{"side":"bid","event_time":"t",'
        b'"price_level":"1.50","new_quantity":"2.0"}]}' % (kind, product)
    )


def trade(product: bytes, number: int = 1) -> bytes:
    return b'{"product_id":"%b","trade_id":"%d","price":"1.50"}' % (product, number)


def trades(*items: bytes) -> bytes:
    return b'{"type":"update","trades":[%b]}' % b",".join(items)


def tickers(*products: bytes) -> bytes:
    items = (b'{"type":"ticker","product_id":"%b"}' % product for product in products)
    return b'{"type":"update","tickers":[%b]}' % b",".join(items)


BEAT = frame(b"heartbeats", b'{"current_time":"now","heartbeat_counter":42}')
CANDLE = frame(b"candles", b'{"type":"update","candles":[{"start":"1","product_id":"BTC-USD"}]}')
STATUS = frame(b"status", b'{"type":"snapshot","products":[{"id":"BTC-USD"},{"id":"ETH-USD"}]}')


@pytest.mark.parametrize(
    ("payload", "key", "streams"),
    [
        (frame(b"l2_data", l2(b"BTC-USD")), b"l2_data BTC-USD", ("level2:BTC-USD",)),
        (
            frame(b"l2_data", l2(b"ETH-USD"), l2(b"BTC-USD"), l2(b"ETH-USD")),
            b"l2_data BTC-USD ETH-USD",
            ("level2:BTC-USD", "level2:ETH-USD"),
        ),
        (frame(b"l2_data", l2(b"USDT-USDC")), b"l2_data USDT-USDC", ("level2:USDT-USDC",)),
        (
            frame(b"market_trades", trades(trade(b"BTC-USD"), trade(b"BTC-USD", 2))),
            b"market_trades BTC-USD",
            ("market_trades:BTC-USD",),
        ),
        (
            frame(b"ticker", tickers(b"BTC-USD", b"ETH-USD"), tickers(b"ADA-USD")),
            b"ticker ADA-USD BTC-USD ETH-USD",
            ("ticker:ADA-USD", "ticker:BTC-USD", "ticker:ETH-USD"),
        ),
        (frame(b"ticker_batch", tickers(b"A-B")), b"ticker_batch A-B", ("ticker_batch:A-B",)),
        (CANDLE, b"candles BTC-USD", ("candles:BTC-USD",)),
        (BEAT, b"heartbeats", ("heartbeats",)),
        (
            frame(b"ticker", b'{"note":"\\"product_id\\":\\"X-Y\\"",%b' % tickers(b"A-B")[1:]),
            b"ticker A-B",
            ("ticker:A-B",),
        ),
    ],
)
def test_keys_name_channel_and_products(
    payload: bytes, key: bytes, streams: tuple[str, ...]
) -> None:
    assert frames.key(payload) == key
    assert frames.streams(key) == streams
    assert frames.names(*frames.products(payload)) == streams


@pytest.mark.parametrize(
    ("payload", "key"),
    [
        (frame(b"l2_data", l2(b"A-B")), b"l2_data A-B"),
        (frame(b"l2_data", l2(b"A-B")) + b" \n", b"l2_data A-B"),
        (frame(b"l2_data", l2(b"A-B").replace(b'"bid"', b'"]b{id"')), b"l2_data A-B"),
        (frame(b"l2_data", l2(b"A-B"), l2(b"A-B")), b"l2_data A-B"),
        (frame(b"l2_data", l2(b"C-D"), l2(b"A-B")), b"l2_data A-B C-D"),
        (frame(b"l2_data", l2(b"C-D"), b'{"product_id":"A-B"}'), b"l2_data A-B C-D"),
        (frame(b"l2_data", l2(b"C-D")[:-1] + b',"x":[{"product_id":"A-B"}]}'), b"l2_data A-B C-D"),
        (frame(b"ticker", tickers(b"A-B")), b"ticker A-B"),
        (frame(b"ticker", tickers(b"C-D", b"A-B")), b"ticker A-B C-D"),
        (frame(b"ticker", tickers(b"C-D"), tickers(b"A-B")), b"ticker A-B C-D"),
        (frame(b"ticker_batch", tickers(b"A-B", b"A-B")), b"ticker_batch A-B"),
        (frame(b"market_trades", trades(trade(b"A-B"))), b"market_trades A-B"),
        (frame(b"market_trades", trades(trade(b"C-D"), trade(b"A-B"))), b"market_trades A-B C-D"),
        (frame(b"market_trades", trades(trade(b"A-B"), trade(b"a-b"))), None),
    ],
)
def test_a_frame_that_begins_in_an_unusual_way_has_the_same_key(
    payload: bytes, key: bytes | None
) -> None:
    assert frames.key(payload) == key
    assert frames.key(payload.replace(b'"events":', b'"new":0,"events":')) == key


@pytest.mark.parametrize(
    ("payload", "streams"),
    [
        (STATUS, ("status:BTC-USD", "status:ETH-USD")),
        (b" " + frame(b"l2_data", l2(b"BTC-USD")), ("level2:BTC-USD",)),
        (
            frame(b"l2_data", l2(b"BTC-USD").replace(b'":"BTC', b'" : "BTC')),
            ("level2:BTC-USD",),
        ),
        (frame(b"ticker", tickers(b"A\\u002dB")), ("ticker:A-B",)),
        (b'{"events":[%b],"channel":"l2_data"}' % l2(b"BTC-USD"), ("level2:BTC-USD",)),
    ],
)
def test_the_unusual_goes_the_slow_way(payload: bytes, streams: tuple[str, ...]) -> None:
    assert frames.key(payload) is None
    assert frames.names(*frames.products(payload)) == streams


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"garbage",
        b"{}",
        b"[]",
        b'{"channel":7,"events":[]}',
        frame(b"user", trades(trade(b"BTC-USD"))),
        frame(b"l2_data"),
        frame(b"l2_data", b'{"type":"update","updates":[]}'),
        frame(b"market_trades", b'{"type":"snapshot","trades":[]}'),
        frame(b"market_trades", b'{"type":"snapshot"}'),
        frame(b"market_trades", b'{"type":"snapshot","trades":[{"price":"1"}]}'),
        frame(b"market_trades", b'{"type":"snapshot","trades":[7]}'),
    ],
)
def test_what_is_no_market_data_has_no_products(payload: bytes) -> None:
    assert frames.key(payload) is None
    with pytest.raises(Unreadable):
        frames.products(payload)


def test_only_keeps_the_events_of_the_wanted_products() -> None:
    payload = frame(b"l2_data", l2(b"BTC-USD"), l2(b"ETH-USD", b"snapshot"), l2(b"ADA-USD"))
    assert frames.only(payload, {"level2:ETH-USD"}) == (
        frame(b"l2_data", l2(b"ETH-USD", b"snapshot"))
    )
    assert frames.only(payload, {"level2:ADA-USD", "level2:BTC-USD"}) == (
        frame(b"l2_data", l2(b"BTC-USD"), l2(b"ADA-USD"))
    )


def test_only_keeps_the_items_of_the_wanted_products() -> None:
    btc, eth, btc2 = trade(b"BTC-USD"), trade(b"ETH-USD", 2), trade(b"BTC-USD", 3)
    payload = frame(b"market_trades", trades(btc, eth), trades(eth), trades(btc2, eth))
    assert frames.only(payload, {"market_trades:BTC-USD"}) == (
        frame(b"market_trades", trades(btc), trades(btc2))
    )
    assert frames.only(STATUS, {"status:ETH-USD"}) == (
        frame(b"status", b'{"type":"snapshot","products":[{"id":"ETH-USD"}]}')
    )


def test_only_keeps_unknown_members_and_tokens() -> None:
    payload = (
        b'{ "channel":"ticker", "new" : 1.50e3, "sequence_num" : 4,'
        b' "events":[{"x":[1.0],"tickers":['
        b'{ "product_id":"A-B", "p":0.10 },{"product_id":"C-D"}]}]}'
    )
    assert frames.only(payload, {"ticker:A-B"}) == (
        b'{"channel":"ticker","new":1.50e3,"sequence_num":4,'
        b'"events":[{"x":[1.0],"tickers":[{ "product_id":"A-B", "p":0.10 }]}]}'
    )


@pytest.mark.parametrize(
    ("payload", "head", "tail"),
    [
        (BEAT, BEAT.partition(b"13,")[0], b"," + BEAT.partition(b"13,")[2]),
        (b'{"events":[],"sequence_num" : 9}', b'{"events":[],"sequence_num" : ', b"}"),
    ],
)
def test_the_sequence_number_gives_way(payload: bytes, head: bytes, tail: bytes) -> None:
    assert frames.numbered(payload) == Numbered(head, tail)


def test_the_content_of_a_stream() -> None:
    alone = frame(b"l2_data", l2(b"A-B"), l2(b"A-B"))
    assert frames.content(alone, "level2:A-B") == b"[%b,%b]" % (l2(b"A-B"), l2(b"A-B"))
    shared = frame(b"l2_data", l2(b"C-D"), l2(b"A-B"))
    assert frames.content(shared, "level2:A-B") == b"[%b]" % l2(b"A-B")
    spaced = alone.replace(b'"events":', b'"events" : ')
    assert frames.content(spaced, "level2:A-B") == frames.content(alone, "level2:A-B")
    assert frames.content(BEAT, "heartbeats") == BEAT.partition(b'"events":')[2][:-1]
    with pytest.raises(Unreadable, match="without level2:E-F"):
        frames.content(shared, "level2:E-F")


@pytest.mark.parametrize(
    ("payload", "number"),
    [
        (BEAT, 13),
        (b'{"sequence_num" : 9}', 9),
        (b'{"sequence_num":%b}' % (b"9" * 5000), None),
        (b"{}", None),
    ],
)
def test_the_number_of_a_frame(payload: bytes, number: int | None) -> None:
    assert frames.sequence(payload) == number


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"x":"\\"sequence_num\\":7"}'])
def test_without_a_sequence_number_the_frame_stays(payload: bytes) -> None:
    assert frames.numbered(payload) is payload


@pytest.mark.parametrize(
    ("product", "canonical"),
    [
        ("BTC-USDC", "BTC-USD"),
        ("BTC-USD", "BTC-USD"),
        ("ETH-EUR", "ETH-EUR"),
        ("USDC-EUR", "USDC-EUR"),
        ("BIT-28JUL23-CDE", "BIT-28JUL23-CDE"),
        *((f"{base}-USDC", f"{base}-USDC") for base in ("USDT", "EURC", "XSGD", "TGBP", "AUDD")),
    ],
)
def test_aliases(product: str, canonical: str) -> None:
    assert frames.is_product(product)
    assert frames.stream_name("level2", product) == f"level2:{canonical}"
    assert frames.stream_name("l2_data", product) == f"level2:{canonical}"


@pytest.mark.parametrize("text", ["", "BTC", "btc-usd", "BTC-", "-USD", "BTC/USD", "BTC-USD\n"])
def test_no_products(text: str) -> None:
    assert not frames.is_product(text)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (b"2026-08-09T21:05:52.89675333Z", 1786309552_896753330),
        (b"2026-08-09T21:05:52.1Z", 1786309552_100000000),
        (b"2026-08-09T21:05:52Z", 1786309552_000000000),
        (b"2026-13-09T21:05:52Z", None),
        (b"2026-08-09T21:05:52.0123456789Z", None),
        (b"yesterday", None),
    ],
)
def test_when_a_frame_was_sent(text: bytes, time: int | None) -> None:
    head = b'{"channel":"heartbeats","timestamp":"%b","sequence_num":1,"events":[]}'
    assert frames.event_time(head % text) == time
    assert frames.event_time(b'{"channel":"heartbeats","events":[]}') is None


def test_closed_and_opened_are_inverse() -> None:
    payload = json.dumps(json.loads(BEAT), separators=(",", ":")).encode()
    members, channel, events = frames.opened(payload)
    assert channel == "heartbeats"
    assert frames.closed(members, events) == payload
