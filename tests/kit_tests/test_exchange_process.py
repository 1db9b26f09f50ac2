from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.golden import generate
from tests.kit.strategy import trading_floor

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("venue", "path", "subscribe"),
    [
        ("binance", "/stream?streams=btcusdt@trade", []),
        ("coinbase", "/", ['{"type":"subscribe","channel":"heartbeats"}']),
    ],
)
def test_plays_golden_traffic_and_reports(venue: str, path: str, subscribe: list[str]) -> None:
    command = [sys.executable, "-m", "tests.kit.exchange", venue, "--quiet", "0.05", "--cap", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        stream = "btcusdt@trade" if venue == "binance" else "heartbeats"
        expected = sum(event.streams == (stream,) for event in generate(1).events)
        with trading_floor() as floor:
            client = floor.strategy(process.stdout.readline().strip() + path, subscribe)
            client.wait_for(expected + len(subscribe), 30)
        process.send_signal(signal.SIGTERM)
        report = json.loads(process.stdout.readline())
    assert report == {"sent": expected, "connections": 1, "peak": 1, "violations": []}
    assert process.returncode == 0
