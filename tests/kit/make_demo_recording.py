"""Writes ``recordings/demo``: the seeded minute of both venues, as wsproxy would have recorded it.

``python -m tests.kit.make_demo_recording DIRECTORY`` makes the same bytes on every machine.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.kit.golden import generate
from tests.kit.golden_market import START_NS
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer

BEGAN_NS = START_NS + 12_000_000
"""2026-09-01, wall clock of the first record: 12 ms after the venues sent it."""

CONNECTIONS = {
    "binance": ConnectionInfo(1, "binance", "wss://stream.binance.com:9443/stream"),
    "coinbase": ConnectionInfo(2, "coinbase", "wss://advanced-trade-ws.coinbase.com/"),
}


def batches(seed: int = 1, seconds: int = 60) -> list[Batch]:
    """The session as the tape would have taken it: opened, subscribed, messages."""
    session = generate(seed, seconds)
    streams: dict[str, dict[str, None]] = {venue: {} for venue in CONNECTIONS}
    for event in session.events:
        streams[event.venue].update(dict.fromkeys(event.streams))
    made = []
    for venue, (number, _, _) in CONNECTIONS.items():
        names = tuple(streams[venue])
        for kind, payload in (
            (Kind.OPENED, record.opened()),
            (Kind.SUBSCRIBED, record.subscribed(names)),
            (Kind.ACKNOWLEDGED, record.acknowledged(names)),
        ):
            of = () if kind is Kind.OPENED else names
            made.append(Batch(kind, number, BEGAN_NS, 0, [payload], None, [of]))
    for event in session.events:
        number = CONNECTIONS[event.venue].number
        at = event.offset_ns
        text = event.text.encode()
        made.append(
            Batch(Kind.MESSAGE, number, BEGAN_NS + at, at, [text], None, [tuple(event.streams)])
        )
    return made


def write(directory: Path) -> None:
    """Make the recording in this directory, which must not hold one."""
    writer = Writer.create(
        directory,
        venues=list(CONNECTIONS),
        wall_ns=BEGAN_NS,
        mono_ns=0,
        identity=b"wsproxy demo\0\0\0\0",
    )
    with writer:
        for connection in CONNECTIONS.values():
            writer.add_connection(connection)
        writer.write(batches())


if __name__ == "__main__":
    write(Path(sys.argv[1]))
