"""However a recorder ends, its recording is good and its clients know."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import wsproxy
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import (
    assert_recorded,
    gaps,
    join_all,
    records,
    trades,
)
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance, binance_data
from wsproxy.model import Kind

WISH = binance(["a@trade"])
RATE = 5_000.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number: signal.Signals, floor: TradingFloor, out: Path) -> None:
    cues = trades("a@trade", 50_000, 100)
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        running_wsproxy("record", f"binance={url}", "--out", str(out)) as proxy,
    ):
        clients = join_all(floor, proxy.url, [WISH] * 5)
        exchange.play(cues, RATE)
        clients[0].wait_for(1_000)
        ended = proxy.stop(number)
        assert ended.code == 0
        assert f"{number.name}: stopping" in ended.err
        exchange.wait_for(lambda: exchange.open_peers == [])
    kept = [record.payload.decode() for record in records(out, Kind.MESSAGE) if record.streams]
    assert kept == [cue.text for cue in cues[: len(kept)]]
    for client in clients:
        assert client.wait_closed() == (1012, "the proxy restarts")
        got = client.received[1:]
        assert got == binance_data(WISH, cues)[: len(got)]
        assert 1_000 <= len(got) + 1 <= len(kept) + 1
    (closed,) = records(out, Kind.CLOSED)
    assert closed.seq == wsproxy.open(out).info.records - 1
    assert gaps(out) == {}
    assert exchange.peers[0].closed is not None
    assert exchange.peers[0].closed[0] == 1000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(
    number: signal.Signals, floor: TradingFloor, out: Path
) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        running_wsproxy("record", f"binance={url}", "--out", str(out)) as proxy,
    ):
        (client,) = join_all(floor, proxy.url, [WISH])
        client.pause()  # it will not answer a close frame, so that the proxy waits for it
        proxy.send(number)
        proxy.wait_for("stopping")
        assert proxy.stop(number).code == -number
    assert wsproxy.open(out).info.damage == ()


def test_a_quiet_recorder_ends_with_everything(floor: TradingFloor, out: Path) -> None:
    cues = trades("a@trade", 5_000, 100)
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        running_wsproxy("record", f"binance={url}", "--out", str(out)) as proxy,
    ):
        (client,) = join_all(floor, proxy.url, [WISH])
        exchange.play(cues)
        client.wait_for(1 + len(cues))
        ended = proxy.stop()  # long before the block is a second old
    assert ended.code == 0
    assert_recorded(out, exchange)
