"""Many streams on few connections: the cap holds, and what is beyond it is refused."""

from __future__ import annotations

import json

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.round_trip import assert_obeyed, join_all, play
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import Wish, binance, binance_data, request

STREAMS = [f"sym{number:04}usdt@trade" for number in range(1500)]


def cues(streams: list[str]) -> list[Cue]:
    return [
        Cue((name,), f'{{"stream":"{name}","data":{{"e":"trade","t":{index}}}}}')
        for index, name in enumerate(streams)
    ]


def test_more_streams_than_a_connection_holds(floor: TradingFloor) -> None:
    wishes = [
        binance(STREAMS[start : start + 500], how="message", raw=start % 1000 == 0)
        for start in range(0, 1500, 250)
    ]
    exchange = BinanceExchange(cap=2)
    with (
        running(exchange) as url,
        wsproxy("proxy", f"binance={url}", "--max-connections=2") as proxy,
    ):
        clients = join_all(floor, proxy.url, wishes)
        assert sorted(len(peer.held) for peer in exchange.peers) == [1500 - 1024, 1024]
        play(exchange, cues(STREAMS))
        for wish, client in zip(wishes, clients, strict=True):
            expected = binance_data(wish, cues(STREAMS))
            client.wait_for(2 + len(expected), PATIENCE_S)
            # Two connections keep no common order.
            assert sorted(map(str, client.received[2:])) == sorted(expected)
    assert_obeyed(exchange, cap=2)


def test_what_the_cap_does_not_allow_is_refused_in_the_venues_words(floor: TradingFloor) -> None:
    exchange = BinanceExchange(cap=1)
    with (
        running(exchange) as url,
        wsproxy("proxy", f"binance={url}", "--max-connections=1") as proxy,
    ):
        (full,) = join_all(floor, proxy.url, [binance(STREAMS[:1024], how="message")])
        late = floor.strategy(f"{proxy.url}/ws", [request("SUBSCRIBE", STREAMS[1024], id="é")])
        (refusal,) = late.wait_for(1)
        reply = json.loads(refusal)
        assert reply["id"] == "é"
        assert reply["error"]["code"] == 2
        assert "--max-connections" in reply["error"]["msg"]
        late.send(request("SUBSCRIBE", STREAMS[0], id=2))  # what is there can be shared
        assert json.loads(late.wait_for(2)[1]) == {"result": None, "id": 2}
        play(exchange, cues(STREAMS))
        full.wait_for(2 + 1024, PATIENCE_S)
        assert late.wait_for(3)[2] == '{"e":"trade","t":0}'
    assert_obeyed(exchange, cap=1)


def test_a_stream_outlives_its_last_client_by_the_linger_only(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        wsproxy("proxy", f"binance={url}", "--linger", "0.2") as proxy,
    ):
        wishes = [binance(["a@trade", "b@trade"]), binance(["b@trade"], how="message")]
        first, second = join_all(floor, proxy.url, wishes)
        assert exchange.subscribed == {"a@trade", "b@trade"}
        first.close()
        exchange.wait_for(lambda: exchange.subscribed == {"b@trade"})
        second.send(request("UNSUBSCRIBE", "b@trade", id=3))
        exchange.wait_for(lambda: exchange.open_peers == [])
        assert exchange.peers[0].closed == (1000, "no stream is wanted")
        assert json.loads(second.wait_for(3)[2]) == {"result": None, "id": 3}
        second.send(request("SUBSCRIBE", "b@trade", id=4))
        second.wait_for(4)
        assert exchange.subscribed == {"b@trade"}
    assert exchange.violations == []


def test_a_client_that_comes_back_within_the_linger_costs_nothing(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    wish: Wish = binance(["a@trade"])
    with running(exchange) as url, wsproxy("proxy", f"binance={url}") as proxy:
        for _ in range(3):
            (client,) = join_all(floor, proxy.url, [wish])
            client.close()
            client.wait_closed()
    assert len(exchange.peers) == 1
    assert_obeyed(exchange, cap=1)
