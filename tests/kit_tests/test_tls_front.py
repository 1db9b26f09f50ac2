from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.strategy import trading_floor
from tests.kit.tls_front import tls_front


def test_what_lies_behind_is_reached_by_tls_and_ends_as_it_ends(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    exchange = BinanceExchange()
    text = '{"stream":"a@trade","data":{"t":1}}'
    with running(exchange) as url, trading_floor() as floor:
        port = urlsplit(url).port
        assert port is not None
        with tls_front(port, ca_file) as address:
            trusting = ssl.create_default_context(cafile=ca_file)
            client = floor.strategy(f"wss://{address}/stream?streams=a@trade", tls=trusting)
            client.wait_open()
            exchange.play([Cue(("a@trade",), text)]).result(10)
            assert client.wait_for(1) == [text]
            client.close()
            assert client.wait_closed()[0] == 1000
            exchange.wait_for(lambda: not exchange.open_peers)


def test_where_nothing_listens_connections_are_cut(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    with tls_front(1, ca_file) as address, trading_floor() as floor:
        trusting = ssl.create_default_context(cafile=ca_file)
        client = floor.strategy(f"wss://{address}/ws", tls=trusting)
        with pytest.raises(ConnectionError):
            client.wait_closed()
