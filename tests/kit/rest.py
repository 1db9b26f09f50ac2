"""A stand-in for Binance's REST interface: books of a stand-in exchange, weights, refusals.

It shares no code with wsproxy. Each connection has a thread; methods may be called from any.
"""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

MOST_WEIGHT = 6000
PERIOD_S = 60.0
MARKET = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.01000000"}],
}
EXCHANGE_INFO = json.dumps({"timezone": "UTC", "symbols": [MARKET]})


class Asked(NamedTuple):
    """One request."""

    path: str
    at: float
    """Monotonic clock, seconds."""
    status: int


class BinanceRest:
    """Answers depth (``book`` gives a symbol's body, None where there is none), time and info."""

    def __init__(self, book: Callable[[str], str | None], *, ahead_ms: int = 0) -> None:
        self.book = book
        self.asked: list[Asked] = []
        self.violations: list[str] = []
        self.let_go = threading.Event()
        """Ends ``hang``."""
        self._ahead_ms = ahead_ms
        self._weights: list[tuple[float, int]] = []
        self._refusals: list[tuple[int, int | None]] = []
        self._banned_until = 0.0
        self._hanging = False
        self._changed = threading.Condition()

    def refuse(self, status: int, retry_after_s: int | None = None) -> None:
        """Refuse the next request; to come back before that time is over is a violation."""
        with self._changed:
            self._refusals.append((status, retry_after_s))

    def hang(self) -> None:
        """Answer nothing from now on, until ``let_go`` is set."""
        self._hanging = True

    def wait_for(self, path: str, times: int = 1, timeout: float = 30) -> list[Asked]:
        """Wait until what begins with this path was asked for so often; TimeoutError."""

        def found() -> list[Asked]:
            return [asked for asked in self.asked if asked.path.startswith(path)]

        with self._changed:
            if not self._changed.wait_for(lambda: len(found()) >= times, timeout):
                raise TimeoutError(f"{path} was asked for {len(found())} times: {self.asked}")
        return found()

    def answer(self, path: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and body; in the thread of a connection."""
        now = time.monotonic()
        url = urlsplit(path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self._changed:
            used = self._weigh(url.path, query, now)
            status, headers = 200, {"X-MBX-USED-WEIGHT-1M": str(used)}
            if now < self._banned_until:
                self.violations.append(f"{path} came {self._banned_until - now:.1f} s too early")
            if self._refusals:
                status, wait_s = self._refusals.pop(0)
                if wait_s is not None:
                    headers["Retry-After"] = str(wait_s)
                    self._banned_until = now + wait_s
            body = self._body(url.path, query) if status == 200 else '{"code":-1003,"msg":"Slow"}'
            if body is None:
                status, body = 400, '{"code":-1121,"msg":"Invalid symbol."}'
            self.asked.append(Asked(path, now, status))
            self._changed.notify_all()
        if self._hanging:
            self.let_go.wait(60)
        return status, headers, body

    def _body(self, path: str, query: dict[str, str]) -> str | None:
        match path:
            case "/api/v3/time":
                return json.dumps({"serverTime": time.time_ns() // 1_000_000 + self._ahead_ms})
            case "/api/v3/exchangeInfo":
                return EXCHANGE_INFO
            case "/api/v3/depth":
                return self.book(query["symbol"])
        return None

    def _weigh(self, path: str, query: dict[str, str], now: float) -> int:
        """The weight of the last minute, with this request; source: docs of Binance, 2026-09."""
        weight = {"/api/v3/time": 1, "/api/v3/exchangeInfo": 20}.get(path, 0)
        if path == "/api/v3/depth":
            limit = int(query.get("limit", "100"))
            weight = 5 if limit <= 100 else 25 if limit <= 500 else 50 if limit <= 1000 else 250
        self._weights.append((now, weight))
        used = sum(one for at, one in self._weights if at > now - PERIOD_S)
        if used > MOST_WEIGHT:
            self.violations.append(f"a weight of {used} in {PERIOD_S:g} s")
        return used


@contextmanager
def serving(rest: BinanceRest) -> Iterator[str]:
    """Serve on loopback; gives the URL: scheme, host and port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, text = rest.answer(self.path)
            body = text.encode()
            if "gzip" in self.headers.get("Accept-Encoding", ""):
                body, headers = gzip.compress(body), headers | {"Content-Encoding": "gzip"}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # nobody waits any more

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a client that is killed leaves its connection as it is

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            rest.let_go.set()
            server.shutdown()
            thread.join(10)
