"""Planned rotations under traffic: no client loses, sees twice or sees out of order anything.

``ROTATIONS`` sets how many.
"""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path

from tests.kit import campaign
from tests.kit.campaign import Market, Trader, knob, wait_until
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.peer import Peer
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.round_trip import play, stop
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance, coinbase

ROTATIONS = knob("ROTATIONS", 4)
PAIRS = [f"r{n:02}{kind}" for n in range(20) for kind in ("@trade", "@depth@100ms")]
BOOKS = [f"level2:R{n}-USD" for n in range(4)]


def test_rotations_under_traffic(floor: TradingFloor, out: Path) -> None:
    markets = {"binance": Market(PAIRS, 1), "coinbase": Market(BOOKS, 2)}
    exchanges: dict[str, Exchange] = {
        "binance": BinanceExchange(),
        "coinbase": CoinbaseExchange(openings=markets["coinbase"].openings),
    }
    rates = {"binance": 1600.0, "coinbase": 400.0}
    wishes = {
        "binance": [binance(PAIRS[n::2], raw=n == 0) for n in range(2)] + [binance(PAIRS[:8])],
        "coinbase": [coinbase(BOOKS), coinbase(BOOKS[:1])],
    }
    with (
        running(exchanges["binance"]) as binance_url,
        running(exchanges["coinbase"]) as coinbase_url,
        wsproxy(
            "record", f"binance={binance_url}", f"coinbase={coinbase_url}", f"--out={out}"
        ) as proxy,
    ):
        traders = {
            venue: [Trader(floor, f"{proxy.url}/{venue}", wish) for wish in mine]
            for venue, mine in wishes.items()
        }
        for trader in (trader for mine in traders.values() for trader in mine):
            trader.sessions[0].wait_for(len(trader.wish.requests), PATIENCE_S)
        for venue, market in markets.items():
            play(exchanges[venue], market.round())
        playing = [exchanges[v].play(markets[v].cues(), rates[v]) for v in exchanges]
        for _ in range(ROTATIONS):
            old = {venue: exchange.open_peers for venue, exchange in exchanges.items()}
            proxy.send(signal.SIGHUP)
            for venue, exchange in exchanges.items():
                streams = set(markets[venue].streams)
                exchange.wait_for(partial(_rotated, exchange, old[venue], streams), PATIENCE_S)
        for venue, future in zip(exchanges, playing, strict=True):
            markets[venue].stop()
            future.result(10)
            play(exchanges[venue], markets[venue].round())
        wait_until(lambda: all(t.has(markets[v].last) for v in traders for t in traders[v]), 10)
        stop(proxy)
    seen = campaign.evidence(out)
    assert seen.gaps == []
    for venue, exchange in exchanges.items():
        assert exchange.violations == []
        assert len(exchange.peers) == ROTATIONS + 1
        mine = traders[venue]
        assert [len(trader.sessions) for trader in mine] == [1] * len(mine)
        wrong = campaign.complaints(
            mine, markets[venue], seen, holes_allowed=lambda _: False, doubled={}
        )
        assert list(wrong) == []
        for trader in mine:
            for stream, items in trader.items(trader.sessions[0]).items():
                numbers = [item.number for item in items]
                assert numbers == list(range(1, markets[venue].last[stream] + 1))
                assert sum(item.is_snapshot for item in items) == (venue == "coinbase")
        assert exchange.peak == 2  # the new connection is there before the old one goes


def _rotated(exchange: Exchange, old: list[Peer], streams: set[str]) -> bool:
    return exchange.subscribed >= streams and all(peer.closed for peer in old)
