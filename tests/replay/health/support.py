"""Recordings whose health is known, made by hand. Times are ms since the recording began."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer

WALL = 1_790_000_000_000_000_000
MONO = 5_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000
TRADES = "btcusdt@trade"

CONNECTIONS = (
    ConnectionInfo(1, "binance", "wss://stream.binance.com:9443/stream"),
    ConnectionInfo(2, "binance", "wss://stream.binance.com:9443/stream"),
    ConnectionInfo(3, "coinbase", "wss://advanced-trade-ws.coinbase.com/"),
)


def note(kind: Kind, connection: int, at: float, payload: bytes, *streams: str) -> Batch:
    """Any record."""
    ns = round(at * MS)
    return Batch(kind, connection, WALL + ns, MONO + ns, [payload], None, [streams])


def asked(at: float, *streams: str, on: int = 1) -> Batch:
    return note(Kind.SUBSCRIBED, on, at, record.subscribed(streams), *streams)


def granted(at: float, *streams: str, on: int = 1) -> Batch:
    return note(Kind.ACKNOWLEDGED, on, at, record.acknowledged(streams), *streams)


def given_up(at: float, *streams: str, on: int = 1) -> Batch:
    return note(Kind.UNSUBSCRIBED, on, at, record.unsubscribed(streams), *streams)


def refused(at: float, *streams: str, on: int = 1) -> Batch:
    return note(Kind.REFUSED, on, at, record.refused(streams, "no"), *streams)


def closed(at: float, *, on: int = 1, by: Literal["peer", "us", "network"] = "peer") -> Batch:
    return note(Kind.CLOSED, on, at, record.closed(1006, "", by))


def gap(since: float, until: float, *streams: str, on: int = 1) -> Batch:
    payload = record.gap(streams, "lost", WALL + round(since * MS))
    return note(Kind.GAP, on, until, payload, *streams)


def clock(at: float, offset_ms: float, error_ms: float) -> Batch:
    payload = record.clock(round(offset_ms * MS), round(error_ms * MS), "pool.example")
    return note(Kind.CLOCK, 0, at, payload)


def trade(at: float, number: int, *, sent: float | None = None, on: int = 1) -> Batch:
    """A trade, received ``at``; whole ms ``sent``, by default 20 before."""
    event = WALL // MS + round(at - 20 if sent is None else sent)
    data = {"e": "trade", "E": event, "s": "BTCUSDT", "t": number, "p": "1.5", "T": event - 1}
    return message({"stream": TRADES, "data": data}, TRADES, at=at, on=on)


def message(said: Any, *streams: str, at: float, on: int = 1) -> Batch:
    payload = json.dumps(said, separators=(",", ":")).encode()
    return note(Kind.MESSAGE, on, at, payload, *streams)


def record_all(directory: Path, batches: Iterable[Batch], block: int = 100) -> Path:
    """A recording of these records, closed in order; the directory."""
    records = list(batches)
    with Writer.create(directory, venues=["binance"], wall_ns=WALL, mono_ns=MONO) as writer:
        for info in CONNECTIONS:
            writer.add_connection(info)
        for start in range(0, len(records), block):
            writer.write(records[start : start + block])
    return directory


def a_bad_day(directory: Path) -> Path:
    """A hundred seconds of a trade every 100 ms, and one of everything that can go wrong.

    - From 40 s to 45 s there is no connection, and a gap says so from 39.9 s on; 50 trades miss.
    - From 70 s to 90 s, the venue is silent: nothing is missing.
    - Of the 750 trades, those at 50 s and 50.1 s came 2 s after they were sent.
    """
    times = [at * 100 for at in range(1, 1000) if not 400 <= at < 450 and not 700 < at < 900]
    numbers = {at: at // 100 if at <= 70_000 else at // 100 - 199 for at in times}
    batches = [granted(0, TRADES)]
    for at in times:
        if at == 45_000:
            batches += [
                closed(40_000),
                granted(45_000, TRADES, on=2),
                gap(39_900, 45_000, TRADES),
            ]
        sent = at - 2000 if at in (50_000, 50_100) else None
        batches.append(trade(at, numbers[at], sent=sent, on=1 if at < 45_000 else 2))
    return record_all(directory, [*batches, closed(100_000, on=2, by="us")])
