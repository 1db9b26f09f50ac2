from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.traffic import BINANCE_BTC, BINANCE_MANY, load, requires_traffic
from wsproxy.venues.base import Same, Span
from wsproxy.venues.binance_marks import mark, numbers

DIFF = (
    b'{"stream":"btcusdt@depth","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":157,"u":160,'
    b'"b":[["0.0024","10"]],"a":[]}}'
)
PARTIAL = b'{"stream":"s","data":{"lastUpdateId":160,"bids":[],"asks":[]}}'
TRADE = b'{"stream":"s","data":{"e":"trade","E":9,"s":"B","t":12345,"p":"0.001","T":8,"m":true}}'
AGGREGATE = b'{"stream":"s","data":{"e":"aggTrade","E":9,"s":"B","a":77,"f":100,"l":105,"T":8}}'
TICKER = b'{"stream":"s","data":{"u":400900217,"s":"BNB","b":"25.3","B":"31","a":"25.4","A":"4"}}'


@pytest.mark.parametrize(
    ("stream", "payload", "span"),
    [
        ("btcusdt@depth", DIFF, Span(157, 160, gapless=True)),
        ("btcusdt@depth@100ms", DIFF, Span(157, 160, gapless=True)),
        ("btcusdt@depth?timeUnit=MICROSECOND", DIFF, Span(157, 160, gapless=True)),
        ("btcusdt@depth20", PARTIAL, Span(160, 160, gapless=False)),
        ("btcusdt@depth5@100ms", PARTIAL, Span(160, 160, gapless=False)),
        ("btcusdt@trade", TRADE, Span(12345, 12345, gapless=True)),
        ("btcusdt@aggTrade", AGGREGATE, Span(77, 77, gapless=True)),
        ("bnbusdt@bookTicker", TICKER, Span(400900217, 400900217, gapless=False)),
    ],
)
def test_numbers(stream: str, payload: bytes, span: Span) -> None:
    assert mark(payload, stream) == span
    read = numbers(stream)
    assert (read is not None) == span.gapless
    if read is not None:
        numbers_ = (span.first, span.last)
        assert read([payload] * 3) == [numbers_] * 3
        assert read([payload, b'{"stream":"s","data":{}}', payload]) == [numbers_, None, numbers_]
        unusual = payload.replace(b"stream", b't":"","a":"","U":"","')
        assert read([unusual, payload]) == [numbers_] * 2


@pytest.mark.parametrize(
    ("stream", "payload"),
    [
        ("btcusdt@kline_1m", TRADE),
        ("!miniTicker@arr", TRADE),
        ("btcusdt", TRADE),
        ("btcusdt@trade", PARTIAL),
        ("btcusdt@trade", TRADE.replace(b"12345", b'"12345"')),
        ("btcusdt@trade", TRADE.replace(b"12345", b"9" * 5000)),
        ("btcusdt@trade", b'{"x":"\\"t\\":7"}'),
        ("btcusdt@depth", b"\xff"),
    ],
)
def test_what_has_no_number_is_the_same_as_its_equal(stream: str, payload: bytes) -> None:
    assert mark(payload, stream) == Same(payload)


@given(st.binary(), st.sampled_from(["a@trade", "a@depth", "a@depth5", "a@bookTicker"]) | st.text())
def test_nothing_raises(payload: bytes, stream: str) -> None:
    assert mark(payload, stream) == Same(payload)


@requires_traffic
@pytest.mark.parametrize("name", [BINANCE_BTC, "binance__hftb-btcusdt_20240809", BINANCE_MANY])
def test_recorded_numbers_are_what_they_promise(name: str) -> None:
    spans: dict[str, list[Span]] = defaultdict(list)
    for line in load(name):
        stream = line.m[len('{"stream":"') : line.m.index('"', len('{"stream":"'))]
        found = mark(line.m.encode(), stream)
        assert isinstance(found, Span)
        data = json.loads(line.m)["data"]
        last = {"trade": "t", "aggTrade": "a"}.get(data.get("e"), "u")
        assert (found.first, found.last) == (data.get("U", data[last]), data[last])
        spans[stream].append(found)
    for stream, series in spans.items():
        gapless = "bookTicker" not in stream
        assert {span.gapless for span in series} == {gapless}
        steps = {after.first - before.last for before, after in pairwise(series)}
        assert steps <= {1} if gapless else min(steps) >= 1
