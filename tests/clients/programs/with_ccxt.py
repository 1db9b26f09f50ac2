"""ccxt on Binance, until the exchange closes; prints what it came to hold as JSON.

python with_ccxt.py REST WS KIND,KIND... BTC/USDT
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro

LEVELS = 5_000


async def main(rest: str, ws: str, kinds: str, symbol: str) -> None:
    exchange = ccxt.pro.binance(
        {
            "urls": {"api": {"public": f"{rest}/api/v3", "ws": {"spot": f"{ws}/ws"}}},
            # It keeps the last 1,000 trades until somebody asks, which a busy machine can exceed.
            "options": {"fetchMarkets": {"types": ["spot"]}, "tradesLimit": 100_000},
        }
    )
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
        "book": (lambda: exchange.watch_order_book(symbol, LEVELS), count),
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
