"""Who is let in, and what the others are told."""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPResponse
from time import monotonic
from urllib.parse import urlsplit

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import request

NOWHERE = "binance=ws://127.0.0.1:9"
"""An upstream that no test here needs."""


def refusal(url: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    """What a WebSocket handshake is answered with."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=PATIENCE_S)
    connection.request("GET", parts.path, headers=upgrade | (headers or {}))
    response = connection.getresponse()
    connection.close()
    return response


def test_two_venues_are_told_apart_by_their_prefix(floor: TradingFloor) -> None:
    with (
        running(BinanceExchange()) as binance,
        running(CoinbaseExchange()) as coinbase,
        wsproxy("proxy", f"binance={binance}", f"coinbase={coinbase}") as proxy,
    ):
        listing = request("LIST_SUBSCRIPTIONS", id=1)
        first = floor.strategy(f"{proxy.url}/binance/ws", [listing])
        assert first.wait_for(1) == ['{"result":[],"id":1}']
        for path in ("/coinbase", "/coinbase/"):
            second = floor.strategy(proxy.url + path, [listing])
            assert str(second.wait_for(1)[0]).startswith('{"type":"error","message":')
        for path in ("/ws", "/", "/kraken/ws", "/binance/nowhere", "/coinbase/ws"):
            assert refusal(proxy.url + path).status == 404, path


def test_pages_of_other_hosts_are_refused(floor: TradingFloor) -> None:
    with wsproxy("proxy", NOWHERE, "--allow-origin", "https://desk.example") as proxy:
        own = proxy.url.replace("ws:", "http:")
        for origin in (own, "https://desk.example", "http://localhost:3000"):
            client = floor.strategy(f"{proxy.url}/ws", headers={"Origin": origin})
            client.wait_open()
        floor.strategy(f"{proxy.url}/ws").wait_open()  # no browser
        for origin in (
            "https://evil.example",
            "https://desk.example.evil.example",
            "http://127.0.0.1.evil.example",
            "https://evil.example/https://desk.example",
            "null",
            "",
        ):
            answer = refusal(f"{proxy.url}/ws", {"Origin": origin})
            assert answer.status == 403, origin


def test_no_more_clients_than_there_are_places(floor: TradingFloor) -> None:
    with wsproxy("proxy", NOWHERE, "--max-clients=2") as proxy:
        inside = [floor.strategy(f"{proxy.url}/ws") for _ in range(2)]
        for client in inside:
            client.wait_open()
        assert refusal(f"{proxy.url}/ws").status == 503
        inside[0].close()
        inside[0].wait_closed()
        deadline = monotonic() + PATIENCE_S
        while not gets_in(floor, f"{proxy.url}/ws"):  # the proxy has yet to notice
            assert monotonic() < deadline


def gets_in(floor: TradingFloor, url: str) -> bool:
    client = floor.strategy(url)
    try:
        client.wait_open()
    except ConnectionError:
        assert client.refused == 503
        return False
    return True


def test_what_is_no_handshake_gets_an_http_error() -> None:
    with wsproxy("proxy", NOWHERE) as proxy:
        for sent, status in (
            (b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n", b"426"),
            (b"hello\r\n\r\n", b"400"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50) + b"\r\n\r\n", b"400"),
            (b"GET /ws HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", b"431"),
        ):
            assert answer_to(proxy.url, sent).split()[1] == status


def answer_to(url: str, sent: bytes) -> bytes:
    """Everything that comes back until the other side closes."""
    parts = urlsplit(url)
    received = b""
    with socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S) as raw:
        raw.sendall(sent)
        while data := raw.recv(1 << 16):
            received += data
    return received
