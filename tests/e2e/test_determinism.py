"""The same bytes to each client: at every speed, on a busy machine, to readers that stall.

``make determinism`` runs more of it: ten times each speed, on twenty seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import pytest

import wsproxy
from tests.kit.proxy import PATIENCE_S, run
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import digest, stop
from tests.kit.strategy import Strategy, trading_floor
from tests.kit.wishes import Wish, binance, coinbase, some_binance, some_coinbase

DEMO = Path(__file__).parents[2] / "recordings" / "demo"
RUNS = int(os.environ.get("DETERMINISM_RUNS", "1"))
CUT = os.environ.get("DETERMINISM_CUT", "+1s")
SPEEDS = ("1", "7.3", "100", "max")
FAST = ("100", "max")

VENUES = ("binance", "coinbase")
WISHES: dict[str, Callable[[Sequence[str]], Wish]] = {"binance": binance, "coinbase": coinbase}


def streams(venue: str) -> list[str]:
    return sorted(key.name for key in wsproxy.open(DEMO).streams if key.venue == venue)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes do nothing but take the processors away."""
    with ExitStack() as stack:
        for _ in range(processes):
            load = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(load.kill)
        yield


def stall_at_random(strategies: Sequence[Strategy], dice: Random) -> None:
    """Until all have their end, let each stop reading now and then."""
    while any(strategy.closed is None for strategy in strategies):
        strategy = dice.choice(strategies)
        if strategy.closed is None:
            try:
                strategy.pause()
                time.sleep(dice.random() * 0.05)
                strategy.resume()
            except (RuntimeError, ConnectionError):  # it has ended meanwhile
                continue
        time.sleep(0.01)


@pytest.mark.parametrize(("cut", "speeds"), [(CUT, SPEEDS), ("+60s", FAST)])
@pytest.mark.parametrize("attempt", range(RUNS))
def test_one_digest(attempt: int, cut: str, speeds: Sequence[str], tmp_path: Path) -> None:
    same = Random(7)
    wishes = [
        *((venue, WISHES[venue](streams(venue))) for venue in VENUES),
        *(("binance", some_binance(same, streams("binance"))) for _ in range(2)),
        *(("coinbase", some_coinbase(same, streams("coinbase"))) for _ in range(2)),
    ]
    options = ("--clients", str(len(wishes)), "--settle", "0.3", "--end", cut)
    for speed in speeds:
        file = str(tmp_path / speed)
        with (
            busy(0 if speed == "1" else 2),
            running_wsproxy(
                *("replay", str(DEMO), *options, "--speed", speed, "--digest-file", file)
            ) as process,
            trading_floor() as floor,
        ):
            strategies = []
            for venue, wish in wishes:
                strategies.append(wish.join(floor, f"{process.url}/{venue}"))
                strategies[-1].wait_for(len(wish.requests), PATIENCE_S)
            stall_at_random(strategies, Random(attempt))
            assert process.wait().code == 0
        told = json.loads(Path(file).read_bytes())
        assert told["complete"] is True
        assert [c["sha256"] for c in told["clients"]] == list(map(digest, strategies))
        assert all(told["clients"][n]["bytes"] > 10_000 for n in range(len(VENUES)))
        ended = run("diff", str(tmp_path / speeds[0]), file)
        assert (ended.code, ended.out) == (0, ""), speed


@pytest.mark.parametrize("speed", ["1", "7.3", "100", "max"])
@pytest.mark.parametrize("venue", VENUES)
def test_a_recording_of_a_replay_is_the_recording(venue: str, speed: str, tmp_path: Path) -> None:
    """``record(replay(x)) = x``, stream by stream."""
    cut, again = str(tmp_path / "cut"), str(tmp_path / "again")
    wanted = [f"--stream={venue}:{name}" for name in streams(venue)]
    assert run("cut", str(DEMO), "--out", cut, "--end", "+2s", *wanted).code == 0
    subscribe = [f"--subscribe={venue}:{name}" for name in streams(venue)]
    with running_wsproxy("replay", cut, "--speed", speed, "--settle", "1") as source:
        url = f"{venue}={source.url}/{venue}"
        with running_wsproxy("record", url, "--out", again, *subscribe) as recorder:
            source.wait()
            stop(recorder)
    messages = sum(1 for _ in wsproxy.open(cut).messages())
    assert messages > 50
    ended = run("diff", cut, again)
    assert (ended.code, ended.out) == (0, "")


# --- lockstep ----------------------------------------------------------------------------------


_LOOPS = 20
_FIRST, _OTHER = "btcusdt@trade", "ethusdt@bookTicker"

_REACT = """
import asyncio, json
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

async def run():
    count, found = 0, "nothing"
    async with connect({url!r}, compression=None) as socket:
        try:
            async for text in socket:
                count += 1
                if count == 5:
                    wish = dict(method="SUBSCRIBE", params=[{other!r}], id=1)
                    await socket.send(json.dumps(wish))
                if found == "nothing" and '"s":"ETHUSDT"' in text:
                    found = text
        except ConnectionClosed:
            pass
    print(found)

async def main():
    for _ in range({loops}):
        await run()

asyncio.run(main())
"""


def reactions(*options: str) -> list[str]:
    """A strategy subscribes to another stream at the fifth message of the first, in each of many
    runs of one replay: the first message that it then gets in each."""
    command = ("replay", str(DEMO), "--speed=max", "--settle=0.05", f"--loop={_LOOPS}")
    with busy(2), running_wsproxy(*command, "--end=+3s", *options) as process:
        code = _REACT.format(url=f"{process.url}/binance/ws/{_FIRST}", other=_OTHER, loops=_LOOPS)
        strategy = [sys.executable, "-c", code]
        ended = subprocess.run(strategy, capture_output=True, text=True, check=True)
        process.wait()
    return ended.stdout.splitlines()


def test_in_lockstep_a_reaction_takes_effect_at_one_virtual_time() -> None:
    fifth = [m.time for m in wsproxy.open(DEMO).messages(_FIRST)][4]
    first = next(wsproxy.open(DEMO).messages(_OTHER, start=fifth + 1))
    data = first.text.partition('"data":')[2][:-1]
    assert reactions("--lockstep") == [data] * _LOOPS
    assert reactions() != [data] * _LOOPS, "so the test proves something"
