"""Live, recorded and replayed: each Binance client gets its streams, byte for byte."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
import trustme

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.golden import Session
from tests.kit.peer import Cue
from tests.kit.proxy import wsproxy
from tests.kit.round_trip import (
    assert_obeyed,
    assert_recorded,
    gaps,
    join_all,
    play,
    replay,
    stop,
)
from tests.kit.strategy import TradingFloor
from tests.kit.traffic import BINANCE_BTC, BINANCE_MANY, binance_script, requires_traffic
from tests.kit.wishes import binance, binance_data, some_binance

CAP = 3
SPEEDS = ("max", "200")


def prove(floor: TradingFloor, out: Path, cues: Sequence[Cue], clients: int) -> None:
    streams = sorted({cue.streams[0] for cue in cues})
    dice = Random(clients)
    wishes = [some_binance(dice, streams) for _ in range(clients)]
    exchange = BinanceExchange(cap=CAP)
    with (
        running(exchange) as url,
        wsproxy("record", f"binance={url}", "--out", str(out), f"--max-connections={CAP}") as proxy,
    ):
        live = join_all(floor, f"{proxy.url}/binance", wishes)
        assert exchange.subscribed == {name for wish in wishes for name in wish.streams}
        play(exchange, cues)
        for wish, strategy in zip(wishes, live, strict=True):
            strategy.wait_for(len(wish.requests) + len(binance_data(wish, cues)), 30)
        stop(proxy)
    for wish, strategy in zip(wishes, live, strict=True):
        assert strategy.received[len(wish.requests) :] == binance_data(wish, cues)
    assert_obeyed(exchange, cap=CAP)
    assert_recorded(out, exchange)
    assert gaps(out) == {}
    for speed in SPEEDS * 2 if clients == 10 else SPEEDS:
        replayed = replay(floor, out, "binance", wishes, "--speed", speed)
        for before, after in zip(live, replayed, strict=True):
            assert before.received == after.received


@requires_traffic
@pytest.mark.parametrize("clients", [1, 10, 50])
def test_everyone_gets_their_streams_of_real_traffic(
    clients: int, floor: TradingFloor, out: Path
) -> None:
    prove(floor, out, binance_script(BINANCE_MANY), clients)


@requires_traffic
def test_everyone_gets_their_streams_of_a_busy_symbol(floor: TradingFloor, out: Path) -> None:
    prove(floor, out, binance_script(BINANCE_BTC)[:6_000], clients=4)


def test_everyone_gets_their_streams_of_generated_traffic(
    golden: Session, floor: TradingFloor, out: Path
) -> None:
    prove(floor, out, golden.binance_script(), clients=10)


def test_an_exchange_behind_tls(
    golden: Session, floor: TradingFloor, out: Path, tmp_path: Path
) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    wish = binance(["btcusdt@trade", "ethusdt@trade"])
    cues = golden.binance_script()
    exchange = BinanceExchange()
    command = ("record", "--out", str(out), "--upstream-ca", str(ca_file))
    with running(exchange, server) as url, wsproxy(*command, f"binance={url}") as proxy:
        assert url.startswith("wss://")
        (strategy,) = join_all(floor, proxy.url, [wish])
        play(exchange, cues)
        strategy.wait_for(1 + len(binance_data(wish, cues)))
        stop(proxy)
    assert strategy.received[1:] == binance_data(wish, cues)
    assert_recorded(out, exchange)


def test_an_exchange_whose_certificate_nobody_signed(floor: TradingFloor) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(server)
    exchange = BinanceExchange()
    with running(exchange, server) as url, wsproxy("proxy", f"binance={url}") as proxy:
        floor.strategy(f"{proxy.url}/ws/btcusdt@trade").wait_open()
        assert "CERTIFICATE_VERIFY_FAILED" in proxy.wait_for("WARNING")
        assert exchange.peers == []
