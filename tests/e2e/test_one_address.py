"""Two proxies on one machine are one IP address to a venue: they share its attempt budget.

Coinbase allows 8 connection attempts a second. Each proxy takes its stream over 8 connections, so
that both together want twice what is allowed, at once: when their clients come, and again when the
venue has cut everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.campaign import Market
from tests.kit.exchange import running
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import coinbase

BOOK = "level2:BTC-USD"
LINES = 8
"""Connections of each proxy: as many as the venue allows attempts in a second."""


@contextmanager
def two_proxies(floor: TradingFloor, *runtime_directories: Path) -> Iterator[CoinbaseExchange]:
    """The venue of two processes, each with a client; their shared count is in a directory each."""
    exchange = CoinbaseExchange(openings=Market([BOOK], 1).openings)
    with running(exchange) as url:
        arguments = ("proxy", f"coinbase={url}", f"--redundancy={LINES}", "--on-gap=continue")
        first, second = ({"XDG_RUNTIME_DIR": str(path)} for path in runtime_directories)
        with wsproxy(*arguments, env=first) as one, wsproxy(*arguments, env=second) as other:
            for proxy in (one, other):
                coinbase([BOOK]).join(floor, proxy.url)
            yield exchange


def is_whole(exchange: CoinbaseExchange) -> bool:
    return len(exchange.holders(BOOK)) == 2 * LINES


def cut_everything(exchange: CoinbaseExchange) -> None:
    for peer in exchange.open_peers:
        exchange.abort(peer)


def test_two_processes_stay_within_the_budget_of_one_address(
    floor: TradingFloor, tmp_path: Path
) -> None:
    with two_proxies(floor, tmp_path, tmp_path) as exchange:
        exchange.wait_for(lambda: is_whole(exchange), PATIENCE_S)
        cut_everything(exchange)
        exchange.wait_for(lambda: is_whole(exchange), PATIENCE_S)
    assert exchange.violations == []  # one attempt or request too many in any second is one
    assert exchange.refused == []
    assert len(exchange.peers) == 2 * 2 * LINES


def test_processes_that_do_not_know_of_each_other_break_it(
    floor: TradingFloor, tmp_path: Path
) -> None:
    """So the test above can fail."""
    apart = [tmp_path / "one", tmp_path / "other"]
    for directory in apart:
        directory.mkdir()
    with two_proxies(floor, *apart) as exchange:
        exchange.wait_for(lambda: bool(exchange.refused) or is_whole(exchange), PATIENCE_S)
        cut_everything(exchange)  # in case they happened to come one after the other
        exchange.wait_for(lambda: 429 in exchange.refused, PATIENCE_S)
    assert f"more than {LINES} attempts" in exchange.violations
