"""A disk that takes nothing for a while: clients notice nothing, and the recording catches up.

``STALL_SECONDS`` sets for how long.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kit.campaign import knob
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, wsproxy
from tests.kit.round_trip import assert_recorded, gaps, join_all, play, records, trades
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance
from wsproxy.config import Recording
from wsproxy.model import Kind
from wsproxy.recording.events import read_event

STALL_SECONDS = knob("STALL_SECONDS", 1)
RATE = 2_000.0
LOSSY = 3

HANGING = """
import os, time


def hanging(call):
    def wait(*arguments):
        while os.path.exists(os.environ["STALL"]):
            time.sleep(0.01)
        return call(*arguments)

    return wait


os.pwrite, os.fsync = hanging(os.pwrite), hanging(os.fsync)
"""
"""Python runs this before anything else where it is called sitecustomize."""


class Disk:
    """What a process with this environment writes to; it hangs while ``stall`` is there."""

    def __init__(self, directory: Path) -> None:
        self.stall = directory / "stall"
        (directory / "sitecustomize.py").write_text(HANGING, encoding="utf-8")
        path = [str(directory), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.env: Mapping[str, str] = {
            "PYTHONPATH": os.pathsep.join(path),
            "STALL": str(self.stall),
        }


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def size(recording: Path) -> int:
    return sum(part.stat().st_size for part in recording.iterdir())


def test_what_waits_for_the_disk_is_recorded_later(
    floor: TradingFloor, out: Path, disk: Disk
) -> None:
    first, meanwhile, last = (
        trades("a@trade", count, 300) for count in (1_000, int(RATE * STALL_SECONDS), 1_500)
    )
    exchange = BinanceExchange()
    command = ("record", f"--out={out}", "--block-seconds=0.05", "--block-kb=16")
    with running(exchange) as url, wsproxy(*command, f"binance={url}", env=disk.env) as proxy:
        (client,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        play(exchange, first)
        client.wait_for(1 + len(first), PATIENCE_S)
        disk.stall.touch()
        play(exchange, meanwhile, RATE)
        client.wait_for(1 + len(first) + len(meanwhile), PATIENCE_S)
        held = size(out)
        assert held < sum(len(cue.text) for cue in meanwhile) / 3  # it did hang
        disk.stall.unlink()
        play(exchange, last)
        client.wait_for(1 + len(first) + len(meanwhile) + len(last), PATIENCE_S)
        ended = proxy.stop()
    assert ended.code == 0
    assert gaps(out) == {}
    assert_recorded(out, exchange)


def test_what_no_longer_fits_in_memory_is_told(floor: TradingFloor, out: Path, disk: Disk) -> None:
    big = trades("big@trade", 1, 1 << 20)[0].text
    count = (Recording.backlog_bytes >> 20) + 40
    flood = [Cue(("big@trade",), big)] * count
    small = trades("a@trade", 100, 300)
    exchange = BinanceExchange()
    command = ("record", f"--out={out}", "--block-seconds=0.05", "--subscribe=binance:big@trade")
    with running(exchange) as url, wsproxy(*command, f"binance={url}", env=disk.env) as proxy:
        (client,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        exchange.wait_for(lambda: "big@trade" in exchange.subscribed)
        disk.stall.touch()
        play(exchange, flood)
        assert "messages are being lost to the recording" in proxy.wait_for("wait for the disk")
        play(exchange, small)
        client.wait_for(1 + len(small), PATIENCE_S)
        disk.stall.unlink()
        ended = proxy.stop()
    assert ended.code == LOSSY
    told = [read_event(record.payload)["missed"] for record in records(out, Kind.GAP)]
    missed = sum(count for count in told if isinstance(count, int))
    kept = len(records(out, Kind.MESSAGE))
    assert missed > 0
    assert kept + missed == sum(len(peer.sent) for peer in exchange.peers)
    assert "big@trade" in gaps(out)
