"""ccxt on Coinbase, until the exchange closes; prints what it came to hold as JSON.

python with_ccxt_coinbase.py REST WS KIND,KIND... BTC/USD

Its market is declared: ccxt would ask Coinbase's REST interface for all, and a replay has none.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import ccxt.pro


async def main(_: str, ws: str, kinds: str, symbol: str) -> None:
    exchange = ccxt.pro.coinbase({"urls": {"api": {"ws": ws}}})
    base, quote = symbol.split("/")
    market = {"id": f"{base}-{quote}", "symbol": symbol, "base": base, "quote": quote}
    exchange.set_markets([exchange.safe_market_structure({**market, "type": "spot", "spot": True})])
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
        "book": (lambda: exchange.watch_order_book(symbol), count),
        "trades": (lambda: exchange.watch_trades(symbol), take_trades),
        "ticker": (lambda: exchange.watch_ticker(symbol), count),
    }
    await asyncio.gather(*(watch(*watches[kind]) for kind in kinds.split(",")))
    book = exchange.orderbooks[symbol]
    held["book"] = {"bids": list(book["bids"]), "asks": list(book["asks"])}
    held["ticker"] = exchange.tickers[symbol]["info"]
    await exchange.close()
    print(json.dumps({"version": ccxt.__version__, "markets": {symbol: held}}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
