"""A client that joins while messages flow ends with the same book as one that was always there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.request import urlopen

from tests.kit.books import BinanceBook, CoinbaseBook
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange, CoinbaseScript
from tests.kit.golden import Session
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.round_trip import join_all, level2_book, play, stop
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.traffic import (
    BINANCE_BTC,
    binance_script,
    binance_snapshots,
    coinbase_script,
    requires_traffic,
)
from tests.kit.wishes import binance, binance_data, coinbase, coinbase_data, data

RATE = 3_000.0
"""Messages a second: slow enough to join in the middle, fast enough to race with it."""


def join_each(first: Strategy, floor: TradingFloor, url: str, at: Sequence[int]) -> list[Strategy]:
    """Join level2 clients, one whenever the first has so many messages."""
    joined = []
    for count in at:
        first.wait_for(count, PATIENCE_S)
        joined += join_all(floor, url, [LEVEL2])
    return joined


LEVEL2 = coinbase(["level2:BTC-USD"])


def prove_level2(
    floor: TradingFloor, out: Path, script: CoinbaseScript, at: Sequence[int], seconds: float
) -> None:
    updates = coinbase_data(LEVEL2, script.cues)
    truth = CoinbaseBook("BTC-USD")
    for message in (script.openings["level2:BTC-USD"], *updates):
        truth.apply(message)
    exchange = CoinbaseExchange(openings=script.openings)
    with (
        running(exchange) as url,
        wsproxy("record", f"coinbase={url}", "--out", str(out)) as proxy,
    ):
        (first,) = join_all(floor, proxy.url, [LEVEL2])
        playing = exchange.play(script.cues, len(script.cues) / seconds)
        joined = join_each(first, floor, proxy.url, at)
        playing.result(PATIENCE_S)
        first.wait_for(2 + len(updates), PATIENCE_S)  # the snapshot and the list came first
        (after,) = join_all(floor, proxy.url, [LEVEL2])
        stop(proxy)
    assert exchange.times_subscribed["level2:BTC-USD"] == 1
    everybody = [first, *joined, after]
    for strategy in everybody:
        book = level2_book(strategy)
        assert book.levels() == truth.levels()
        assert book.snapshots == 1

    # Slower than it was, so that the last of them does not come too late.
    with wsproxy("replay", str(out), "--settle", "0", "--speed", "0.3") as process:
        first = LEVEL2.join(floor, process.url)
        joined = join_each(first, floor, process.url, at)
        for strategy in [first, *joined]:
            assert strategy.wait_closed(PATIENCE_S)[0] == 1000
            assert level2_book(strategy).levels() == truth.levels()


@requires_traffic
def test_level2_of_real_traffic(floor: TradingFloor, out: Path) -> None:
    prove_level2(floor, out, coinbase_script(), at=(50, 100, 200), seconds=1)


def test_level2_of_generated_traffic(golden: Session, floor: TradingFloor, out: Path) -> None:
    prove_level2(floor, out, golden.coinbase_script(), at=(100, 300, 500), seconds=1)


def test_a_replay_that_starts_late_tells_the_book_first(
    golden: Session, floor: TradingFloor, out: Path
) -> None:
    script = golden.coinbase_script()
    exchange = CoinbaseExchange(openings=script.openings)
    with running(exchange) as url, wsproxy("record", f"coinbase={url}", "--out", str(out)) as proxy:
        (live,) = join_all(floor, proxy.url, [LEVEL2])
        play(exchange, script.cues, RATE)
        live.wait_for(2 + len(coinbase_data(LEVEL2, script.cues)), PATIENCE_S)
        stop(proxy)
    with wsproxy("replay", str(out), "--start", "+300ms", "--settle", "0") as process:
        late = LEVEL2.join(floor, process.url)
        late.wait_closed(PATIENCE_S)
    assert 2 < len(late.received) < len(live.received)
    assert level2_book(late).levels() == level2_book(live).levels()


def prove_depth(
    floor: TradingFloor, cues: Sequence[Cue], snapshots: dict[str, str], at: Sequence[int]
) -> None:
    symbol = "BTCUSDT"
    wish = binance([f"{symbol.lower()}@depth@100ms"])
    deltas = binance_data(wish, cues)
    truth = BinanceBook(snapshots[symbol])
    for delta in deltas:
        truth.apply(delta)
    exchange = BinanceExchange(snapshots=snapshots)
    with running(exchange) as url, wsproxy("proxy", f"binance={url}") as proxy:
        (first,) = join_all(floor, proxy.url, [wish])
        playing = exchange.play(cues, RATE)
        joined = []
        for count in at:
            first.wait_for(count, PATIENCE_S)
            (strategy,) = join_all(floor, proxy.url, [wish])
            strategy.wait_for(2, PATIENCE_S)  # the list, and an event that waits for a snapshot
            with urlopen(f"{url.replace('ws', 'http')}/api/v3/depth?symbol={symbol}") as response:
                joined.append((strategy, BinanceBook(response.read())))
        playing.result(PATIENCE_S)
        first.wait_for(1 + len(deltas), PATIENCE_S)
        stop(proxy)
    assert first.received[1:] == deltas
    for strategy, book in [(first, BinanceBook(snapshots[symbol])), *joined]:
        for message in data(strategy.received):
            book.apply(message)
        assert book.levels() == truth.levels()
        assert book.last_update_id == truth.last_update_id


@requires_traffic
def test_depth_of_real_traffic(floor: TradingFloor) -> None:
    cues = binance_script(BINANCE_BTC)[:5_000]
    prove_depth(floor, cues, binance_snapshots(BINANCE_BTC), at=(50, 100))


def test_depth_of_generated_traffic(golden: Session, floor: TradingFloor) -> None:
    cues = [cue for cue in golden.binance_script() if "@depth" in cue.streams[0]]
    prove_depth(floor, cues, golden.depth_snapshots, at=(50, 300))
