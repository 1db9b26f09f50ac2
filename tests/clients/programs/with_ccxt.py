"""ccxt, until the exchange closes; prints what it came to hold as JSON.

python with_ccxt.py VENUE REST WS KIND,KIND... BTC/USDT
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro

LEVELS = {"binance": 5_000, "coinbase": None}


def binance(rest: str, ws: str, _: str) -> Any:
    return ccxt.pro.binance(
        {
            "urls": {"api": {"public": f"{rest}/api/v3", "ws": {"spot": f"{ws}/ws"}}},
            # It keeps the last 1,000 trades until somebody asks, which a busy machine can exceed.
            "options": {"fetchMarkets": {"types": ["spot"]}, "tradesLimit": 100_000},
        }
    )


def coinbase(_: str, ws: str, symbol: str) -> Any:
    exchange = ccxt.pro.coinbase({"urls": {"api": {"ws": ws}}})
    # ccxt would ask Coinbase's REST interface for all markets, and a replay has none.
    base, quote = symbol.split("/")
    market = {"id": f"{base}-{quote}", "symbol": symbol, "base": base, "quote": quote}
    exchange.set_markets([exchange.safe_market_structure({**market, "type": "spot", "spot": True})])
    return exchange


async def main(venue: str, rest: str, ws: str, kinds: str, symbol: str) -> None:
    exchange = {"binance": binance, "coinbase": coinbase}[venue](rest, ws, symbol)
    held: dict[str, Any] = {"trades": [], "reports": 0}

    def count(_: object) -> None:
        held["reports"] += 1

    def take_trades(trades: Any) -> None:
        held["trades"] += [trade["id"] for trade in trades]

    async def watch(ask: Callable[[], Awaitable[Any]], take: Callable[[Any], None]) -> None:
        try:
            while True:
                take(await ask())
        except ccxt.NetworkError as error:
            held["end"] = str(error)

    watches = {
        "book": (lambda: exchange.watch_order_book(symbol, LEVELS[venue]), count),
        "trades": (lambda: exchange.watch_trades(symbol), take_trades),
        "ticker": (lambda: exchange.watch_ticker(symbol), count),
        "quote": (lambda: exchange.watch_bids_asks([symbol]), count),
    }
    await exchange.load_markets()
    await asyncio.gather(*(watch(*watches[kind]) for kind in kinds.split(",")))
    if symbol in exchange.orderbooks:
        book = exchange.orderbooks[symbol]
        held["book"] = {"bids": list(book["bids"]), "asks": list(book["asks"])}
        held["last"] = book["nonce"]
    # It reports what is new when it is asked, and merges what came between.
    for kind, state in (("ticker", exchange.tickers), ("quote", exchange.bidsasks)):
        held[kind] = state.get(symbol, {}).get("info")
    await exchange.close()
    print(json.dumps({"version": ccxt.__version__, "markets": {symbol: held}}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
