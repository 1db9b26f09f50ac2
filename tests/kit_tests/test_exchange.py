from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import trustme

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue, Limit, Window
from tests.kit.strategy import TradingFloor, trading_floor


def trade(number: int) -> Cue:
    return Cue(("btcusdt@trade",), f'{{"stream":"btcusdt@trade","data":{{"t":{number}}}}}')


TRADES = [trade(number) for number in range(500)]


@pytest.fixture
def exchange() -> BinanceExchange:
    return BinanceExchange()


@pytest.fixture
def url(exchange: BinanceExchange) -> Iterator[str]:
    with running(exchange) as address:
        yield f"{address}/stream?streams=btcusdt@trade"


@pytest.fixture
def floor() -> Iterator[TradingFloor]:
    with trading_floor() as place:
        yield place


def test_a_window_allows_no_burst_and_slides() -> None:
    times = iter([0.0, 0.1, 0.2, 1.0, 1.05])
    window = Window(Limit(3, 1.0), lambda: next(times))
    # The event at 0.0 has left the window at 1.0, the one at 0.1 is still there at 1.05.
    assert [window.exceeded() for _ in range(5)] == [False, False, False, False, True]


def test_plays_to_every_holder_in_order_and_keeps_the_log(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    clients = [floor.strategy(url) for _ in range(3)]
    for client in clients:
        client.wait_open()
    exchange.wait_for(lambda: len(exchange.open_peers) == 3 and bool(exchange.doubled))
    exchange.play(TRADES).result(10)
    for client in clients:
        assert client.wait_for(500) == [cue.text for cue in TRADES]
    for peer in exchange.peers:
        assert [sent.payload for sent in peer.sent] == [cue.text for cue in TRADES]
    assert exchange.deliveries == 1500
    assert exchange.peak == 3
    assert exchange.times_subscribed == {"btcusdt@trade": 3}
    assert exchange.doubled == {"btcusdt@trade"}
    assert exchange.violations == []


def test_a_stream_that_moves_is_never_held_twice(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    first = floor.strategy(url)
    first.wait_open()
    exchange.wait_for(lambda: "btcusdt@trade" in exchange.subscribed)
    first.close(1000)
    exchange.wait_for(lambda: not exchange.open_peers)
    assert exchange.subscribed == set()
    floor.strategy(url)
    exchange.wait_for(lambda: "btcusdt@trade" in exchange.subscribed)
    assert exchange.doubled == set()
    assert exchange.peak == 1
    assert [peer.closed for peer in exchange.peers] == [(1000, ""), None]


def test_plays_when_the_streams_are_there(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    with running(other := BinanceExchange()) as address:
        playing = other.play_when(TRADES, streams=2, quiet_s=0.02)
        client = floor.strategy(f"{address}/stream?streams=btcusdt@trade")
        client.wait_open()
        assert not playing.done()
        client.send('{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":1}')
        playing.result(10)
        assert client.wait_for(501)[1:] == [cue.text for cue in TRADES]


def test_a_given_rate_is_paced(exchange: BinanceExchange, url: str, floor: TradingFloor) -> None:
    client = floor.strategy(url)
    exchange.wait_for(lambda: bool(exchange.subscribed))
    start = time.monotonic()
    exchange.play(TRADES[:20], rate=100).result(10)
    assert time.monotonic() - start >= 0.19  # it may take longer, never less
    client.wait_for(20)


def test_a_reader_that_stops_holds_the_player_back(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(url)
    client.wait_open()
    exchange.wait_for(lambda: bool(exchange.subscribed))
    client.pause()
    big = [Cue(("btcusdt@trade",), f'{{"stream":"btcusdt@trade","data":"{"x" * 99_999}"}}')] * 400
    playing = exchange.play(big)
    with pytest.raises(TimeoutError):
        playing.result(0.3)
    assert exchange.deliveries < 400
    client.resume()
    playing.result(20)
    client.wait_for(400)


def test_close_carries_code_and_reason(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(url)
    exchange.wait_for(lambda: bool(exchange.subscribed))
    exchange.close(exchange.holder("btcusdt@trade"), 4321, "as you wish")
    assert client.wait_closed() == (4321, "as you wish")
    exchange.wait_for(lambda: exchange.peers[0].closed == (4321, "as you wish"))


def test_a_mid_frame_drop_is_one(exchange: BinanceExchange, url: str) -> None:
    host, _, port = urlsplit(url).netloc.partition(":")
    request = (
        "GET /stream?streams=btcusdt@trade HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=10) as tcp:
        tcp.sendall(request.encode())
        exchange.wait_for(lambda: bool(exchange.subscribed))
        exchange.play(TRADES[:1]).result(10)
        exchange.drop_mid_frame(exchange.peers[0])
        with tcp.makefile("rb") as stream:
            received = stream.read()
    whole = TRADES[0].text.encode()
    # One whole frame, then a header that announces 1,000 bytes, then 100 of them, then the end.
    assert received.endswith(bytes((0x81, len(whole))) + whole + b"\x81\x7e\x03\xe8" + b"x" * 100)
    exchange.wait_for(lambda: exchange.peers[0].closed == (1006, ""))


def test_an_abort_sends_no_close_frame(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(url)
    exchange.wait_for(lambda: bool(exchange.subscribed))
    exchange.abort(exchange.peers[0])
    assert client.wait_closed() == (1006, "")


def test_garbage_arrives_as_it_is(exchange: BinanceExchange, url: str, floor: TradingFloor) -> None:
    client = floor.strategy(url)
    exchange.wait_for(lambda: bool(exchange.subscribed))
    exchange.send(exchange.peers[0], "no json")
    exchange.send(exchange.peers[0], b"\x00\xff")
    assert client.wait_for(2) == ["no json", b"\x00\xff"]
    exchange.send_bytes(exchange.peers[0], b"\xff" * 10)  # reserved bits: no frame at all
    client.wait_closed()
    exchange.wait_for(lambda: exchange.peers[0].closed is not None)
    closed = exchange.peers[0].closed
    assert closed is not None
    assert closed[0] == 1002


def test_a_frozen_connection_neither_sends_nor_answers(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    client = floor.strategy(url)
    client.wait_open()
    exchange.wait_for(lambda: bool(exchange.subscribed))
    exchange.freeze(exchange.peers[0])
    exchange.play(TRADES[:5]).result(10)
    with pytest.raises(TimeoutError):
        client.ping(timeout=0.2)
    assert client.received == []
    exchange.thaw(exchange.peers[0])
    assert client.wait_for(5) == [cue.text for cue in TRADES[:5]]
    client.ping(b"again")  # the pong for the first may be on its way yet


def test_refuses_handshakes_as_told_then_lets_in(
    exchange: BinanceExchange, url: str, floor: TradingFloor
) -> None:
    exchange.refuse_handshakes(503, times=2)
    refused = []
    for _ in range(2):
        client = floor.strategy(url)
        with pytest.raises(ConnectionError):
            client.wait_open()
        refused.append(client.refused)
    assert refused == exchange.refused == [503, 503]
    floor.strategy(url).wait_open()
    assert exchange.violations == []  # the exchange's fault, not the client's


def test_the_cap_refuses_the_next_connection(floor: TradingFloor) -> None:
    exchange = BinanceExchange(cap=2)
    with running(exchange) as address:
        first, second = (floor.strategy(f"{address}/ws") for _ in range(2))
        first.wait_open()
        second.wait_open()
        third = floor.strategy(f"{address}/ws")
        with pytest.raises(ConnectionError):
            third.wait_open()
        assert third.refused == 429
        assert exchange.violations == ["more than 2 connections at once"]
        first.close()
        exchange.wait_for(lambda: len(exchange.open_peers) == 1)
        floor.strategy(f"{address}/ws").wait_open()
        assert exchange.peak == 2


def test_too_many_attempts_are_refused(floor: TradingFloor) -> None:
    class Strict(BinanceExchange):
        attempts = Limit(3, 300.0)

    now = [0.0]
    exchange = Strict(clock=lambda: now[0])
    with running(exchange) as address:
        for _ in range(3):
            floor.strategy(f"{address}/ws").wait_open()
        fourth = floor.strategy(f"{address}/ws")
        with pytest.raises(ConnectionError):
            fourth.wait_open()
        assert fourth.refused == 429
        assert exchange.violations == ["more than 3 attempts"]
        now[0] = 300.0
        floor.strategy(f"{address}/ws").wait_open()


def test_speaks_tls(floor: TradingFloor) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    exchange = BinanceExchange()
    with running(exchange, tls=server) as address:
        assert address.startswith("wss://")
        client = floor.strategy(f"{address}/stream?streams=btcusdt@trade", tls=trust)
        exchange.wait_for(lambda: bool(exchange.subscribed))
        exchange.play(TRADES).result(10)
        client.wait_for(500)
        exchange.drop_mid_frame(exchange.peers[0])
        assert client.wait_closed() == (1006, "")


def test_other_pages_are_not_found(url: str) -> None:
    with pytest.raises(HTTPError) as error:
        urlopen(url.replace("ws://", "http://"), timeout=10)
    with error.value as answer:
        assert answer.code == 404
