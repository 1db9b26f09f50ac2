"""A venue that misbehaves: gaps are told, connections come back, nothing else is harmed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.books import CoinbaseBook, CoinbaseSequence
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.golden import Session
from tests.kit.peer import Cue, Peer
from tests.kit.proxy import wsproxy
from tests.kit.round_trip import assert_recorded, gaps, join_all, play, records, stop
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance, coinbase, data, request
from wsproxy.model import Kind
from wsproxy.recording.events import read_event


def trade(stream: str, number: int) -> Cue:
    return Cue((stream,), f'{{"stream":"{stream}","data":{{"e":"trade","t":{number}}}}}')


Fault = Callable[[BinanceExchange, Peer], None]

ENDS: dict[str, tuple[Fault, str]] = {
    "close": (lambda exchange, peer: exchange.close(peer, 1011, "maintenance"), "maintenance"),
    "abort": (lambda exchange, peer: exchange.abort(peer), "binance was lost: no close frame"),
    "half a frame": (lambda exchange, peer: exchange.drop_mid_frame(peer), "binance was lost"),
    "no UTF-8": (lambda exchange, peer: exchange.send_bytes(peer, b"\x81\x01\xff"), "1007"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ends(end: str, floor: TradingFloor, out: Path) -> None:
    fault, told = ENDS[end]
    exchange = BinanceExchange(cap=1)
    wishes = [binance(["a@trade", "b@trade"]), binance(["b@trade"], raw=False)]
    with (
        running(exchange) as url,
        wsproxy("record", f"binance={url}", "--out", str(out)) as proxy,
    ):
        both, one = join_all(floor, proxy.url, wishes)
        idle = floor.strategy(f"{proxy.url}/ws", [request("LIST_SUBSCRIPTIONS")])
        play(exchange, [trade("a@trade", 1), trade("b@trade", 2)])
        both.wait_for(3)
        one.wait_for(2)
        fault(exchange, exchange.peers[0])
        code, reason = both.wait_closed()
        assert code == 1012
        assert reason.startswith("gap in a@trade and 1 more: ")
        assert told in reason
        assert one.wait_closed() == (1012, reason.replace("a@trade and 1 more", "b@trade"))
        assert len(both.received) == 3  # the other client had nothing more, nothing less

        (again,) = join_all(floor, proxy.url, [binance(["b@trade"])])
        exchange.wait_for(lambda: {"a@trade", "b@trade"} == exchange.subscribed)
        play(exchange, [trade("b@trade", 3)])
        assert again.wait_for(2)[1] == '{"e":"trade","t":3}'
        assert idle.closed is None
        stop(proxy)
    assert exchange.violations == []
    assert exchange.doubled == set()
    assert exchange.peak == 1
    # b's numbers say that nothing was missed after all.
    assert gaps(out) == {"a@trade": 1}
    opened, closed = records(out, Kind.OPENED), records(out, Kind.CLOSED)
    assert [record.connection for record in opened] == [1, 2]
    assert [record.connection for record in closed] == [1, 2]
    if end in {"close", "abort"}:
        assert_recorded(out, exchange)  # the others sent bytes that are no message


def test_clients_may_stay_connected_over_a_gap(floor: TradingFloor, out: Path) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        wsproxy("record", f"binance={url}", "--out", str(out), "--on-gap=continue") as proxy,
    ):
        (client,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        play(exchange, [trade("a@trade", 1)])
        client.wait_for(2)
        exchange.abort(exchange.peers[0])
        exchange.wait_for(lambda: len(exchange.peers) == 2 and exchange.subscribed == {"a@trade"})
        play(exchange, [trade("a@trade", 3)])
        assert client.wait_for(3)[1:] == ['{"e":"trade","t":1}', '{"e":"trade","t":3}']
        stop(proxy)
    assert gaps(out) == {"a@trade": 1}


def test_coinbase_clients_stay_and_get_a_new_snapshot(
    golden: Session, floor: TradingFloor, out: Path
) -> None:
    script = golden.coinbase_script()
    stream = "level2:BTC-USD"
    updates = [cue for cue in script.cues if cue.streams == (stream,)]
    before, missed, after = updates[:100], updates[100:200], updates[200:300]
    truth = CoinbaseBook("BTC-USD")
    for text in (script.openings[stream], *(cue.text for cue in updates[:300])):
        truth.apply(text)
    exchange = CoinbaseExchange(openings=script.openings)
    with (
        running(exchange) as url,
        wsproxy("record", f"coinbase={url}", "--out", str(out)) as proxy,
    ):
        clients = join_all(floor, proxy.url, [coinbase([stream])] * 2)
        play(exchange, before)
        for client in clients:
            client.wait_for(2 + len(before))
        exchange.abort(exchange.peers[0])
        exchange.wait_for(lambda: exchange.open_peers == [])
        play(exchange, missed)
        exchange.wait_for(lambda: stream in exchange.subscribed)
        play(exchange, after)
        for client in clients:
            client.wait_for(2 + len(before) + 1 + len(after))
        stop(proxy)
    for client in clients:
        assert client.closed is not None
        assert client.closed[0] == 1012  # not before the proxy stopped
        book, numbers = CoinbaseBook("BTC-USD"), CoinbaseSequence()
        for message in client.received:
            numbers.check(message)
        for message in data(client.received):
            book.apply(message)
        assert book.snapshots == 2
        assert book.levels() == truth.levels()
    assert gaps(out)[stream] == 1
    assert_recorded(out, exchange)


def test_garbage_is_recorded_and_harms_nobody(floor: TradingFloor, out: Path) -> None:
    garbage: list[str | bytes] = [
        "hello",
        "{",
        "[1,2]",
        '{"stream":5,"data":{}}',
        '{"stream":"x@trade"}',
        "",
        b"\0\xff",
    ]
    exchange = BinanceExchange()
    with running(exchange) as url, wsproxy("record", f"binance={url}", "--out", str(out)) as proxy:
        (client,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        for number, message in enumerate(garbage):
            exchange.send(exchange.peers[0], message)
            play(exchange, [trade("a@trade", number)])
        trades = [f'{{"e":"trade","t":{number}}}' for number in range(len(garbage))]
        assert client.wait_for(1 + len(trades))[1:] == trades
        stop(proxy)
    assert len(exchange.peers) == 1
    assert_recorded(out, exchange)


@pytest.mark.parametrize("status", [429, 503])
def test_a_venue_that_refuses_the_handshake_at_first(
    status: int, floor: TradingFloor, out: Path
) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, wsproxy("record", f"binance={url}", "--out", str(out)) as proxy:
        exchange.refuse_handshakes(status)
        (client,) = join_all(floor, proxy.url, [binance(["a@trade"], how="message")])
        assert client.received[0] == '{"result":null,"id":1}'
        assert str(status) in proxy.wait_for("WARNING")
        stop(proxy)
    assert exchange.refused == [status]
    assert len(exchange.peers) == 1
    assert gaps(out) == {}
    assert_recorded(out, exchange)


def test_a_refused_stream_is_refused_to_those_who_asked(floor: TradingFloor, out: Path) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, wsproxy("record", f"binance={url}", "--out", str(out)) as proxy:
        (good,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        exchange.refuse_requests("Invalid request: no such symbol")
        bad = floor.strategy(f"{proxy.url}/ws", [request("SUBSCRIBE", "nosuch@trade", id=9)])
        reply = json.loads(bad.wait_for(1)[0])
        assert reply["id"] == 9
        assert "no such symbol" in reply["error"]["msg"]
        play(exchange, [trade("a@trade", 1)])
        good.wait_for(2)
        stop(proxy)
    (record,) = records(out, Kind.REFUSED)
    assert record.streams == ("nosuch@trade",)
    assert "no such symbol" in str(read_event(record.payload)["why"])
    assert exchange.subscribed == set()


def test_an_announced_shutdown_is_avoided(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    wishes = [binance(["a@trade"]), binance(["a@trade"], raw=False), binance(["b@trade"])]
    with running(exchange) as url, wsproxy("proxy", f"binance={url}") as proxy:
        raw, combined, _ = join_all(floor, proxy.url, wishes)
        play(exchange, [trade("a@trade", 1)])
        combined.wait_for(2)
        (leaving,) = exchange.open_peers
        exchange.announce_shutdown()
        # a is quiet: b shows that the old connection holds nothing back.
        busy = exchange.play([trade("b@trade", number) for number in range(60)], 10)
        exchange.wait_for(lambda: len(exchange.peers) == 2 and leaving not in exchange.open_peers)
        busy.result(10)
        play(exchange, [trade("a@trade", 2)])
        assert [json.loads(text)["t"] for text in data(raw.wait_for(3))] == [1, 2]
        assert [json.loads(text)["data"]["t"] for text in data(combined.wait_for(3))] == [1, 2]
        assert raw.closed is None


def test_a_venue_that_nobody_can_reach(floor: TradingFloor) -> None:
    with running(BinanceExchange()) as url:
        pass  # nobody listens there any more
    with wsproxy("proxy", f"binance={url}") as proxy:
        client = floor.strategy(f"{proxy.url}/ws/a@trade", [request("LIST_SUBSCRIPTIONS", id=1)])
        client.wait_open()
        proxy.wait_for("WARNING")
        client.ping(b"still there?")
        stop(proxy)
    assert client.closed is not None
    assert client.closed[0] == 1012
