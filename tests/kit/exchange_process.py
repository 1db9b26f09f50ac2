"""A stand-in exchange as a process of its own, for the demo and the benches.

Prints its URL, plays when its clients are there, and ends on SIGTERM or SIGINT with one line of
JSON: what it sent, the most connections at once, the limits that were broken.
"""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path

from tests.kit import golden
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange, CoinbaseScript
from tests.kit.peer import Cue


def main() -> None:
    """Run until a signal."""
    options = _options()
    exchange, cues = _prepare(options)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with running(exchange, port=options.port) as url:
        print(url, flush=True)
        exchange.play_when(cues, options.after_streams, options.quiet, options.rate)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    report = {
        "sent": exchange.deliveries,
        "connections": len(exchange.peers),
        "peak": exchange.peak,
        "violations": exchange.violations,
    }
    print(json.dumps(report), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kit.exchange", description=__doc__)
    parser.add_argument("venue", choices=["binance", "coinbase"])
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--file", help="a stream file of ../shared/traffic, by name or path")
    source.add_argument("--golden", type=int, default=1, metavar="SEED", help="generated traffic")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--cap", type=int, help="connections at once")
    parser.add_argument("--after-streams", type=int, default=1, help="play when so many are held")
    parser.add_argument(
        "--quiet", type=float, default=0.5, help="and nothing was asked for so long"
    )
    parser.add_argument(
        "--rate", type=float, help="messages a second (default: all the sockets take)"
    )
    parser.add_argument("--repeat", type=int, default=1, help="play it so many times")
    return parser.parse_args()


def _prepare(options: argparse.Namespace) -> tuple[Exchange, list[Cue]]:
    if options.venue == "binance":
        cues, snapshots = _binance(options)
        exchange: Exchange = BinanceExchange(snapshots=snapshots, cap=options.cap, keep_log=False)
    else:
        openings, cues = _coinbase(options)
        exchange = CoinbaseExchange(openings=openings, cap=options.cap, keep_log=False)
    return exchange, cues * options.repeat


def _binance(options: argparse.Namespace) -> tuple[list[Cue], dict[str, str]]:
    if options.file:
        from tests.kit import traffic  # it needs pytest, which the demo may lack

        name = _name(options.file)
        return traffic.binance_script(name), traffic.binance_snapshots(name)
    session = golden.generate(options.golden)
    return session.binance_script(), session.depth_snapshots


def _coinbase(options: argparse.Namespace) -> CoinbaseScript:
    if options.file:
        from tests.kit import traffic

        return traffic.coinbase_script(_name(options.file))
    return golden.generate(options.golden).coinbase_script()


def _name(file: str) -> str:
    return Path(file).name.removesuffix(".jsonl.gz")
