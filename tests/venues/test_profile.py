from __future__ import annotations

import re
from dataclasses import fields

import pytest

from wsproxy.venues.profile import Profile
from wsproxy.venues.registry import VENUES, venue


@pytest.mark.parametrize("name", VENUES)
def test_every_limit_has_a_source_and_a_date(name: str) -> None:
    profile = venue(name).profile
    sourced = {field for fact in profile.facts for field in fact.about}
    known = {field.name for field in fields(Profile)}
    assert sourced <= known
    limits = {
        "connections",
        "characters_per_connection",
        "requests_per_ip",
        "operations",
        "max_age_ns",
        "first_subscription_ns",
        "idle_ns",
        "pings",
    }
    set_here = {field for field in limits if getattr(profile, field) is not None}
    assert set_here <= sourced
    assert all(fact.source.startswith("https://") and fact.confirmed for fact in profile.facts)


@pytest.mark.parametrize("name", VENUES)
def test_a_connection_is_replaced_before_the_venue_closes_it(name: str) -> None:
    profile = venue(name).profile
    if profile.max_age_ns is not None:
        assert profile.rotate_ns is not None
        assert profile.rotate_ns < profile.max_age_ns


REPLACED = {
    "binance": [
        "btcusdt@bookTicker",
        "btcusdt@miniTicker",
        "btcusdt@ticker",
        "btcusdt@ticker_1h",
        "btcusdt@avgPrice",
        "btcusdt@depth5",
        "btcusdt@depth20@100ms",
        "btcusdt@ticker?timeUnit=MICROSECOND",
    ],
    "coinbase": ["ticker:BTC-USD", "ticker_batch:BTC-USD"],
}
NEVER_REPLACED = {
    "binance": [
        "btcusdt@depth",
        "btcusdt@depth@100ms",
        "btcusdt@depth?timeUnit=MICROSECOND",
        "btcusdt@trade",
        "btcusdt@aggTrade",
        "btcusdt@kline_1m",
        "!miniTicker@arr",
        "!ticker_1h@arr",
        "!bookTicker",
    ],
    "coinbase": [
        "level2:BTC-USD",
        "market_trades:BTC-USD",
        "candles:BTC-USD",
        "status:BTC-USD",
        "heartbeats",
    ],
}


@pytest.mark.parametrize("name", REPLACED)
def test_which_messages_replace_the_one_before(name: str) -> None:
    profile = venue(name).profile
    assert profile.replaced is not None
    assert any("replaced" in fact.about for fact in profile.facts)
    is_replaced = re.compile(profile.replaced).fullmatch
    assert all(map(is_replaced, REPLACED[name]))
    assert not any(map(is_replaced, NEVER_REPLACED[name]))
