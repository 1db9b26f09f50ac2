"""``kill -9`` at random moments under load: what a recording promises is there, and reads.

``CRASHES`` sets how many, ``CRASH_SEED`` when.
"""

from __future__ import annotations

import threading
import time
from hashlib import sha256
from itertools import cycle, takewhile
from pathlib import Path
from random import Random
from typing import NamedTuple

import wsproxy
from tests.kit.campaign import knob
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import Process, run
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import join_all, records, trades
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.wishes import binance
from wsproxy.model import Kind

CRASHES = knob("CRASHES", 5)
SEED = knob("CRASH_SEED", 1)

STREAM = "a@trade"
CUES = trades(STREAM, 5_000, 300)
RATE = 8_000.0
GRACE_S = 1.0
"""How long a thread of a busy machine may take for its next turn."""
LOSSY = 3


class Setting(NamedTuple):
    """How to record, and what may then be lost."""

    promise_s: float
    options: tuple[str, ...]


SETTINGS = (
    Setting(1.0, ()),
    Setting(0.2, ("--block-seconds=0.2", "--block-kb=64")),
    Setting(1.0, ("--rotate-mb=1",)),
)


def test_after_any_kill_the_promise_holds(floor: TradingFloor, tmp_path: Path) -> None:
    dice = Random(SEED)
    recordings = tmp_path / "recordings"
    before: dict[Path, str] = {}
    for number in range(CRASHES):
        setting = SETTINGS[number % len(SETTINGS)]
        exchange = BinanceExchange()
        command = ("record", *setting.options)
        with (
            running(exchange) as url,
            running_wsproxy(*command, f"binance={url}", cwd=tmp_path) as proxy,
        ):
            (client,) = join_all(floor, proxy.url, [binance([STREAM])])
            after_s = dice.uniform(0, 1.5 * (setting.promise_s + GRACE_S))
            promised = kill(proxy, exchange, client, setting.promise_s, after_s)
        (out,) = set(recordings.iterdir()) - before.keys()
        what = f"crash {number}: {setting}, killed after {after_s:.3f} s"
        assert kept(out, exchange) >= promised, what
        assert wsproxy.open(out).info.damage == (), what
        assert run("info", str(out)).code == 0, what
        verified = run("verify", str(out))
        assert verified.code in {0, LOSSY}, f"{what}: {verified}"
        assert "DAMAGED" not in verified.out, what
        client.cut()
        floor.strategies.remove(client)
        before[out] = digest(out)
    assert {out: digest(out) for out in recordings.iterdir()} == before


def kill(
    proxy: Process, exchange: Exchange, client: Strategy, promise_s: float, after_s: float
) -> int:
    """Kill the proxy so long after the exchange began to play.

    Gives how many messages the client had already got when the promise, and the grace, began.
    """
    over = threading.Event()
    playing = exchange.play(takewhile(lambda _: not over.is_set(), cycle(CUES)), RATE)
    begin = time.monotonic()
    promised = 0
    arrived: list[tuple[float, int]] = []
    while (now := time.monotonic()) < begin + after_s:
        arrived.append((now, len(client.received) - 1))  # one is an ack
        time.sleep(min(0.01, begin + after_s - now))
    while arrived and arrived[0][0] <= now - promise_s - GRACE_S:
        promised = arrived.pop(0)[1]
    proxy.kill()
    over.set()
    playing.result(10)
    return promised


def kept(out: Path, exchange: Exchange) -> int:
    """How many market messages were recorded; they are what was sent, from the first on."""
    everything = records(out, *Kind)
    assert [record.seq for record in everything] == list(range(len(everything)))
    came = [record for record in everything if record.kind is Kind.MESSAGE]
    (peer,) = exchange.peers
    sent = [str(sent.payload).encode() for sent, _ in zip(peer.sent, came, strict=False)]
    assert [record.payload for record in came] == sent
    return sum(bool(record.streams) for record in came)


def digest(recording: Path) -> str:
    """SHA-256 over the names and bytes of all parts."""
    sha = sha256()
    for part in sorted(recording.iterdir()):
        sha.update(part.name.encode() + part.read_bytes())
    return sha.hexdigest()


def test_recorders_that_start_in_the_same_second_overwrite_nothing(tmp_path: Path) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url:
        command = ("record", f"binance={url}", "--listen=127.0.0.1:0")
        processes = [Process(command, cwd=tmp_path) for _ in range(4)]
        try:
            assert len({process.url for process in processes}) == len(processes)
        finally:
            for process in processes:
                process.kill()
                process.wait()
    recordings = sorted((tmp_path / "recordings").iterdir())
    assert len(recordings) == len(processes)
    assert len({part_id(recording) for recording in recordings}) == len(processes)


def part_id(recording: Path) -> str:
    (part,) = recording.iterdir()
    return sha256(part.read_bytes()).hexdigest()


def test_what_a_kill_left_behind_is_not_recorded_over(floor: TradingFloor, out: Path) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url:
        command = ("record", f"binance={url}", f"--out={out}")
        with running_wsproxy(*command) as proxy:
            join_all(floor, proxy.url, [binance([STREAM])])
            proxy.kill()
        before = digest(out)
        ended = run(*command)
    assert ended.code == 1
    assert "holds a recording already; choose another directory" in ended.err
    assert digest(out) == before
