"""Recordings for real clients, and what these should have come to hold at the end of each.

Those of Binance end with a message of a stream that nobody asks for, some time behind the others:
python-binance drops what it has not handled yet when the exchange closes.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.books import BinanceBook, CoinbaseBook
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.golden import generate
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, run, wsproxy
from tests.kit.rest import BinanceRest, serving
from tests.kit.round_trip import stop
from tests.kit.traffic import COINBASE, TRAFFIC, binance_snapshots, load

MIDNIGHT = ("binance__hftb-btcusdt_20240808", "binance__hftb-btcusdt_20240809")
"""They join exactly; the first, of 346 s, has a snapshot."""
FUTURES = "binance_futures__hftb-btcusdt_20240808"
"""Its streams have the names that spot streams have."""

_SECOND = 10**9
_IDLE = "idle@kline_1m"
_IDLE_TEXT = f'{{"stream":"{_IDLE}","data":{{}}}}'


class Truth(NamedTuple):
    """What a client should hold of one symbol, by an independent book and the raw messages."""

    bids: dict[str, str]
    asks: dict[str, str]
    number: int | None
    """The last update in the book."""
    trades: list[str]
    """The ids, oldest first."""
    last: dict[str, Any]
    """The last quote (the best bid and ask) and the last ticker."""


class Market(NamedTuple):
    """A recording, how to play it, and the truth by symbol."""

    recording: Path
    options: tuple[str, ...]
    truths: dict[str, Truth]


def midnight(folder: Path) -> Market:
    """A minute before midnight and five behind it, of one symbol."""
    return _imported(folder, MIDNIGHT, 290, 20, binance_snapshots(MIDNIGHT[0]))


def many(folder: Path, name: str) -> Market:
    """Two minutes of all symbols of a file."""
    return _imported(folder, (name,), 0, 8, binance_snapshots(name))


def futures(folder: Path) -> Market:
    """Two minutes; no book, because its numbers are none that a client of spot could follow."""
    return _imported(folder, (FUTURES,), 200, 20, {"BTCUSDT": None})


def coinbase(folder: Path) -> Market:
    """Half a minute with a book of 46,000 levels."""
    book, trades, last = CoinbaseBook("BTC-USD"), [], {}
    for text in (line.m for line in load(COINBASE) if line.dir == "in"):
        message = json.loads(text)
        if message["channel"] == "l2_data":
            book.apply(text)
        for event in message["events"]:
            for told in event.get("trades") or event.get("tickers", ()):
                if told["product_id"] != book.product:
                    continue
                if "trade_id" in told:
                    trades.append(told["trade_id"])
                else:
                    last["ticker"] = told
    trades.sort(key=int)  # the snapshot has the newest first
    recording = _import(folder, [TRAFFIC / "streams" / f"{COINBASE}.jsonl.gz"], "coinbase")
    truth = Truth(book.bids, book.asks, None, trades, last)
    return Market(recording, ("--speed=4",), {book.product: truth})


def stand_in(folder: Path) -> Market:
    """Five seconds of a stand-in exchange and its REST interface, recorded by wsproxy."""
    session = generate()
    snapshot = session.depth_snapshots["BTCUSDT"]
    cues = [cue for cue in session.binance_script() if cue.streams[0].startswith("btcusdt@")]
    exchange = BinanceExchange(snapshots={"BTCUSDT": snapshot})
    rest = BinanceRest(exchange.depth_snapshot)
    recording = folder / "recording"
    wanted = {cue.streams[0] for cue in cues} | {_IDLE}
    with (
        running(exchange) as url,
        serving(rest) as rest_url,
        wsproxy(
            *("record", f"binance={url}", f"--out={recording}"),
            f"--rest-url=binance={rest_url}",
            *(f"--subscribe=binance:{stream}" for stream in sorted(wanted)),
        ) as proxy,
    ):
        exchange.wait_for(lambda: exchange.subscribed == wanted)
        rest.wait_for("/api/v3/exchangeInfo")  # which comes behind the books
        exchange.play(cues, rate=len(cues) / 5).result(PATIENCE_S)
        idle = Cue((_IDLE,), _IDLE_TEXT)
        exchange.play([idle, idle], rate=0.5).result(PATIENCE_S)
        stop(proxy)
    truth = _truth(snapshot, [(True, cue.text) for cue in cues])
    return Market(recording, (), {"BTCUSDT": truth})


def _imported(
    folder: Path,
    names: Sequence[str],
    start_s: int,
    speed: int,
    snapshots: dict[str, str] | dict[str, None],
) -> Market:
    """Files in a row, played from this second on."""
    lines = [line for name in names for line in load(name) if line.dir == "in"]
    start, end = lines[0].t + start_s * _SECOND, lines[-1].t
    told = defaultdict(list)
    for line in lines:
        symbol = line.m.partition('"stream":"')[2].partition("@")[0].upper()
        told[symbol].append((line.t >= start, line.m))
    idle = folder / "idle.jsonl"
    late = {"t": end + 3 * speed * _SECOND, "conn": "idle", "dir": "in", "m": _IDLE_TEXT}
    idle.write_text(json.dumps(late))
    files = [TRAFFIC / "streams" / f"{name}.jsonl.gz" for name in names]
    rest = TRAFFIC / "http" / f"{names[0]}.jsonl.gz"
    # Where time goes back from file to file, the replay waits: so the snapshots come first.
    recording = _import(folder, [rest, *files, idle], "binance")
    truths = {symbol: _truth(text, told[symbol]) for symbol, text in snapshots.items()}
    return Market(recording, (f"--start=+{start_s}s", f"--speed={speed}"), truths)


def _import(folder: Path, files: Sequence[Path], venue: str) -> Path:
    recording = folder / "recording"
    ended = run("import", *map(str, files), f"--venue={venue}", f"--out={recording}")
    assert ended.code == 0, ended.err
    return recording


def _truth(snapshot: str | None, told: Iterable[tuple[bool, str]]) -> Truth:
    """Of Binance messages as on ``/stream``, each with whether clients get to see it."""
    book = BinanceBook(snapshot or '{"lastUpdateId":0,"bids":[],"asks":[]}')
    trades, last = [], {}
    for seen, text in told:
        message = json.loads(text)
        kind, data = message["stream"].split("@")[1], message["data"]
        if kind == "depth":
            if snapshot is not None:
                book.apply(text)
        elif kind in {"trade", "aggTrade"} and seen:
            trades.append(str(data["t" if kind == "trade" else "a"]))
        elif kind in {"bookTicker", "miniTicker"} and seen:
            last["quote" if kind == "bookTicker" else "ticker"] = data
    return Truth(book.bids, book.asks, book.last_update_id, trades, last)
