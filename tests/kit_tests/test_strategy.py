from __future__ import annotations

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.strategy import trading_floor

CUES = [Cue(("a",), f'{{"stream":"a","data":{number}}}') for number in range(200)]


def test_fifty_clients_share_one_thread() -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, trading_floor() as floor:
        clients = [floor.strategy(f"{url}/stream?streams=a") for _ in range(50)]
        for client in clients:
            client.wait_open()
        exchange.wait_for(lambda: all(peer.held for peer in exchange.peers))
        exchange.play(CUES).result(10)
        for client in clients:
            assert client.wait_for(200) == [cue.text for cue in CUES]


def test_a_client_that_aborts_sends_no_close_frame() -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, trading_floor() as floor:
        client = floor.strategy(f"{url}/ws")
        client.wait_open()
        client.abort()
        assert client.wait_closed() == (1006, "")
        exchange.wait_for(lambda: exchange.peers[0].closed == (1006, ""))
        assert exchange.frames == []


def test_a_client_can_send_garbage() -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, trading_floor() as floor:
        client = floor.strategy(f"{url}/ws")
        client.wait_open()
        client.send_bytes(b"\xff" * 20)
        assert client.wait_closed()[0] == 1002


def test_says_why_there_is_no_connection() -> None:
    with running(BinanceExchange()) as url:
        pass
    with trading_floor() as floor:
        client = floor.strategy(url)
        with pytest.raises(ConnectionError):
            client.wait_open()
        assert isinstance(client.failed, OSError)
        with pytest.raises(ConnectionError):
            client.wait_closed()
        with pytest.raises(ConnectionError):
            client.wait_for(1)


def test_waiting_ends_when_the_connection_does() -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, trading_floor() as floor:
        client = floor.strategy(f"{url}/ws")
        client.wait_open()
        exchange.close(exchange.peers[0], 1012, "restart")
        with pytest.raises(ConnectionError, match=r"only 0 of 1 messages.*1012"):
            client.wait_for(1)


def test_sends_its_headers() -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, trading_floor() as floor:
        floor.strategy(f"{url}/ws", headers={"Origin": "http://evil.example"}).wait_open()
        request = exchange.peers[0].socket.request
        assert request is not None
        assert request.headers["Origin"] == "http://evil.example"
