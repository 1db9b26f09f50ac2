"""python-binance, until the exchange closes; prints what it came to hold as JSON.

python with_python_binance.py REST WS KIND,KIND... BTCUSDT
"""

from __future__ import annotations

import asyncio
import json
import sys
from importlib.metadata import version
from typing import Any

from binance import AsyncClient, BinanceSocketManager, DepthCacheManager
from binance.ws.reconnecting_websocket import ReconnectingWebsocket

LEVELS = 5_000
STREAMS = {"trades": "trade", "quote": "bookTicker", "ticker": "miniTicker"}


async def main(rest: str, ws: str, kinds: str, symbol: str) -> None:
    class Client(AsyncClient):
        API_URL = f"{rest}/api"

    class Sockets(BinanceSocketManager):
        STREAM_URL = f"{ws}/"

    held: dict[str, Any] = {"trades": [], "reports": 0}
    client = await Client.create()
    sockets = Sockets(client, max_queue_size=100_000)
    ReconnectingWebsocket.MAX_RECONNECTS = 1  # the first is the one that is there

    async def watch_streams(streams: dict[str, str]) -> None:
        async with sockets.multiplex_socket(list(streams)) as socket:
            while "data" in (message := await socket.recv()):
                kind, data = streams[message["stream"]], message["data"]
                if kind == "trades":
                    held["trades"].append(data["t"])
                else:
                    held[kind] = data

    async def watch_book() -> None:
        options = {"limit": LEVELS, "ws_interval": 100, "conv_type": str}
        async with DepthCacheManager(client, symbol, bm=sockets, **options) as cache:
            while not isinstance(book := await cache.recv(), dict):
                held["reports"] += 1
            book = cache.get_depth_cache()
            held["book"] = {"bids": book.get_bids(), "asks": book.get_asks()}

    streams = {
        f"{symbol.lower()}@{STREAMS[kind]}": kind for kind in kinds.split(",") if kind != "book"
    }
    await asyncio.gather(watch_streams(streams), watch_book())
    await client.close_connection()
    print(json.dumps({"version": version("python-binance"), "markets": {symbol: held}}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
