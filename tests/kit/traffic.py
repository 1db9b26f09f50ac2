"""Real recorded traffic, where it lies beside the project, as scripts for the stand-ins."""

from __future__ import annotations

import gzip
import json
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.kit.exchange_coinbase import CoinbaseScript, script_of
from tests.kit.peer import Cue

TRAFFIC = Path(__file__).parents[3] / "shared" / "traffic"

BINANCE_BTC = "binance__hftb-btcusdt_20240808"
"""41,248 messages of three streams, with a REST snapshot that bridges."""
BINANCE_MANY = "binance__cf-20210405-b38f7c-2df3"
"""11,357 messages of 28 streams, with ten REST snapshots."""
COINBASE = "coinbase__cf-20260809-coinbase_ws_2"
"""1,030 messages of nine streams; one snapshot is 5 MB."""

requires_traffic = pytest.mark.skipif(
    not TRAFFIC.is_dir(), reason="needs the recorded traffic in ../shared/traffic"
)


class Line(NamedTuple):
    """One recorded message or HTTP body."""

    t: int
    """When it was received or sent, ns since the Unix epoch; 0 if not recorded."""
    conn: str
    dir: str
    """``in``, ``out`` or ``http``."""
    m: str
    url: str


@lru_cache(maxsize=4)
def load(name: str, folder: str = "streams") -> list[Line]:
    """The lines of one file, in order; ``folder`` is streams, http or fixtures."""
    with gzip.open(TRAFFIC / folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        return [_line(**json.loads(text)) for text in file]


def _line(m: str, dir: str = "in", t: int = 0, conn: str = "", url: str = "", **_: str) -> Line:  # noqa: A002
    return Line(t, conn, dir, m, url)


def binance_script(name: str) -> list[Cue]:
    """The file's messages, spelled as on ``/stream``, exactly as they were received."""
    prefix = len('{"stream":"')
    return [
        Cue((line.m[prefix : line.m.index('"', prefix)],), line.m)
        for line in load(name)
        if line.dir == "in"
    ]


def binance_snapshots(name: str) -> dict[str, str]:
    """The REST depth snapshots that go with a file, by symbol (``BTCUSDT``), if any."""
    if not (TRAFFIC / "http" / f"{name}.jsonl.gz").exists():
        return {}
    bodies = {}
    for line in load(name, "http"):
        symbol = parse_qs(urlsplit(line.url).query).get("symbol")
        # The hftbacktest files do not tell the URL; they hold one symbol.
        bodies[symbol[0] if symbol else json.loads(load(name)[0].m)["data"]["s"]] = line.m
    return bodies


def coinbase_script(name: str = COINBASE) -> CoinbaseScript:
    """The file's messages, without their numbers and without acks."""
    return script_of([line.m for line in load(name) if line.dir == "in"])
