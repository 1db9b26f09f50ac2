from __future__ import annotations

from typing import Any

from tests.cli.conftest import Run
from wsproxy.config import Address, Serving, Upstream, VenueSetting


def test_defaults(run: Run, called: list[tuple[Any, ...]]) -> None:
    assert run("proxy", "binance").exit_code == 3
    assert called == [(Upstream((VenueSetting("binance", None),)), Serving(), None, None)]


def test_everything(run: Run, called: list[tuple[Any, ...]]) -> None:
    run(
        *("proxy", "binance=ws://127.0.0.1:1", "coinbase", "--max-connections", 3, "--linger", 0),
        *("--on-gap", "continue", "--duration", 1.5, "--listen", "[::1]:9", "--max-clients", 4),
        *("--allow-origin", "https://a", "--allow-origin", "https://b", "--outbox-mb", 0.5),
    )
    venues = (VenueSetting("binance", "ws://127.0.0.1:1"), VenueSetting("coinbase", None))
    upstream = Upstream(venues, max_connections=3, linger_seconds=0.0, close_on_gap=False)
    serving = Serving(
        Address("::1", 9), ("https://a", "https://b"), max_clients=4, outbox_bytes=1 << 19
    )
    assert called == [(upstream, serving, None, 1.5)]
