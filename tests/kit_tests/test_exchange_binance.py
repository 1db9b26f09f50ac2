from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from urllib.request import urlopen

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.strategy import Strategy, TradingFloor, trading_floor


@pytest.fixture
def exchange() -> BinanceExchange:
    # A clock that stands still: every frame of a test falls into one second.
    return BinanceExchange(clock=lambda: 0.0)


@pytest.fixture
def url(exchange: BinanceExchange) -> Iterator[str]:
    with running(exchange) as address:
        yield address


@pytest.fixture
def floor() -> Iterator[TradingFloor]:
    with trading_floor() as place:
        yield place


def ask(client: Strategy, request: object) -> object:
    """Send one request and give its reply."""
    client.wait_open()
    before = len(client.received)
    client.send(request if isinstance(request, str) else json.dumps(request))
    return json.loads(client.wait_for(before + 1)[-1])


def test_six_frames_in_a_second_are_punished(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(f"{url}/ws")
    client.wait_open()
    client.ping(b"1")
    client.pong(b"")
    for number in range(3):
        ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert exchange.violations == []
    client.pong(b"")  # the sixth
    assert client.wait_closed() == (1008, "Too many requests")
    assert exchange.violations == ["connection 0: more than 5 frames in 1 s"]
    assert [frame.kind for frame in exchange.frames[:6]] == ["ping", "pong", *["text"] * 3, "pong"]


def test_limits_are_per_connection(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    for _ in range(3):
        client = floor.strategy(f"{url}/ws")
        for number in range(5):
            ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": number})
    assert exchange.violations == []


def test_subscribes_lists_and_unsubscribes(url: str, floor: TradingFloor) -> None:
    client = floor.strategy(f"{url}/ws/btcusdt@trade")
    subscribe = {"method": "SUBSCRIBE", "params": ["btcusdt@trade", "a@depth"], "id": "é-1"}
    assert ask(client, subscribe) == {"result": None, "id": "é-1"}
    both = {"result": ["btcusdt@trade", "a@depth"], "id": 0}
    assert ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 0}) == both
    unsubscribe = {"method": "UNSUBSCRIBE", "params": ["btcusdt@trade"], "id": None}
    assert ask(client, unsubscribe) == {"result": None, "id": None}
    assert ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 3}) == {
        "result": ["a@depth"],
        "id": 3,
    }


def test_a_stream_subscribed_twice_on_one_connection_comes_once_but_counts_twice(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(f"{url}/ws/a@trade")
    ask(client, {"method": "SUBSCRIBE", "params": ["a@trade"], "id": 1})
    exchange.play([Cue(("a@trade",), '{"stream":"a@trade","data":{"t":1}}')]).result(10)
    assert client.wait_for(2)[1:] == ['{"t":1}']
    assert exchange.times_subscribed["a@trade"] == 2
    assert exchange.doubled == set()


def test_the_property_switches_between_raw_and_combined(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(f"{url}/ws/a@trade")
    cue = Cue(("a@trade",), '{"stream":"a@trade","data":{"e":"trade","p":"1.10"}}')
    assert ask(client, {"method": "GET_PROPERTY", "params": ["combined"], "id": 1}) == {
        "result": False,
        "id": 1,
    }
    exchange.play([cue]).result(10)
    assert client.wait_for(2)[-1] == '{"e":"trade","p":"1.10"}'
    ask(client, {"method": "SET_PROPERTY", "params": ["combined", True], "id": 2})
    exchange.play([cue]).result(10)
    assert client.wait_for(4)[-1] == cue.text


@pytest.mark.parametrize(
    ("request_", "code", "says"),
    [
        ("no json", 3, "Invalid JSON"),
        ("[1]", 2, "missing field"),
        ({"id": 7}, 2, "missing field"),
        ({"method": "BUY", "id": 7}, 2, "unknown variant `BUY`"),
        ({"method": "SUBSCRIBE", "params": [], "id": 7}, 2, "stream names"),
        ({"method": "SUBSCRIBE", "params": [1], "id": 7}, 2, "stream names"),
        ({"method": "SUBSCRIBE", "params": "a@trade", "id": 7}, 2, "array"),
        ({"method": "SET_PROPERTY", "params": ["combined", 1], "id": 7}, 1, "Boolean"),
        ({"method": "GET_PROPERTY", "params": ["colour"], "id": 7}, 0, "Unknown property"),
    ],
)
def test_nonsense_earns_the_venues_error(
    url: str, floor: TradingFloor, request_: object, code: int, says: str
) -> None:
    reply = ask(floor.strategy(f"{url}/ws"), request_)
    assert isinstance(reply, dict)
    assert reply["error"]["code"] == code
    assert says in reply["error"]["msg"]
    assert reply["id"] == (7 if isinstance(request_, dict) else None)


def test_more_than_1024_streams_are_refused(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(f"{url}/ws")
    names = [f"s{number}@trade" for number in range(1024)]
    assert ask(client, {"method": "SUBSCRIBE", "params": names, "id": 1}) == {
        "result": None,
        "id": 1,
    }
    assert exchange.violations == []
    reply = ask(client, {"method": "SUBSCRIBE", "params": ["one@more"], "id": 2})
    assert reply == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 2}
    assert exchange.violations == ["connection 0: more than 1024 streams"]
    assert len(exchange.subscribed) == 1024


def test_paths(exchange: BinanceExchange, url: str, floor: TradingFloor) -> None:
    for path in ("/ws", "/ws/0", "/ws/a@trade/b@trade", "/stream", "/stream?streams=c%40trade/d"):
        floor.strategy(url + path).wait_open()
    exchange.wait_for(lambda: len(exchange.subscribed) == 4)
    assert [list(peer.held) for peer in exchange.peers] == [
        [],
        [],
        ["a@trade", "b@trade"],
        [],
        ["c@trade", "d"],
    ]
    wrong = floor.strategy(f"{url}/trade")
    with pytest.raises(ConnectionError):
        wrong.wait_open()
    assert wrong.refused == 400


def test_pings_and_punishes_who_does_not_answer(floor: TradingFloor) -> None:
    seconds = count()  # no two frames fall into one second
    exchange = BinanceExchange(ping_s=0.02, pong_s=1.5, clock=lambda: next(seconds))
    with running(exchange) as url:
        good, silent = floor.strategy(f"{url}/ws"), floor.strategy(f"{url}/ws/silent")
        good.wait_open()
        silent.wait_open()
        silent.pause()
        exchange.wait_for(lambda: bool(exchange.violations))
        (blamed,) = (peer for peer in exchange.peers if peer.doomed)
        assert exchange.violations == [f"{blamed}: no pong within 1.5 s"]
        assert blamed.path == "/ws/silent"
        silent.resume()
        assert silent.wait_closed() == (1008, "Pong timeout")
        assert good.pings
        assert all(payload.isdigit() for payload in good.pings)


def test_announces_a_shutdown_in_both_dialects(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    raw, combined = floor.strategy(f"{url}/ws/a"), floor.strategy(f"{url}/stream?streams=b")
    exchange.wait_for(lambda: len(exchange.subscribed) == 2)
    exchange.announce_shutdown()
    assert json.loads(raw.wait_for(1)[0])["e"] == "serverShutdown"
    message = json.loads(combined.wait_for(1)[0])
    assert message["stream"] == "!serverShutdown"
    assert message["data"]["e"] == "serverShutdown"


def test_a_swallowed_ack_still_subscribes(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(f"{url}/ws")
    client.wait_open()
    exchange.swallow_acks(1)
    client.send('{"method":"SUBSCRIBE","params":["a@trade"],"id":1}')
    exchange.wait_for(lambda: "a@trade" in exchange.subscribed)
    reply = ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": 2})
    assert reply == {"result": ["a@trade"], "id": 2}
    assert len(client.received) == 1


def test_a_refused_request_is_not_obeyed(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(f"{url}/ws")
    client.wait_open()
    exchange.refuse_requests("Invalid request: not today")
    reply = ask(client, {"method": "SUBSCRIBE", "params": ["a@trade"], "id": 1})
    assert reply == {"error": {"code": 2, "msg": "Invalid request: not today"}, "id": 1}
    assert exchange.subscribed == set()


def test_the_rest_snapshot_moves_with_what_was_played(floor: TradingFloor) -> None:
    start = '{"lastUpdateId":10,"bids":[["1.00","5"]],"asks":[["1.10","6"]]}'
    exchange = BinanceExchange(snapshots={"AUSDT": start})
    deltas = [
        Cue(("ausdt@depth@100ms",), f'{{"stream":"ausdt@depth@100ms","data":{data}}}')
        for data in (
            '{"U":9,"u":11,"b":[["1.00","0.00"],["0.90","7"]],"a":[]}',
            '{"U":12,"u":15,"b":[],"a":[["1.20","8"]]}',
        )
    ]
    with running(exchange) as url:
        page = f"{url.replace('ws://', 'http://')}/api/v3/depth?symbol=AUSDT&limit=1000"
        exchange.play(deltas[:1]).result(10)
        with urlopen(page, timeout=10) as answer:
            assert json.load(answer)["lastUpdateId"] == 11
        exchange.play(deltas[1:]).result(10)
        assert exchange.depth_snapshot("AUSDT") == (
            '{"lastUpdateId":15,"bids":[["0.90","7"]],"asks":[["1.10","6"],["1.20","8"]]}'
        )
        assert exchange.depth_snapshot("NONE") is None
        assert exchange.peers == []
