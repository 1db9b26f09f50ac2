"""Faults that work on messages, subscriptions and handshakes; see test_exchange.py for the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.peer import Cue, Limit
from tests.kit.strategy import Strategy, TradingFloor, trading_floor

TRADE, DEPTH = "a@trade", "a@depth@100ms"


def cue(stream: str, number: int) -> Cue:
    return Cue((stream,), f'{{"stream":"{stream}","data":{{"n":{number}}}}}')


TRADES = [cue(TRADE, number) for number in range(200)]
TEXTS = [trade.text for trade in TRADES]


@pytest.fixture
def exchange() -> BinanceExchange:
    return BinanceExchange()


@pytest.fixture
def url(exchange: BinanceExchange) -> Iterator[str]:
    with running(exchange) as address:
        yield address


@pytest.fixture
def floor() -> Iterator[TradingFloor]:
    with trading_floor() as place:
        yield place


def subscribers(
    exchange: BinanceExchange, url: str, floor: TradingFloor, count: int
) -> list[Strategy]:
    """Clients of the trade and the depth stream, in the order of the exchange's peers."""
    found: list[Strategy] = []

    def all_hold() -> bool:
        return len(exchange.holders(DEPTH)) == len(found)

    for _ in range(count):
        found.append(floor.strategy(f"{url}/stream?streams={TRADE}/{DEPTH}"))
        exchange.wait_for(all_hold)
    return found


def test_what_one_connection_loses_the_other_still_has(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    one, other = subscribers(exchange, url, floor, 2)
    exchange.drop(exchange.peers[0], 3)
    exchange.play(TRADES).result(10)
    assert other.wait_for(200) == TEXTS
    assert one.wait_for(197) == TEXTS[3:]
    assert [sent.payload for sent in exchange.peers[0].dropped] == TEXTS[:3]
    assert exchange.peers[0].sent_on(TRADE) == TEXTS[3:]
    assert exchange.played_on(TRADE) == exchange.peers[1].sent_on(TRADE) == TEXTS
    assert exchange.deliveries == 397


def test_a_fraction_is_lost_by_a_seed_until_told_to_behave(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    one, _ = subscribers(exchange, url, floor, 2)
    for peer in exchange.peers:
        exchange.drop(peer, None, fraction=0.25, seed=5)
    exchange.play(TRADES).result(10)
    lost = [sent.payload for sent in exchange.peers[0].dropped]
    assert 20 < len(lost) < 80
    assert [sent.payload for sent in exchange.peers[1].dropped] == lost  # the same seed
    exchange.behave(exchange.peers[0])
    exchange.play(TRADES).result(10)
    kept = [text for text in TEXTS if text not in lost]
    assert one.wait_for(len(kept) + 200) == kept + TEXTS
    assert len(exchange.peers[1].dropped) > len(lost)


def test_losses_and_repetitions_on_chosen_streams_only(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    (client,) = subscribers(exchange, url, floor, 1)
    peer = exchange.peers[0]
    exchange.drop(peer, streams=[DEPTH])
    exchange.duplicate(peer, 2, streams=[TRADE])
    script = [cue(stream, number) for number in range(3) for stream in (TRADE, DEPTH)]
    exchange.play(script).result(10)
    t0, _, t1, d1, t2, d2 = (message.text for message in script)
    assert client.wait_for(7) == [t0, t0, t1, t1, d1, t2, d2]
    assert [sent.payload for sent in peer.doubled] == [t0, t1]
    assert [sent.payload for sent in peer.dropped] == [script[1].text]


def test_a_lost_coinbase_message_has_had_its_number(floor: TradingFloor) -> None:
    exchange = CoinbaseExchange()
    text = '{"channel":"heartbeats","timestamp":"t","events":[{"heartbeat_counter":1}]}'
    with running(exchange) as url:
        client = floor.strategy(url, ['{"type":"subscribe","channel":"heartbeats"}'])
        client.wait_for(1)
        exchange.drop(exchange.peers[0])
        exchange.play([Cue(("heartbeats",), text)] * 2).result(10)
        numbers = [json.loads(message)["sequence_num"] for message in client.wait_for(2)]
        assert numbers == [0, 2]
        exchange.duplicate(exchange.peers[0])
        exchange.play([Cue(("heartbeats",), text)]).result(10)
        assert client.wait_for(4)[2] == client.received[3]  # byte for byte, with one number


def test_a_delayed_connection_keeps_its_order(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    late, prompt = subscribers(exchange, url, floor, 2)
    exchange.delay(exchange.peers[0], 0.3)
    start = time.monotonic()
    exchange.play(TRADES[:100]).result(10)
    prompt.wait_for(100)
    exchange.behave(exchange.peers[0])  # what follows must not overtake
    exchange.play(TRADES[100:]).result(10)
    assert late.wait_for(200) == TEXTS
    assert time.monotonic() - start >= 0.29
    assert prompt.wait_for(200) == TEXTS


def test_a_close_comes_behind_what_was_delayed(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    (client,) = subscribers(exchange, url, floor, 1)
    exchange.delay(exchange.peers[0], 60)
    exchange.play(TRADES).result(10)
    exchange.close(exchange.peers[0], 1001)
    assert client.wait_closed() == (1001, "")
    assert client.received == TEXTS


def test_a_muted_stream_is_granted_and_silent(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    exchange.mute(TRADE)
    client = floor.strategy(
        f"{url}/stream", ['{"method":"SUBSCRIBE","params":["a@trade","a@depth@100ms"],"id":1}']
    )
    assert client.wait_for(1) == ['{"result":null,"id":1}']
    exchange.play([TRADES[0], cue(DEPTH, 1)]).result(10)
    assert client.wait_for(2)[1] == cue(DEPTH, 1).text
    exchange.unmute()
    exchange.play([TRADES[1]]).result(10)
    assert client.wait_for(3)[2] == TEXTS[1]
    assert exchange.peers[0].sent_on(TRADE) == [TEXTS[1]]


def test_a_muted_snapshot_does_not_come_either(floor: TradingFloor) -> None:
    exchange = CoinbaseExchange(openings=BOOK)
    with running(exchange) as url:
        exchange.mute("level2:A-USD")
        client = floor.strategy(url, [SUBSCRIBE])
        assert json.loads(client.wait_for(1)[0])["channel"] == "subscriptions"


def level2(kind: str, quantity: str) -> str:
    update = {"side": "bid", "event_time": "t", "price_level": "1", "new_quantity": quantity}
    event = {"type": kind, "product_id": "A-USD", "updates": [update]}
    return json.dumps(
        {"channel": "l2_data", "timestamp": "t", "events": [event]}, separators=(",", ":")
    )


BOOK = {"level2:A-USD": level2("snapshot", "1")}
SUBSCRIBE = '{"type":"subscribe","channel":"level2","product_ids":["A-USD"]}'


def test_a_fresh_snapshot_in_mid_stream(floor: TradingFloor) -> None:
    exchange = CoinbaseExchange(openings=BOOK)
    with running(exchange) as url:
        client = floor.strategy(url, [SUBSCRIBE])
        client.wait_for(2)
        exchange.play([Cue(("level2:A-USD",), level2("update", "2"))]).result(10)
        exchange.resnapshot("level2:A-USD")
        message = json.loads(client.wait_for(4)[3])
    assert message["sequence_num"] == 3
    (event,) = message["events"]
    assert event["type"] == "snapshot"
    assert event["updates"][0]["new_quantity"] == "2"


@pytest.mark.parametrize("how", ["url", "message"])
def test_a_poisonous_subscription_ends_the_connection_without_a_word(
    how: str, exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    (bystander,) = subscribers(exchange, url, floor, 1)
    exchange.poison("bad@trade")
    start = time.monotonic()
    if how == "url":
        client = floor.strategy(f"{url}/ws/bad@trade")
    else:
        client = floor.strategy(f"{url}/ws", ['{"method":"SUBSCRIBE","params":["bad@trade"]}'])
    assert client.wait_closed() == (1006, "")
    assert time.monotonic() - start >= 0.09
    assert client.received == []
    exchange.play(TRADES[:1]).result(10)
    bystander.wait_for(1)
    assert exchange.violations == []


def status_and_patience(url: str) -> tuple[int, str | None]:
    """The answer to a handshake: status and Retry-After."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.request(
        "GET",
        "/ws",
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
    )
    response = connection.getresponse()
    connection.close()
    return response.status, response.headers["Retry-After"]


def test_a_ban_says_how_long(exchange: BinanceExchange, url: str) -> None:
    exchange.ban(100, status=429)
    assert status_and_patience(url) == (429, "100")
    assert exchange.refused == [429]
    assert exchange.violations == []
    exchange.ban(-1)
    assert status_and_patience(url) == (101, None)


def test_too_many_attempts_are_told_when_to_come_back() -> None:
    class Strict(BinanceExchange):
        attempts = Limit(1, 300.0)

    exchange = Strict(clock=lambda: 0.0)
    with running(exchange) as url:
        assert status_and_patience(url) == (101, None)
        assert status_and_patience(url) == (429, "300")


def test_violations_ban_the_address(floor: TradingFloor) -> None:
    exchange = BinanceExchange(ban_after=1, ban_s=50, clock=lambda: 0.0)
    with running(exchange) as url:
        hasty = floor.strategy(f"{url}/ws", ['{"method":"LIST_SUBSCRIPTIONS","id":1}'] * 6)
        assert hasty.wait_closed() == (1008, "Too many requests")
        assert status_and_patience(url) == (418, "50")
    assert exchange.violations == ["connection 0: more than 5 frames in 1 s"]


def test_a_shutdown_is_announced_to_everybody(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    clients = [*subscribers(exchange, url, floor, 1), floor.strategy(f"{url}/ws")]
    clients[1].wait_open()
    exchange.wait_for(lambda: sum(peer.ready for peer in exchange.peers) == 2)
    exchange.announce_shutdown()
    combined, raw = (json.loads(client.wait_for(1)[0]) for client in clients)
    assert combined["stream"] == "!serverShutdown"
    assert combined["data"]["e"] == raw["e"] == "serverShutdown"
