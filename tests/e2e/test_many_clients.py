"""Hundreds of clients, and more than the system has room for."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import request

LIST = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
STREAMS = [f"s{number}@trade" for number in range(50)]
_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits of a process are Linux only")


def test_three_hundred_clients_get_their_own_ten_streams(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    wishes = [[STREAMS[(7 * n + k) % 50] for k in range(10)] for n in range(300)]
    with running(exchange) as url, wsproxy("proxy", f"binance={url}") as proxy:
        clients = [
            floor.strategy(f"{proxy.url}/stream", [request("SUBSCRIBE", *wish)]) for wish in wishes
        ]
        for client in clients:
            client.wait_for(1, PATIENCE_S)
        cues = [
            Cue((stream,), f'{{"stream":"{stream}","data":{{"t":{turn}}}}}')
            for turn in range(2)
            for stream in STREAMS
        ]
        exchange.play(cues).result(PATIENCE_S)
        for client, wish in zip(clients, wishes, strict=True):
            client.wait_for(21, PATIENCE_S)
            assert client.received[1:] == [cue.text for cue in cues if cue.streams[0] in wish]
    assert len(exchange.peers) == 1
    assert exchange.violations == []


@_LINUX
def test_without_descriptors_clients_wait_and_the_proxy_lives(floor: TradingFloor) -> None:
    with running(BinanceExchange()) as url, wsproxy("proxy", f"binance={url}") as proxy:
        first = floor.strategy(f"{proxy.url}/ws", [LIST])
        first.wait_for(1, PATIENCE_S)
        room = len(list(Path(f"/proc/{proxy.pid}/fd").iterdir())) + 3
        resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (room, room))
        others = [floor.strategy(f"{proxy.url}/ws", [LIST]) for _ in range(10)]
        proxy.wait_for("no room for more clients, who have to wait: Too many open files")
        first.send(LIST)  # those inside are served as ever
        first.wait_for(2, PATIENCE_S)
        waiting = others
        while waiting:  # each who leaves makes room for another
            first.ping(timeout=PATIENCE_S)
            for client in [client for client in waiting if client.received]:
                client.close()
                waiting.remove(client)
        assert proxy.stop().code == 0
