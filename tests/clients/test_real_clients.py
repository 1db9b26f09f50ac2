"""Unmodified client libraries against a replay: all that changes is the address.

`make test-clients` runs this; it installs the libraries in an environment of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.kit.client_markets import Market, Truth
from tests.kit.proxy import wsproxy
from tests.kit.real_clients import PROGRAMS, NotInstalled, node_modules_with, python_with, run
from tests.kit.tls_front import tls_front

pytestmark = pytest.mark.clients

Command = tuple[list[str | Path], dict[str, str]]


def python(package: str, program: str, *words: str) -> Command:
    return [python_with(package), PROGRAMS / program, *words], {}


def node(package: str, version: str, program: str) -> Command:
    modules = node_modules_with(package, version)
    return ["node", PROGRAMS / program], {"NODE_PATH": str(modules)}


class Library(NamedTuple):
    """A client library, and a program that uses it."""

    install: Callable[[], Command]
    """Raises NotInstalled."""
    between: str
    """How it names a symbol: what it puts between the assets."""
    connections: Callable[[Sequence[str]], int]
    """How many it opens for these kinds."""
    venue: str = "binance"
    lacks: tuple[str, ...] = ()
    """The kinds that it cannot be asked for."""
    needs_tls: bool = False


LIBRARIES = {
    "ccxt": Library(lambda: python("ccxt", "with_ccxt.py", "binance"), "/", len),
    "ccxt-npm": Library(lambda: node("ccxt", "4.5.84", "with_ccxt.cjs"), "/", len),
    "python-binance": Library(
        lambda: python("python-binance", "with_python_binance.py"), "", lambda _: 2
    ),
    "cryptofeed": Library(
        lambda: python("cryptofeed", "with_cryptofeed.py"),
        "-",
        lambda _: 1,
        lacks=("trades", "ticker"),  # it takes aggTrade, and knows no ticker
        needs_tls=True,
    ),
}
CRYPTOFEED = LIBRARIES["cryptofeed"]
CCXT_COINBASE = Library(
    lambda: python("ccxt", "with_ccxt.py", "coinbase"), "/", lambda _: 1, venue="coinbase"
)


def play(
    library: Library, market: Market, kinds: Sequence[str], symbols: Sequence[str], folder: Path
) -> dict[str, Any]:
    """Run the library's program on a replay to its end; gives what it came to hold, by symbol."""
    try:
        command, env = library.install()
    except NotInstalled as error:
        pytest.skip(str(error))
    waiting = (f"--clients={library.connections(kinds)}", "--settle=2")
    with ExitStack() as stack:
        replay = stack.enter_context(
            wsproxy("replay", str(market.recording), *market.options, *waiting)
        )
        rest = f"{replay.url.replace('ws://', 'http://')}/{library.venue}"
        ws = f"{replay.url}/{library.venue}"
        if library.needs_tls:
            port, ca_file = urlsplit(replay.url).port, folder / "ca.pem"
            assert port is not None
            ws = f"wss://{stack.enter_context(tls_front(port, ca_file))}/{library.venue}"
            env = {**env, "SSL_CERT_FILE": str(ca_file)}
        printed = run([*command, rest, ws, ",".join(kinds), *symbols], env, folder)
        assert replay.wait().code == 0, replay.err
    markets: dict[str, Any] = printed["markets"]
    assert sorted(markets) == sorted(symbols)
    return markets


def assert_true(held: dict[str, Any], truth: Truth, kinds: Sequence[str]) -> None:
    assert held["reports"] > 10  # it did not only look at the end
    if "book" in kinds:
        assert side(held["book"]["bids"]) == side(truth.bids.items())
        assert side(held["book"]["asks"]) == side(truth.asks.items())
        assert held.get("last", truth.number) == truth.number
    if "trades" in kinds:
        assert list(map(str, held["trades"])) == truth.trades
    for kind in {"quote", "ticker"} & set(kinds):
        assert held[kind] == truth.last[kind]


def side(levels: Any) -> dict[Decimal, Decimal]:
    return {Decimal(str(price)): Decimal(str(quantity)) for price, quantity in levels}


@pytest.mark.parametrize("name", LIBRARIES)
@pytest.mark.parametrize(
    ("where", "kinds"),
    [
        ("stand_in", ("book", "trades", "quote", "ticker")),
        ("midnight", ("book", "trades", "quote")),
    ],
    ids=("stand-in", "midnight"),
)
def test_books_trades_and_tickers_are_those_of_the_raw_messages(
    name: str, where: str, kinds: tuple[str, ...], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    library, market = LIBRARIES[name], request.getfixturevalue(where)
    asked = [kind for kind in kinds if kind not in library.lacks]
    symbol = library.between.join(("BTC", "USDT"))
    held = play(library, market, asked, [symbol], tmp_path)
    assert_true(held[symbol], market.truths["BTCUSDT"], asked)


@pytest.mark.parametrize("name", ["ccxt", "ccxt-npm"])
def test_streams_of_futures_in_the_place_of_those_of_spot(
    name: str, futures: Market, tmp_path: Path
) -> None:
    kinds = ("trades", "quote")
    held = play(LIBRARIES[name], futures, kinds, ["BTC/USDT"], tmp_path)
    assert_true(held["BTC/USDT"], futures.truths["BTCUSDT"], kinds)


def test_cryptofeed_keeps_many_books_as_it_did_when_it_recorded_them(
    many: Market, tmp_path: Path
) -> None:
    """It recorded this file; here it gets it once more."""
    kinds = ("book", "trades", "quote")
    # An address with a stream that the recording lacks is refused: two symbols had no trade.
    names = {symbol: dashed(symbol) for symbol, truth in many.truths.items() if truth.trades}
    held = play(CRYPTOFEED, many, kinds, list(names.values()), tmp_path)
    for symbol, name in names.items():
        assert_true(held[name], many.truths[symbol], kinds)


def dashed(symbol: str) -> str:
    """A symbol of that recording, as cryptofeed names it."""
    quote = next(one for one in ("USDT", "ETH", "BNB", "BRL", "AUD") if symbol.endswith(one))
    return f"{symbol.removesuffix(quote)}-{quote}"


def test_a_book_of_coinbase(coinbase: Market, tmp_path: Path) -> None:
    kinds = ("book", "trades", "ticker")
    held = play(CCXT_COINBASE, coinbase, kinds, ["BTC/USD"], tmp_path)
    assert_true(held["BTC/USD"], coinbase.truths["BTC-USD"], kinds)
