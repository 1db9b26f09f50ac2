"""Rotation and retention while messages come as fast as they can: nothing falls between parts."""

from __future__ import annotations

from pathlib import Path

import wsproxy
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import PATIENCE_S, run
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import assert_recorded, gaps, join_all, play, records, stop, trades
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance
from wsproxy.model import Kind
from wsproxy.recording.events import read_event

WISH = binance(["a@trade"])
CUES = trades("a@trade", 30_000, 300)
"""About 5 MB as they are recorded."""


def names(recording: Path) -> list[int]:
    return sorted(int(part.name.split(".")[0]) for part in recording.iterdir())


def test_no_message_falls_between_parts(floor: TradingFloor, out: Path) -> None:
    exchange = BinanceExchange()
    command = ("record", f"--out={out}", "--rotate-mb=1", "--block-kb=64")
    with running(exchange) as url, running_wsproxy(*command, f"binance={url}") as proxy:
        (client,) = join_all(floor, proxy.url, [WISH])
        play(exchange, CUES)
        client.wait_for(1 + len(CUES), PATIENCE_S)
        stop(proxy)
    parts = names(out)
    assert parts == list(range(1, len(parts) + 1))
    assert len(parts) >= 4
    assert_recorded(out, exchange)
    assert gaps(out) == {}
    seqs = [record.seq for record in records(out, *Kind)]
    assert seqs == list(range(len(seqs)))
    assert run("verify", str(out)).code == 0


def test_what_retention_deletes_is_on_record(floor: TradingFloor, out: Path) -> None:
    exchange = BinanceExchange()
    keep_bytes = 2 << 20
    command = (
        "record",
        f"--out={out}",
        "--rotate-mb=1",
        "--block-kb=64",
        f"--keep-gb={keep_bytes / 2**30}",
    )
    with running(exchange) as url, running_wsproxy(*command, f"binance={url}") as proxy:
        (client,) = join_all(floor, proxy.url, [WISH])
        play(exchange, CUES, rate=10_000)
        client.wait_for(1 + len(CUES), PATIENCE_S)
        stop(proxy)
    parts = names(out)
    assert parts == list(range(parts[0], parts[-1] + 1))
    everything = records(out, *Kind)
    told = [read_event(record.payload) for record in everything if record.kind is Kind.DELETED]
    # What tells of the first parts may have been deleted with a later one.
    assert [event["part"] for event in told] == list(range(parts[0] - len(told), parts[0]))
    begins = [_number(event["seq"]) for event in told]
    ends = [_number(event["seq"]) + _number(event["records"]) for event in told]
    assert [*begins, everything[0].seq] == [begins[0], *ends]
    first = everything[0].seq
    assert [record.seq for record in everything] == list(range(first, first + len(everything)))
    kept = [record.text for record in everything if record.kind is Kind.MESSAGE]
    assert kept == [str(sent.payload) for sent in exchange.peers[0].sent][-len(kept) :]
    assert wsproxy.open(out).info.damage == ()


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
