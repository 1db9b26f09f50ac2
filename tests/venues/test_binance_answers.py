from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from wsproxy.venues.base import Book, RestAnswer
from wsproxy.venues.binance_answers import answer, depth_streams, symbol_of
from wsproxy.venues.binance_book import BinanceBook

SNAPSHOT = b'{"lastUpdateId":7,"bids":[["2","1"],["1","1"]],"asks":[["3","1"],["4","1"]]}'
INFO = b'{"symbols":[{"symbol":"BTCUSDT"},{"symbol":"LTCBTC"}]}'
STREAMS = {"btcusdt@depth@100ms", "btcusdt@depth", "ethusdt@trade", "bnbusdt@depth", "!ticker@arr"}


class Known:
    """A moment of a recording in which one book is known."""

    wall_ns = 1_499_827_319_559_123_456

    def __init__(self, info: bytes | None = None) -> None:
        self.streams = STREAMS
        self.info = info
        self.asked: list[str] = []

    def attached(self, path: str) -> bytes | None:
        return self.info

    def book(self, streams: Sequence[str]) -> Book | None:
        self.asked.extend(streams)
        return BinanceBook(SNAPSHOT) if "btcusdt@depth" in streams else None


def get(target: str, past: Known | None = None) -> RestAnswer:
    path, _, query = target.partition("?")
    found = answer(path, query, past or Known())
    assert found is not None
    return found


def test_time_and_ping() -> None:
    assert get("/api/v3/time") == RestAnswer(200, '{"serverTime":1499827319559}')
    assert get("/api/v3/ping") == RestAnswer(200, "{}")


def test_a_book_comes_of_the_symbols_depth_streams() -> None:
    past = Known()
    found = get("/api/v3/depth?symbol=BTCUSDT&limit=1", past)
    assert found == RestAnswer(200, '{"lastUpdateId":7,"bids":[["2","1"]],"asks":[["3","1"]]}')
    assert past.asked == ["btcusdt@depth", "btcusdt@depth@100ms"]
    assert get("/api/v3/depth?symbol=BTCUSDT").text == SNAPSHOT.decode()
    assert get("/api/v3/depth?symbol=BTCUSDT&limit=99999").status == 200


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("depth", -1102, "Mandatory parameter 'symbol' was not sent"),
        ("depth?limit=5", -1102, "Mandatory parameter 'symbol' was not sent"),
        ("depth?symbol=", -1105, "Parameter 'symbol' was empty."),
        ("depth?symbol=btcusdt", -1100, "Illegal characters found in parameter 'symbol'"),
        ("depth?symbol=BTC%2FUSDT", -1100, r"'^[\w\-._&&[^a-z]]{1,50}$'"),
        ("depth?symbol=BTCUSDT&limit=x", -1100, "Illegal characters found in parameter 'limit'"),
        ("depth?symbol=BTCUSDT&limit=0", -1130, "Data sent for parameter 'limit' is not valid."),
        ("depth?symbol=LTCBTC", -1121, "Invalid symbol."),
        ("depth?symbol=ETHUSDT", -1000, "holds no depth stream of ETHUSDT"),
        ("depth?symbol=BNBUSDT", -1000, "holds no snapshot of BNBUSDT"),
        ("exchangeInfo?symbol=LTCBTC", -1121, "Invalid symbol."),
        ("exchangeInfo?symbols=BTCUSDT", -1130, "Data sent for parameter 'symbols'"),
    ],
)
def test_errors_are_the_venues(target: str, code: int, words: str) -> None:
    status, text = get(f"/api/v3/{target}")
    assert status == 400
    error = json.loads(text)
    assert error["code"] == code
    assert words in error["msg"]


def test_the_recorded_list_of_markets_is_given_as_it_is() -> None:
    past = Known(INFO)
    assert get("/api/v3/exchangeInfo", past).text == INFO.decode()
    one = get('/api/v3/exchangeInfo?symbols=["LTCBTC"]', past)
    assert one.text == '{"symbols":[{"symbol":"LTCBTC"}]}'
    assert get("/api/v3/exchangeInfo?symbol=XRPBTC", past).status == 400


def test_without_one_the_markets_are_those_of_the_streams() -> None:
    info = json.loads(get("/api/v3/exchangeInfo").text)
    assert [one["symbol"] for one in info["symbols"]] == ["BNBUSDT", "BTCUSDT", "ETHUSDT"]
    assert info["serverTime"] == 1499827319559
    two = json.loads(get('/api/v3/exchangeInfo?symbols=["ETHUSDT","BTCUSDT","ETHUSDT"]').text)
    assert [one["symbol"] for one in two["symbols"]] == ["ETHUSDT", "BTCUSDT"]


def test_other_paths() -> None:
    assert get("/api/v3/klines?symbol=BTCUSDT").status == 404
    assert answer("/ws/btcusdt@trade", "", Known()) is None


def test_symbols_of_streams() -> None:
    assert symbol_of("btcusdt@depth@100ms?timeUnit=MICROSECOND") == "BTCUSDT"
    assert symbol_of("!miniTicker@arr") == ""
    names = ["x@depth", "x@depth5", "x@depth?timeUnit=MICROSECOND", "x@trade", "y@depth"]
    assert depth_streams(names, "X") == ["x@depth", "x@depth?timeUnit=MICROSECOND"]
