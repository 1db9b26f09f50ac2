"""What Binance takes for private, and what it does not."""

from __future__ import annotations

import json

import pytest

from wsproxy.model import TEXT
from wsproxy.venues.base import PathRefused
from wsproxy.venues.binance import Binance
from wsproxy.venues.binance_private import (
    BinanceApiSession,
    is_listen_key,
    is_private_address,
    is_private_request,
)

KEY = "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (KEY, True),
        (KEY[:60], True),
        (KEY[:59], False),
        (KEY.upper(), True),
        (KEY + "@account", True),
        (KEY + "-", False),
        ("btcusdt@trade", False),
        ("!miniTicker@arr", False),
        ("", False),
    ],
)
def test_listen_keys(name: str, expected: bool) -> None:
    assert is_listen_key(name) is expected


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("session.logon", {"apiKey": "k", "signature": "s", "timestamp": 1}),
        ("session.status", None),
        ("userDataStream.start", {}),
        ("userDataStream.subscribe.signature", {}),
        ("order.place", {}),
        ("order.cancelReplace", {}),
        ("orderList.place.oco", {}),
        ("openOrders.cancelAll", {}),
        ("sor.order.place", {}),
        ("account.status", {}),
        ("myTrades", {}),
        ("ORDER.PLACE", {}),
        ("ping", {"apiKey": "k"}),
        ("ping", {"APIKEY": "k"}),
        ("depth", {"signature": "s"}),
        ("anything", {"deep": [{"listenKey": "x"}]}),
        ("SUBSCRIBE", [KEY]),
        ("SUBSCRIBE", ["btcusdt@trade", KEY]),
        ("UNSUBSCRIBE", [KEY]),
        ("REQUEST", [KEY + "@account"]),
        ("SUBSCRIBE", KEY),
        (None, {"token": "t"}),
    ],
)
def test_what_is_private(method: object, params: object) -> None:
    assert is_private_request(method, params, ("method", "params", "id"))


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("SUBSCRIBE", ["btcusdt@trade"]),
        ("LIST_SUBSCRIPTIONS", None),
        ("SET_PROPERTY", ["combined", True]),
        ("orders", None),
        (7, 7),
        (None, None),
    ],
)
def test_what_is_not(method: object, params: object) -> None:
    assert not is_private_request(method, params, ("method", "params", "id"))


def test_a_secret_beside_the_parameters() -> None:
    assert is_private_request("SUBSCRIBE", ["btcusdt@trade"], ("method", "apiKey"))


def test_parameters_as_deep_as_json_can_be() -> None:
    deep: object = KEY
    for _ in range(100_000):
        deep = [deep]
    assert is_private_request("x", deep, ())


@pytest.mark.parametrize(
    ("names", "options", "expected"),
    [
        ([KEY], {}, True),
        (["btcusdt@trade", KEY], {}, True),
        (["btcusdt@trade"], {"timeUnit": "MICROSECOND"}, False),
        ([], {"listenKey": "x"}, True),
        ([], {"signature": "x"}, True),
        ([""], {"": ""}, False),
    ],
)
def test_addresses(names: list[str], options: dict[str, str], expected: bool) -> None:
    assert is_private_address(names, options) is expected


def test_the_trading_api_is_private_from_the_start() -> None:
    session = Binance().session("/ws-api/v3", "returnRateLimits=false")
    opening = session.opening()
    assert opening is not None
    assert (opening.kind, opening.streams) == ("private", ())
    assert opening.address == "/ws-api/v3?returnRateLimits=false"
    assert session.accept(opening, (), 0) is None
    with pytest.raises(PathRefused):
        Binance().session("/ws-api", "")


@pytest.mark.parametrize(
    ("payload", "request_id"),
    [
        ('{"id":"é-1","method":"ping"}', "é-1"),
        ('{"id":7}', 7),
        ('{"method":"order.place","params":{"apiKey":"sEcReT"}}', None),
        ("sEcReT", None),
        ('["sEcReT"]', None),
    ],
)
def test_the_trading_api_refuses_by_id(payload: str, request_id: object) -> None:
    session = BinanceApiSession("/ws-api/v3")
    request = session.read(payload.encode(), TEXT)
    assert request.kind == "private"
    reply = session.refuse(request, 'no "room"', 0)
    assert isinstance(reply, bytes)
    assert json.loads(reply) == {
        "id": request_id,
        "status": 503,
        "error": {"code": -1008, "msg": 'no "room"'},
    }


def test_the_profile_says_where_the_trading_api_is() -> None:
    assert Binance.profile.private_hosts == (("/ws-api/", "wss://ws-api.binance.com:443"),)
