"""Clients that read too slowly, or not at all, are closed with a reason; nobody else notices."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.bad_clients import BadClient, Kind, bad_clients, read_to_end
from tests.kit.campaign import resident_bytes
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, Process, status, wsproxy
from tests.kit.round_trip import join_all, play, trades
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.wishes import binance, coinbase, unnumbered

BOUND = 4 << 20
A_TRADE = binance(["a@trade"])
FLOOD = trades("a@trade", 2_500, 10_000)
"""25 MB: more than the kernel and four outboxes hold."""
EXPECTED = [cue.text[cue.text.index('"data":') + 7 : -1] for cue in FLOOD]
RATE = 1_000.0

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exchange() -> BinanceExchange:
    return BinanceExchange()


@pytest.fixture
def proxy(exchange: BinanceExchange, env: dict[str, str]) -> Iterator[Process]:
    options = (f"--outbox-mb={BOUND >> 20}",)
    with running(exchange) as url, wsproxy("proxy", f"binance={url}", *options, env=env) as process:
        yield process


def assert_lagged(proxy: Process, client: BadClient) -> None:
    """It was closed for its lag, which was never more than an outbox may hold."""
    line = proxy.wait_for(f"client {client.address} binance is closed: ")
    found = re.search(r"is closed: 1008 lagging: ([\d,]+) bytes and ([\d.]+) s behind$", line)
    assert found is not None, line
    lag_bytes = int(found[1].replace(",", ""))
    assert BOUND < lag_bytes <= 4 * BOUND + (1 << 20)  # one more write
    assert float(found[2]) >= 1.0 or lag_bytes > 4 * BOUND


@pytest.mark.parametrize("kind", ["deaf", "slow"])
def test_who_does_not_read_is_told_so_and_nobody_else_notices(
    kind: Kind, proxy: Process, exchange: BinanceExchange, floor: TradingFloor
) -> None:
    witnesses = join_all(floor, proxy.url, [A_TRADE] * 3)
    with bad_clients(f"{proxy.url}/ws/a@trade", [kind]) as (client,):
        playing = exchange.play(FLOOD, RATE)
        assert_lagged(proxy, client)
        code, reason = read_to_end(client)
        assert code == 1008
        assert reason.startswith("lagging: ")
        playing.result(PATIENCE_S)
        for witness in witnesses:
            assert witness.wait_for(1 + len(FLOOD), PATIENCE_S)[1:] == EXPECTED


def test_who_leaves_in_the_middle_of_a_frame_is_gone(
    proxy: Process, exchange: BinanceExchange, floor: TradingFloor, env: dict[str, str]
) -> None:
    (witness,) = join_all(floor, proxy.url, [A_TRADE])
    with bad_clients(f"{proxy.url}/ws/a@trade", ["rude"]) as (client,):
        playing = exchange.play(FLOOD[:500], RATE)
        client.leave_rudely()
        playing.result(PATIENCE_S)
        assert witness.wait_for(501, PATIENCE_S)[1:] == EXPECTED[:500]
    assert [one["lag_bytes"] for one in status(env)["clients"]] == [0]


def test_a_hundred_bad_clients_hurt_nobody(
    proxy: Process, exchange: BinanceExchange, floor: TradingFloor, env: dict[str, str]
) -> None:
    witnesses = join_all(floor, proxy.url, [A_TRADE] * 3)
    share: dict[Kind, int] = {"deaf": 40, "slow": 40, "rude": 20}
    kinds = [kind for kind, count in share.items() for _ in range(count)]
    with bad_clients(f"{proxy.url}/ws/a@trade", kinds) as clients:
        before = resident_bytes(proxy.pid)
        playing = exchange.play(FLOOD, RATE)
        for client in clients:
            if client.kind == "rude":
                client.leave_rudely()
        for client in clients:
            if client.kind != "rude":
                assert_lagged(proxy, client)
        grown = resident_bytes(proxy.pid) - before
        playing.result(PATIENCE_S)
        for witness in witnesses:
            assert witness.wait_for(1 + len(FLOOD), PATIENCE_S)[1:] == EXPECTED
    assert grown < 80 * BOUND
    said = status(env)
    assert len(said["clients"]) == len(witnesses)
    assert sum(one["lag_bytes"] for one in said["clients"]) == 0
    assert exchange.violations == []
    assert len(exchange.peers) == 1


def test_who_answers_no_ping_is_closed_whether_anything_comes_or_not(
    exchange: BinanceExchange, floor: TradingFloor
) -> None:
    few = FLOOD[:300]
    with (
        running(exchange) as url,
        wsproxy(
            "proxy",
            f"binance={url}",
            env={"PING_SECONDS": "1", "PONG_SECONDS": "5"},
            cwd=ROOT,
            module="tests.kit.pinging_proxy",
        ) as proxy,
    ):
        (witness,) = join_all(floor, proxy.url, [A_TRADE])
        with (
            bad_clients(f"{proxy.url}/ws/a@trade", ["mute"] * 25) as busy,
            bad_clients(f"{proxy.url}/ws/b@trade", ["mute", "deaf"]) as idle,
        ):
            playing = exchange.play(few, rate=50)
            for client in busy + idle:
                proxy.wait_for(f"client {client.address} binance is closed: it does not answer")
                assert read_to_end(client) == (1008, "Pong timeout")
        playing.result(PATIENCE_S)
        assert witness.wait_for(1 + len(few), PATIENCE_S)[1:] == EXPECTED[: len(few)]
        assert witness.closed is None


# --- clients that conflate ---


def state_and_deltas(count: int) -> list[Cue]:
    """Book tickers, which replace one another, and differences, which do not; 5 KB each."""
    padding = "x" * 5_000
    return [
        Cue((stream,), f'{{"stream":"{stream}","data":{{"n":{number},"x":"{padding}"}}}}')
        for number in range(count)
        for stream in ("a@bookTicker", "a@depth")
    ]


def numbers(client: Strategy, stream: str) -> list[int]:
    """Those of the stream's messages that it received."""
    found = (json.loads(text) for text in client.received if isinstance(text, str))
    return [message["data"]["n"] for message in found if message.get("stream") == stream]


def test_who_conflates_gets_the_newest_and_every_difference(
    exchange: BinanceExchange, floor: TradingFloor, env: dict[str, str]
) -> None:
    both = "/stream?streams=a@bookTicker/a@depth"
    count = 600
    with running(exchange) as url, wsproxy("proxy", f"binance={url}", env=env) as proxy:
        witness = floor.strategy(proxy.url + both)
        client = floor.strategy(f"{proxy.url}{both}&conflate=1", receive_buffer=32 << 10)
        client.wait_open()
        exchange.wait_for(lambda: exchange.subscribed == {"a@bookTicker", "a@depth"})
        play(exchange, state_and_deltas(1))
        client.wait_for(2)
        client.pause()
        play(exchange, state_and_deltas(count), rate=1_200)
        witness.wait_for(2 + 2 * count, PATIENCE_S)
        said = status(env)
        (lagging,) = (one for one in said["clients"] if one["lag_bytes"])
        assert said["venues"][0]["conflated"] == lagging["conflated"] > count / 2
        client.resume()
        client.wait_for(2 + 2 * count - lagging["conflated"], PATIENCE_S)
    everything = [0, *range(count)]
    assert numbers(witness, "a@bookTicker") == numbers(witness, "a@depth") == everything
    assert numbers(client, "a@depth") == everything
    state = numbers(client, "a@bookTicker")
    assert len(state) == len(everything) - lagging["conflated"]
    assert state[1:] == sorted(state[1:])
    assert state[-1] == count - 1


def test_who_conflates_on_coinbase_sees_no_hole_in_the_numbers(
    floor: TradingFloor, env: dict[str, str]
) -> None:
    padding = "x" * 5_000
    cues = [
        Cue(
            ("ticker:BTC-USD",),
            '{"channel":"ticker","timestamp":"2026-08-09T21:05:52Z","events":[{"type":"update",'
            f'"tickers":[{{"product_id":"BTC-USD","price":"{number}","x":"{padding}"}}]}}]}}',
        )
        for number in range(1_000)
    ]
    exchange = CoinbaseExchange()
    with running(exchange) as url, wsproxy("proxy", f"coinbase={url}", env=env) as proxy:
        wish = coinbase(["ticker:BTC-USD"])
        (witness,) = join_all(floor, proxy.url, [wish])
        client = floor.strategy(f"{proxy.url}/?conflate=1", wish.requests, receive_buffer=32 << 10)
        client.wait_for(1)
        client.pause()
        play(exchange, cues, rate=1_500)
        witness.wait_for(1 + len(cues), PATIENCE_S)
        (lagging,) = (one for one in status(env)["clients"] if one["lag_bytes"])
        client.resume()
        received = client.wait_for(1 + len(cues) - lagging["conflated"], PATIENCE_S)
    assert lagging["conflated"] > len(cues) / 2
    assert [json.loads(text)["sequence_num"] for text in received] == list(range(len(received)))
    assert unnumbered(received)[-1] == cues[-1].text
