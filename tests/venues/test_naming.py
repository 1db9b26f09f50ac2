from __future__ import annotations

from wsproxy.venues.naming import Naming

TRADE = b'{"stream":"btcusdt@trade","data":{"e":"trade"}}'
SPACED = b'{"stream": "btcusdt@trade", "data": {"e":"trade"}}'


def test_the_venue_names_its_streams() -> None:
    naming = Naming("binance")
    for _ in range(2):
        named = naming([TRADE, SPACED, b'{"result":null,"id":1}', b"\x1f\x8b"], "file")
        assert named == [("btcusdt@trade",), ("btcusdt@trade",), (), ("file",)]


def test_a_venue_that_nobody_knows() -> None:
    assert Naming("kraken")([TRADE, b"x"], "file") == [("file",), ("file",)]
