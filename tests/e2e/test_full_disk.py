"""A disk that is full: clients get everything, and the recording says what it lacks."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import pytest

from tests.kit.campaign import wait_until
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import PATIENCE_S, Process, wsproxy
from tests.kit.round_trip import join_all, play, records, trades
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance
from wsproxy.model import Kind
from wsproxy.recording.events import read_event

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the limits of a running process can be set on Linux only"
)

WISH = binance(["a@trade"])
LOSSY = 3


def allow(process: Process, file_bytes: int) -> None:
    """Let the process write files of this size only; it is as if the disk were full."""
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (file_bytes, hard))


def test_the_proxy_goes_on_and_the_recording_tells_the_gap(floor: TradingFloor, out: Path) -> None:
    first, second, third = (trades("a@trade", count, 300) for count in (1_000, 2_000, 3_000))
    exchange = BinanceExchange()
    command = ("record", "--out", str(out), "--block-seconds=0.05")
    with running(exchange) as url, wsproxy(*command, f"binance={url}") as proxy:
        (client,) = join_all(floor, proxy.url, [WISH])
        allow(proxy, 64_000)
        play(exchange, first)
        assert "File too large" in proxy.wait_for("the recording has a gap")
        play(exchange, second)
        client.wait_for(1 + len(first) + len(second), PATIENCE_S)
        allow(proxy, resource.RLIM_INFINITY)
        play(exchange, third)
        client.wait_for(1 + len(first) + len(second) + len(third), PATIENCE_S)
        ended = proxy.stop()
    assert ended.code == LOSSY
    kept = [record.text for record in records(out, Kind.MESSAGE) if record.streams]
    sent = [cue.text for cue in (*first, *second, *third)]
    assert len(kept) < len(sent)
    told = [read_event(record.payload) for record in records(out, Kind.GAP)]
    assert [gap["streams"] for gap in told] == [["a@trade"]] * len(told)
    missed = [gap["missed"] for gap in told]
    crossed = len(exchange.peers[0].sent) - len(records(out, Kind.MESSAGE))
    assert sum(count for count in missed if isinstance(count, int)) == crossed
    assert is_part_of(kept, sent)
    assert kept[-1] == sent[-1]


def test_the_proxy_stops_if_it_is_told_to(floor: TradingFloor, out: Path) -> None:
    exchange = BinanceExchange()
    command = ("record", "--out", str(out), "--block-seconds=0.05", "--on-disk-error=stop")
    with running(exchange) as url, wsproxy(*command, f"binance={url}") as proxy:
        (client,) = join_all(floor, proxy.url, [WISH])
        allow(proxy, 64_000)
        exchange.play(trades("a@trade", 1_000, 300))
        ended = proxy.wait()
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith(f"Error: {out}")
    assert "File too large" in ended.err.splitlines()[-1]
    assert client.wait_closed()[0] in {1001, 1012}


def test_a_disk_that_is_full_when_a_part_ends(floor: TradingFloor, out: Path) -> None:
    first, second, third = (trades("a@trade", count, 300) for count in (8_000, 500, 1_000))
    exchange = BinanceExchange()
    command = ("record", f"--out={out}", "--block-seconds=0.05", "--rotate-mb=1")
    with running(exchange) as url, wsproxy(*command, f"binance={url}") as proxy:
        (client,) = join_all(floor, proxy.url, [WISH])
        play(exchange, first)
        full = out / "000001.wsr.zst"
        assert wait_until(lambda: full.stat().st_size >= 1 << 20, PATIENCE_S)
        allow(proxy, 10)  # less than the head of a part
        play(exchange, second)
        assert "000002.wsr.zst cannot be written" in proxy.wait_for("the recording has a gap")
        client.wait_for(1 + len(first) + len(second), PATIENCE_S)
        allow(proxy, resource.RLIM_INFINITY)
        play(exchange, third)
        client.wait_for(1 + len(first) + len(second) + len(third), PATIENCE_S)
        ended = proxy.stop()
    assert ended.code == LOSSY
    assert sorted(part.name[:6] for part in out.iterdir()) == ["000001", "000002"]
    everything = records(out, *Kind)
    assert [record.seq for record in everything] == list(range(len(everything)))
    kept = [record.text for record in everything if record.kind is Kind.MESSAGE and record.streams]
    sent = [cue.text for cue in (*first, *second, *third)]
    assert is_part_of(kept, sent)
    assert kept[-len(third) :] == sent[-len(third) :]
    told = [
        read_event(record.payload)["missed"] for record in everything if record.kind is Kind.GAP
    ]
    missed = sum(count for count in told if isinstance(count, int))
    assert missed == len(sent) - len(kept) > 0


def is_part_of(kept: list[str], sent: list[str]) -> bool:
    """Whether all that was kept was sent, in this order."""
    rest = iter(sent)
    return all(text in rest for text in kept)
