from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit.books import CoinbaseBook, CoinbaseSequence
from tests.kit.exchange import running
from tests.kit.exchange_coinbase import CoinbaseExchange, script_of, streams_of
from tests.kit.peer import Cue
from tests.kit.strategy import TradingFloor, trading_floor


def level2(kind: str, product: str, *updates: tuple[str, str, str]) -> str:
    rows = [
        {"side": side, "event_time": "t", "price_level": price, "new_quantity": quantity}
        for side, price, quantity in updates
    ]
    event = {"type": kind, "product_id": product, "updates": rows}
    return json.dumps(
        {"channel": "l2_data", "timestamp": "t", "events": [event]}, separators=(",", ":")
    )


def trades(*products: str) -> Cue:
    rows = [{"product_id": product, "price": "1.50"} for product in products]
    body = {
        "channel": "market_trades",
        "timestamp": "t",
        "events": [{"type": "update", "trades": rows}],
    }
    text = json.dumps(body, separators=(",", ":"))
    return Cue(streams_of(text), text)


def subscribe(channel: str, *products: str, kind: str = "subscribe") -> str:
    return json.dumps({"type": kind, "product_ids": products, "channel": channel})


OPENINGS = {
    "level2:BTC-USD": level2("snapshot", "BTC-USD", ("bid", "9.5", "1"), ("offer", "10", "2")),
    "level2:ETH-USD": level2("snapshot", "ETH-USD", ("bid", "2", "1")),
}


@pytest.fixture
def exchange() -> CoinbaseExchange:
    return CoinbaseExchange(openings=OPENINGS, clock=lambda: 0.0)


@pytest.fixture
def url(exchange: CoinbaseExchange) -> Iterator[str]:
    with running(exchange) as address:
        yield address


@pytest.fixture
def floor() -> Iterator[TradingFloor]:
    with trading_floor() as place:
        yield place


def parsed(messages: list[str | bytes]) -> list[dict[str, Any]]:
    return [json.loads(message) for message in messages]


def test_snapshots_come_first_then_the_whole_list_all_numbered(
    url: str, floor: TradingFloor
) -> None:
    requests = [subscribe("level2", "BTC-USD", "ETH-USD"), subscribe("ticker", "BTC-USDC")]
    client = floor.strategy(url, [*requests, subscribe("heartbeats"), requests[0]])
    messages = parsed(client.wait_for(6))
    assert [message["channel"] for message in messages] == ["l2_data"] * 2 + ["subscriptions"] * 4
    assert [message["sequence_num"] for message in messages] == list(range(6))
    assert [message["events"][0]["subscriptions"] for message in messages[2:]] == [
        {"level2": ["BTC-USD", "ETH-USD"]},
        {"level2": ["BTC-USD", "ETH-USD"], "ticker": ["BTC-USD"]},
        all_three := {
            "heartbeats": ["heartbeats"],
            "level2": ["BTC-USD", "ETH-USD"],
            "ticker": ["BTC-USD"],
        },
        all_three,  # a repeated subscription brings no new snapshot
    ]
    opening = OPENINGS["level2:BTC-USD"]
    assert client.received[0] == opening.replace('"events"', '"sequence_num":0,"events"')


def test_the_level2_snapshot_moves_with_what_was_played(
    exchange: CoinbaseExchange, url: str, floor: TradingFloor
) -> None:
    early = floor.strategy(url, [subscribe("level2", "BTC-USD")])
    early.wait_for(2)
    update = level2("update", "BTC-USD", ("bid", "9.5", "0"), ("bid", "9.40", "3"))
    exchange.play([Cue(("level2:BTC-USD",), update)]).result(10)
    late = floor.strategy(url, [subscribe("level2", "BTC-USD")])
    books = CoinbaseBook("BTC-USD"), CoinbaseBook("BTC-USD")
    for book, messages in zip(books, (early.wait_for(3), late.wait_for(2)), strict=True):
        for message in messages:
            if b"l2_data" in str(message).encode():
                book.apply(message)
    assert books[0].levels() == books[1].levels() == ([("9.40", "3")], [("10", "2")])


def test_a_message_of_several_products_is_cut_to_what_is_held(
    exchange: CoinbaseExchange, url: str, floor: TradingFloor
) -> None:
    both = floor.strategy(url, [subscribe("market_trades", "BTC-USD", "ETH-USD")])
    one = floor.strategy(url, [subscribe("market_trades", "ETH-USD")])
    both.wait_for(1)
    one.wait_for(1)
    script = [trades("BTC-USD", "ETH-USD", "BTC-USD"), trades("BTC-USD")]
    exchange.play(script).result(10)
    sequence = CoinbaseSequence()
    for message in both.wait_for(3):
        sequence.check(message)
    last = parsed(one.wait_for(2))[-1]
    assert last["events"][0]["trades"] == [{"product_id": "ETH-USD", "price": "1.50"}]
    assert last["sequence_num"] == 1
    peer = next(peer for peer in exchange.peers if len(peer.held) == 1)
    assert peer.sent[-1].streams == ("market_trades:ETH-USD",)
    assert peer.sent[-1].payload == one.received[-1]


def test_unsubscribing_answers_with_the_list(url: str, floor: TradingFloor) -> None:
    client = floor.strategy(
        url,
        [
            subscribe("ticker", "BTC-USD", "ETH-USD"),
            subscribe("ticker", "BTC-USD", kind="unsubscribe"),
        ],
    )
    assert parsed(client.wait_for(2))[1]["events"] == [{"subscriptions": {"ticker": ["ETH-USD"]}}]


@pytest.mark.parametrize(
    "request_",
    [
        "no json",
        "[1]",
        '{"type":"buy"}',
        '{"type":"subscribe","product_ids":["BTC-USD"],"channels":["ticker","level2"]}',
        '{"type":"subscribe","product_ids":["BTC-USD"],"channel":["ticker"]}',
        '{"type":"subscribe","product_ids":["BTC-USD"],"channel":"l2_data"}',
        '{"type":"subscribe","channel":"ticker"}',
    ],
)
def test_nonsense_earns_an_error(url: str, floor: TradingFloor, request_: str) -> None:
    client = floor.strategy(url, [request_])
    assert parsed(client.wait_for(1))[0]["type"] == "error"


def test_nine_messages_in_a_second_are_punished_over_all_connections(
    exchange: CoinbaseExchange, url: str, floor: TradingFloor
) -> None:
    first = floor.strategy(url, [subscribe("ticker", "BTC-USD")] * 5)
    first.wait_for(5)
    second = floor.strategy(url, [subscribe("ticker", "ETH-USD")] * 3)
    second.wait_for(3)
    assert exchange.violations == []
    second.send(subscribe("heartbeats"))
    assert second.wait_closed() == (1008, "rate limit exceeded")
    assert parsed(second.received)[-1] == {"type": "error", "message": "rate limit exceeded"}
    assert exchange.violations == ["connection 1: more than 8 frames in 1 s"]
    assert first.closed is None


def test_who_does_not_subscribe_in_time_is_closed(floor: TradingFloor) -> None:
    exchange = CoinbaseExchange(first_subscribe_s=0.2)
    with running(exchange) as url:
        client = floor.strategy(url)
        assert client.wait_closed() == (1008, "no subscription")
        assert exchange.violations == ["connection 0: no subscription in 0.2 s"]


def test_makes_heartbeats_and_a_client_id_if_told(floor: TradingFloor) -> None:
    exchange = CoinbaseExchange(heartbeat_s=0.01, client_id=True)
    with running(exchange) as url:
        client = floor.strategy(url, [subscribe("heartbeats")])
        messages = parsed(client.wait_for(4))
    assert [message["channel"] for message in messages] == ["subscriptions", *["heartbeats"] * 3]
    assert [m["events"][0]["heartbeat_counter"] for m in messages[1:]] == [0, 1, 2]
    assert [message["sequence_num"] for message in messages] == [0, 1, 2, 3]
    assert [*messages[0]] == ["channel", "client_id", "timestamp", "sequence_num", "events"]


def test_a_script_has_no_numbers_and_no_acks() -> None:
    def numbered(text: str) -> str:
        return text.replace('"events"', '"sequence_num":7,"events"')

    opening, update = OPENINGS["level2:BTC-USD"], level2("update", "BTC-USD", ("bid", "1", "1"))
    ack = '{"channel":"subscriptions","timestamp":"t","sequence_num":1,"events":[{}]}'
    script = script_of([numbered(opening), ack, numbered(update)])
    assert script.openings == {"level2:BTC-USD": opening}
    assert script.cues == [Cue(("level2:BTC-USD",), update)]
