"""cryptofeed on Binance, until the exchange closes; prints what it came to hold as JSON.

SSL_CERT_FILE=ca.pem python with_cryptofeed.py REST WSS KIND,KIND... BTC-USDT...
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from importlib.metadata import version
from typing import Any, ClassVar

from cryptofeed import FeedHandler
from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
from cryptofeed.defines import L2_BOOK, TICKER, TRADES
from cryptofeed.exceptions import ExhaustedRetries
from cryptofeed.exchanges import Binance

LEVELS = 5_000


def main(rest: str, wss: str, kinds: str, *symbols: str) -> None:
    class Local(Binance):
        websocket_endpoints: ClassVar = [WebsocketEndpoint(wss)]
        rest_endpoints: ClassVar = [
            RestEndpoint(
                rest,
                routes=Routes("/api/v3/exchangeInfo", l2book="/api/v3/depth?symbol={}&limit={}"),
            )
        ]

    held: dict[str, dict[str, Any]] = defaultdict(lambda: {"trades": [], "reports": 0})
    books: dict[str, Any] = {}

    async def take_book(book: Any, _: float) -> None:
        held[book.symbol]["reports"] += 1
        held[book.symbol]["last"] = book.sequence_number
        books[book.symbol] = book.book

    async def take_trade(trade: Any, _: float) -> None:
        held[trade.symbol]["trades"].append(trade.id)

    async def take_quote(ticker: Any, _: float) -> None:
        held[ticker.symbol]["quote"] = ticker.raw

    def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), ExhaustedRetries):
            loop.stop()  # the exchange has closed and is gone
        else:
            loop.default_exception_handler(context)

    channels = {
        "book": (L2_BOOK, take_book),
        "trades": (TRADES, take_trade),
        "quote": (TICKER, take_quote),
    }
    callbacks = dict(channels[kind] for kind in kinds.split(","))
    handler = FeedHandler(config={"log": {"filename": "cryptofeed.log", "level": "WARNING"}})
    handler.add_feed(
        Local(
            symbols=list(symbols),
            channels=list(callbacks),
            callbacks=callbacks,
            max_depth=LEVELS,
            retries=0,
        )
    )
    handler.run(exception_handler=on_error)
    for symbol, book in books.items():
        held[symbol]["book"] = {"bids": _texts(book.bids), "asks": _texts(book.asks)}
    print(json.dumps({"version": version("cryptofeed"), "markets": held}))


def _texts(side: Any) -> list[tuple[str, str]]:
    return [(str(price), str(quantity)) for price, quantity in side.to_dict().items()]


if __name__ == "__main__":
    main(*sys.argv[1:])
