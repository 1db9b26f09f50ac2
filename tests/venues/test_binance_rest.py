from __future__ import annotations

import pytest

from wsproxy.venues.base import Rest, RestRequest
from wsproxy.venues.binance_rest import BinanceRest
from wsproxy.venues.binance_session import MICROSECONDS

REST: Rest = BinanceRest()


@pytest.mark.parametrize(
    ("stream", "depth", "request_"),
    [
        ("btcusdt@depth", 100, RestRequest("/api/v3/depth?symbol=BTCUSDT&limit=100", 5)),
        ("btcusdt@depth@100ms", 101, RestRequest("/api/v3/depth?symbol=BTCUSDT&limit=101", 25)),
        ("btcusdt@depth", 500, RestRequest("/api/v3/depth?symbol=BTCUSDT&limit=500", 25)),
        ("btcusdt@depth", 1000, RestRequest("/api/v3/depth?symbol=BTCUSDT&limit=1000", 50)),
        ("btcusdt@depth", 5000, RestRequest("/api/v3/depth?symbol=BTCUSDT&limit=5000", 250)),
        (
            "btcusdt@depth" + MICROSECONDS,
            1000,
            RestRequest("/api/v3/depth?symbol=BTCUSDT&limit=1000", 50),
        ),
        ("币安@depth", 1, RestRequest("/api/v3/depth?symbol=%E5%B8%81%E5%AE%89&limit=1", 5)),
        ("btcusdt@depth20@100ms", 1000, None),
        ("btcusdt@trade", 1000, None),
        ("!miniTicker@arr", 1000, None),
    ],
)
def test_books_of_differences_need_a_snapshot(
    stream: str, depth: int, request_: RestRequest | None
) -> None:
    assert REST.snapshot(stream, depth) == request_


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b'{"lastUpdateId":1027024,"bids":[["4.0","431.0"]],"asks":[]}', 1_027_024),
        (b'{"code":-1121,"msg":"Invalid symbol."}', None),
        (b"<html>", None),
        (b'{"lastUpdateId":"x"}', None),
        (b"\xff", None),
    ],
)
def test_a_snapshot_has_a_number(body: bytes, number: int | None) -> None:
    assert REST.number(body) == number


@pytest.mark.parametrize(
    ("body", "time_ns"),
    [(b'{"serverTime":1499827319559}', 1_499_827_319_559_000_000), (b"{}", None), (b"", None)],
)
def test_the_venue_tells_its_time(body: bytes, time_ns: int | None) -> None:
    assert REST.time_ns(body) == time_ns


@pytest.mark.parametrize(
    ("url", "concerns"),
    [
        ("https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000", True),
        ("https://www.binance.com/api/v1/depth?limit=1000&symbol=btcusdt", True),
        ("https://api.binance.com/api/v3/depth?symbol=ETHUSDT&limit=1000", False),
        ("https://api.binance.com/api/v3/exchangeInfo", None),
        ("REST depth snapshot (url not recorded)", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_the_url_tells_the_market(url: str, concerns: bool | None) -> None:
    assert REST.concerns(url, "btcusdt@depth@100ms" + MICROSECONDS) is concerns


def test_a_snapshot_is_a_book() -> None:
    body = '{"lastUpdateId":3,"bids":[],"asks":[["1","1"]]}'
    book = REST.book(body.encode())
    assert (book.number, book.text(1)) == (3, body)
