"""Live, recorded and replayed: each Coinbase client gets its streams, with numbers of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

from tests.kit.books import CoinbaseSequence
from tests.kit.exchange import running
from tests.kit.exchange_coinbase import CoinbaseExchange, CoinbaseScript
from tests.kit.golden import Session
from tests.kit.proxy import wsproxy
from tests.kit.round_trip import (
    assert_obeyed,
    assert_recorded,
    gaps,
    play,
    replay,
    stop,
)
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.traffic import coinbase_script, requires_traffic
from tests.kit.wishes import (
    Wish,
    coinbase,
    coinbase_data,
    data,
    replies,
    some_coinbase,
    unnumbered,
)

CAP = 2


def prove(floor: TradingFloor, out: Path, script: CoinbaseScript, clients: int) -> None:
    streams = sorted({*script.openings, *(name for cue in script.cues for name in cue.streams)})
    dice = Random(clients)
    wishes = [coinbase(streams), *(some_coinbase(dice, streams) for _ in range(clients - 1))]
    exchange = CoinbaseExchange(openings=script.openings, cap=CAP)
    with (
        running(exchange) as url,
        wsproxy(
            "record", f"coinbase={url}", "--out", str(out), f"--max-connections={CAP}"
        ) as proxy,
    ):
        live = [wish.join(floor, f"{proxy.url}/coinbase") for wish in wishes]
        wait_for(live, [opened(wish, script) for wish in wishes])
        play(exchange, script.cues)
        wait_for(live, [everything(wish, script) for wish in wishes])
        stop(proxy)
    check(live, wishes, script)
    assert_obeyed(exchange, cap=CAP)
    assert_recorded(out, exchange)
    assert gaps(out) == {}
    for speed in ("max", "200"):
        replayed = replay(floor, out, "coinbase", wishes, "--speed", speed)
        check(replayed, wishes, script)


def opened(wish: Wish, script: CoinbaseScript) -> int:
    """How many messages a client has when all its streams have begun."""
    return len(wish.requests) + len(wish.streams & script.openings.keys())


def everything(wish: Wish, script: CoinbaseScript) -> int:
    return opened(wish, script) + len(coinbase_data(wish, script.cues))


def wait_for(strategies: Iterable[Strategy], counts: Iterable[int]) -> None:
    for strategy, count in zip(strategies, counts, strict=True):
        strategy.wait_for(count, 30)


def check(strategies: Sequence[Strategy], wishes: Sequence[Wish], script: CoinbaseScript) -> None:
    """First a snapshot of each stream, then every message in order, all of them numbered."""
    for strategy, wish in zip(strategies, wishes, strict=True):
        numbers = CoinbaseSequence()
        for message in strategy.received:
            numbers.check(message)
        assert len(replies(strategy.received)) == len(wish.requests)
        messages = unnumbered(data(strategy.received))
        openings = [text for name, text in script.openings.items() if name in wish.streams]
        assert sorted(messages[: len(openings)]) == sorted(openings)
        assert messages[len(openings) :] == coinbase_data(wish, script.cues)


@requires_traffic
def test_everyone_gets_their_streams_of_real_traffic(floor: TradingFloor, out: Path) -> None:
    script = coinbase_script()
    assert len(script.openings["level2:BTC-USD"]) > 5_000_000
    prove(floor, out, script, clients=8)


def test_everyone_gets_their_streams_of_generated_traffic(
    golden: Session, floor: TradingFloor, out: Path
) -> None:
    prove(floor, out, golden.coinbase_script(), clients=10)
