"""Chaos: clients and streams at both venues while everything that can go wrong does.

What every client received of every stream is what was sent, in order and once, but for what gap
records tell. ``CHAOS_SECONDS``, ``CHAOS_SEED``, ``CHAOS_EVERY_MS`` and ``CHAOS_WITHOUT`` (kinds of
faults, with commas between) set the schedule.
"""

from __future__ import annotations

import heapq
import itertools
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.kit import campaign
from tests.kit.campaign import Market, Trader, knob, wait_until
from tests.kit.chaos import Fault, is_flat, schedule
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.peer import Cue
from tests.kit.proxy import Process, wsproxy
from tests.kit.round_trip import join_all, play, stop
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import Wish, binance, coinbase, request

SECONDS = knob("CHAOS_SECONDS", 7)
SEED = knob("CHAOS_SEED", 1)
EVERY_S = knob("CHAOS_EVERY_MS", 700) / 1000
RECOVERY_S = 30.0 if SECONDS < 60 else 90.0
"""How long the proxy may take until everything works again: its back-off after failed attempts,
of which few follow each other, and some."""

PLAIN = [f"c{n:03}{kind}" for n in range(100) for kind in ("@trade", "@depth@100ms")]
MICRO = [f"m{n:03}{kind}" for n in range(45) for kind in ("@trade", "@depth@100ms")]
BOOKS = [f"level2:P{n}-USD" for n in range(10)]
SEQUENCED = [stream for stream in PLAIN + MICRO if "@depth" in stream]
"""Losses and repetitions inside a connection can be noticed on these, and on Coinbase's."""

COMMON = (
    "close",
    "abort",
    "half a frame",
    "freeze",
    "refuse",
    "swallow the ack",
    "mute",
    "drop",
    "duplicate",
    "delay",
    "rotate",
)
KINDS = {"binance": (*COMMON, "shutdown"), "coinbase": (*COMMON, "snapshot")}
WITHOUT = os.environ.get("CHAOS_WITHOUT", "").split(",")
"""Kinds of faults to leave out, when one of them hides the others."""


class Havoc:
    """Does to the exchanges what the schedules say."""

    def __init__(self, exchanges: dict[str, Exchange], proxy: Process) -> None:
        self._exchanges = exchanges
        self._proxy = proxy
        self._count = itertools.count()
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        for n, (venue, exchange) in enumerate(exchanges.items()):
            kinds = [kind for kind in KINDS[venue] if kind not in WITHOUT]
            for fault in schedule(SEED + n, SECONDS, kinds, EVERY_S * len(exchanges)):
                self._at(fault.at, partial(self._strike, exchange, fault))

    def _at(self, at: float, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (at, next(self._count), action))

    def run(self, meanwhile: Callable[[], None]) -> None:
        """Let everything happen at its time, then make the exchanges behave."""
        start = time.monotonic()
        while self._due:
            at, _, action = self._due[0]
            if time.monotonic() - start < at:
                meanwhile()
                time.sleep(campaign.POLL_S)
            else:
                heapq.heappop(self._due)
                action()
        for exchange in self._exchanges.values():
            exchange.unmute()
            exchange.swallow_acks(0)
            for peer in exchange.open_peers:
                exchange.behave(peer)

    def _strike(self, exchange: Exchange, fault: Fault) -> None:
        peers = exchange.open_peers
        if not peers:
            return
        peer, dice = peers[fault.target % len(peers)], Random(fault.target)
        sequenced = SEQUENCED if isinstance(exchange, BinanceExchange) else ()
        match fault.kind:
            case "close":
                exchange.close(peer, dice.choice([1000, 1001, 1011, 1012, 4000]), "as it pleases")
            case "abort":
                exchange.abort(peer)
            case "half a frame":
                exchange.drop_mid_frame(peer)
            case "freeze":
                exchange.freeze(peer)
                self._at(fault.at + 1, lambda: exchange.thaw(peer))
            case "refuse":
                exchange.refuse_handshakes(dice.choice([429, 503]))
                exchange.abort(peer)
            case "swallow the ack":
                exchange.swallow_acks()
                exchange.abort(peer)
            case "mute":
                # What comes on another connection, too, would be missing there without a trace.
                alone = [stream for stream in peer.held if exchange.holders(stream) == [peer]]
                streams = dice.sample(alone, min(3, len(alone)))
                exchange.mute(*streams)
                exchange.abort(peer)
                self._at(fault.at + 1, lambda: exchange.unmute(*streams))
            case "drop":
                exchange.drop(peer, 3, fraction=0.5, seed=fault.target, streams=sequenced)
            case "duplicate":
                exchange.duplicate(peer, 3, fraction=0.5, seed=fault.target, streams=sequenced)
            case "delay":
                exchange.delay(peer, 0.3)
                self._at(fault.at + 1, lambda: exchange.behave(peer))
            case "rotate":
                self._proxy.send(signal.SIGHUP)
            case "shutdown":
                assert isinstance(exchange, BinanceExchange)
                exchange.announce_shutdown()
                for old in exchange.open_peers:
                    self._at(fault.at + 2, partial(exchange.close, old, 1001))
            case "snapshot":
                assert isinstance(exchange, CoinbaseExchange)
                exchange.resnapshot(BOOKS[fault.target % len(BOOKS)])


def wishes() -> dict[str, list[Wish]]:
    """50 clients that want all of the 300 streams among them."""
    dice = Random(SEED)

    def shares(streams: list[str], clients: int) -> list[list[str]]:
        mixed = dice.sample(streams, len(streams))
        own = [mixed[n::clients] for n in range(clients)]
        return [list(dict.fromkeys([*mine, *dice.sample(streams, 3)])) for mine in own]

    plain = [
        binance(share, how=dice.choice(["url", "message"]), raw=dice.random() < 0.5)
        for share in shares(PLAIN, 26)
    ]
    micro = [campaign.microsecond_wish(share) for share in shares(MICRO, 12)]
    return {"binance": plain + micro, "coinbase": [coinbase(s) for s in shares(BOOKS, 12)]}


@pytest.mark.parametrize("on_gap", ["continue", "close"])
def test_chaos(on_gap: str, floor: TradingFloor, out: Path) -> None:
    trade, book = Market(PLAIN + MICRO, SEED), Market(BOOKS, SEED + 1)
    exchanges: dict[str, Exchange] = {
        "binance": BinanceExchange(cap=4),
        "coinbase": CoinbaseExchange(cap=2, openings=book.openings),
    }
    markets = {"binance": trade, "coinbase": book}
    memory: list[int] = []
    with (
        running(exchanges["binance"]) as binance_url,
        running(exchanges["coinbase"]) as coinbase_url,
        wsproxy(
            "record",
            f"binance={binance_url}",
            f"coinbase={coinbase_url}",
            f"--out={out}",
            f"--on-gap={on_gap}",
            "--max-connections=6",
        ) as proxy,
    ):
        traders = {
            venue: [Trader(floor, f"{proxy.url}/{venue}", wish) for wish in mine]
            for venue, mine in wishes().items()
        }
        everybody = [trader for mine in traders.values() for trader in mine]
        for trader in everybody:
            trader.sessions[0].wait_for(len(trader.wish.requests), 30)
        for venue, market in markets.items():
            play(exchanges[venue], market.round())
        playing = [exchanges[v].play(markets[v].cues(), rate=500) for v in exchanges]

        def meanwhile() -> None:
            memory.append(campaign.resident_bytes(proxy.pid))
            for trader in everybody:
                trader.tend()

        Havoc(exchanges, proxy).run(meanwhile)

        def missing() -> dict[str, tuple[int, int]]:
            """How many streams nobody holds, and how many clients are not served."""
            return {
                venue: (
                    len(set(markets[venue].streams) - exchange.subscribed),
                    sum(not _is_served(trader) for trader in traders[venue]),
                )
                for venue, exchange in exchanges.items()
            }

        def is_whole() -> bool:
            return not any(map(any, missing().values()))

        def has_last() -> bool:
            return all(t.has(markets[v].last) for v in traders for t in traders[v])

        assert wait_until(is_whole, RECOVERY_S, everybody), f"{missing()}\n{proxy.err}"
        for venue, future in zip(exchanges, playing, strict=True):
            markets[venue].stop()
            future.result(10)
        for _ in range(3):  # a round may show that something was lost, and close clients
            assert wait_until(is_whole, RECOVERY_S, everybody), f"{missing()}\n{proxy.err}"
            for venue, exchange in exchanges.items():
                play(exchange, markets[venue].round())
            if wait_until(has_last, 10):
                break
        stop(proxy)
    assert {v: exchange.violations for v, exchange in exchanges.items()} == {
        "binance": [],
        "coinbase": [],
    }
    seen = campaign.evidence(out)
    wrong = [
        f"{venue}, {complaint}"
        for venue in exchanges
        for complaint in campaign.complaints(
            traders[venue],
            markets[venue],
            seen,
            holes_allowed=lambda stream: on_gap == "continue" or stream.startswith("level2:"),
            doubled=campaign.doubled(exchanges[venue]),
        )
    ]
    wrong += campaign.unfounded(seen)
    assert not wrong, "\n".join([f"{len(wrong)} complaints:", *wrong[:20], proxy.err])
    if on_gap == "continue":
        closed = [s.closed for t in everybody for s in t.sessions[:-1]]
        assert not [end for end in closed if end and "gap in" in end[1]]
    assert is_flat(memory, ratio=1.3, slack=20 << 20), [size >> 20 for size in memory[::50]]


def _is_served(trader: Trader) -> bool:
    session = trader.sessions[-1]
    if session.closed or session.refused or session.failed:
        return False
    return len(session.received) >= len(trader.wish.requests)


def test_a_poisonous_subscription_costs_the_others_one_reconnect(
    floor: TradingFloor, out: Path
) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        wsproxy("record", f"binance={url}", f"--out={out}", "--on-gap=continue") as proxy,
    ):
        (good,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        exchange.poison("bad@trade")
        bad = floor.strategy(f"{proxy.url}/ws", [request("SUBSCRIBE", "bad@trade", id=7)])
        (refusal,) = bad.wait_for(1, 20)
        assert '"error"' in str(refusal)
        assert '"id":7' in str(refusal)
        again = floor.strategy(f"{proxy.url}/ws", [request("SUBSCRIBE", "bad@trade", id=8)])
        assert '"error"' in str(again.wait_for(1, 5)[0])  # refused for a while without asking
        exchange.wait_for(lambda: "a@trade" in exchange.subscribed)
        (cue,) = Market(["a@trade"], SEED).round()
        play(exchange, [cue])
        assert good.wait_for(2)[1] == payload(cue)
        stop(proxy)
    assert exchange.violations == []
    lost = [peer for peer in exchange.peers if "a@trade" in _ever_held(exchange, peer.number)]
    assert len(lost) <= 2
    assert len(campaign.evidence(out).gaps) <= 1


def _ever_held(exchange: Exchange, number: int) -> set[str]:
    asked = [f.data.decode() for f in exchange.frames if f.peer == number and f.kind == "text"]
    return {name for name in ("a@trade", "bad@trade") for text in asked if f'"{name}"' in text}


def payload(cue: Cue) -> str:
    return cue.text[cue.text.index('"data":') + 7 : -1]
