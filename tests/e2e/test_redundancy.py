"""Each stream over two lines: either of them may be lost at any time, and nothing is.

``KILLS`` sets how often, ``CHAOS_SEED`` which and how.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

from tests.kit import campaign
from tests.kit.campaign import Market, Trader, knob, wait_until
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_mirrors import play_mirrored
from tests.kit.peer import Peer
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.round_trip import stop
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance

KILLS = knob("KILLS", 5)
SEED = knob("CHAOS_SEED", 1)
STREAMS = [f"d{n:02}{kind}" for n in range(20) for kind in ("@trade", "@depth@100ms")]
BACK_S = 70.0
"""How long a line may take to come back: the proxy's longest back-off and some."""


def test_either_line_may_be_lost(floor: TradingFloor, out: Path) -> None:
    dice = Random(SEED)
    market = Market(STREAMS, SEED)
    lines = [BinanceExchange(), BinanceExchange()]
    wishes = [binance(STREAMS[n::2], raw=n == 0) for n in range(2)]
    with (
        running(lines[0]) as left,
        running(lines[1]) as right,
        wsproxy("record", f"binance={left},{right}", f"--out={out}", "--redundancy=2") as proxy,
    ):
        traders = [Trader(floor, proxy.url, wish) for wish in wishes]
        for trader in traders:
            trader.sessions[0].wait_for(len(trader.wish.requests), PATIENCE_S)
        for line in lines:
            line.wait_for(partial(_is_whole, line))
        playing = play_mirrored(lines, market.round())
        for future in playing:
            future.result(10)
        playing = play_mirrored(lines, market.cues(), rate=1000)
        for _ in range(KILLS):
            assert wait_until(lambda: all(map(_is_proven, lines)), BACK_S), (
                "a line did not come back"
            )
            victim = dice.choice(lines)
            peer = dice.choice(victim.open_peers)
            kill = dice.choice([victim.abort, victim.close, victim.drop_mid_frame])
            kill(peer)
            victim.wait_for(partial(_is_gone, peer))
        assert wait_until(lambda: all(map(_is_proven, lines)), BACK_S), "a line did not come back"
        market.stop()
        for future in playing:
            future.result(10)
        for future in play_mirrored(lines, market.round()):
            future.result(10)
        wait_until(lambda: all(trader.has(market.last) for trader in traders), 10)
        stop(proxy)
    seen = campaign.evidence(out)
    assert seen.gaps == []
    assert [line.violations for line in lines] == [[], []]
    assert [len(trader.sessions) for trader in traders] == [1, 1]
    wrong = campaign.complaints(traders, market, seen, holes_allowed=lambda _: False, doubled={})
    assert list(wrong) == []
    for trader in traders:
        for stream, items in trader.items(trader.sessions[0]).items():
            assert [item.number for item in items] == list(range(1, market.last[stream] + 1))


def _is_whole(line: Exchange) -> bool:
    return line.subscribed >= set(STREAMS)


def _is_gone(peer: Peer) -> bool:
    return peer.closed is not None


def _is_proven(line: BinanceExchange) -> bool:
    """Whether a connection has delivered something of every stream: it can be relied on."""
    return any(peer.delivered >= set(STREAMS) for peer in line.open_peers)
