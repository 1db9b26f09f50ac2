from __future__ import annotations

import json

from wsproxy.venues.binance_markets import made_up, markets_of

BODY = b'{"timezone":"UTC","symbols":[{"symbol":"A","x":1.10},{"symbol":"B"}],"more":[1]}'


def test_a_recorded_list_is_cut_and_otherwise_left_as_it_is() -> None:
    assert (
        markets_of(BODY, ["A"])
        == '{"timezone":"UTC","symbols":[{"symbol":"A","x":1.10}],"more":[1]}'
    )
    assert markets_of(BODY, ["A", "C"]) is None
    assert markets_of(b"<html>", ["A"]) is None
    assert markets_of(b"{}", ["A"]) is None


def test_markets_are_split_at_the_longest_quote_asset() -> None:
    info = json.loads(made_up(["BTCUSDT", "ETHBTC", "BTCFDUSD", "USDCUSDT", "1000SATSTRY"], 7))
    assert info["serverTime"] == 7
    assert [(one["baseAsset"], one["quoteAsset"]) for one in info["symbols"]] == [
        ("BTC", "USDT"),
        ("ETH", "BTC"),
        ("BTC", "FDUSD"),
        ("USDC", "USDT"),
        ("1000SATS", "TRY"),
    ]
    assert {one["status"] for one in info["symbols"]} == {"TRADING"}


def test_what_cannot_be_split_is_left_out() -> None:
    assert json.loads(made_up(["USDT", "XYZ"], 7))["symbols"] == []
