from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from wsproxy.app import measuring
from wsproxy.cli.table import WIDTH
from wsproxy.hub.capacity import REFERENCE

DEMAND = ("--streams", "1000", "--clients", "50")


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half as fast as the reference."""
    monkeypatch.setattr(measuring, "splitting_rate", lambda: REFERENCE.splitting / 2)


def test_a_plan_without_a_recording(run: Run) -> None:
    result = run("plan", "--venue", "binance", *DEMAND)
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= WIDTH
    text = " ".join(result.output.split())
    assert text.startswith("1,000 streams of Binance spot to 50 clients connections 1 of 8")
    assert "1,000 streams, 1,024 streams a connection" in text
    assert "subscribed in 1.1 s, and the time" in text
    assert "allowed are 300 connection attempts in 5 min, 5 frames a connection in 1 s;" in text
    assert "traffic unknown: --from RECORDING would tell" in text
    record, proxy = (figures[50] / 2 for figures in (REFERENCE.record, REFERENCE.proxy))
    assert f"CPU at most {record:,.0f} messages/s recording, {proxy:,.0f} without" in text
    assert "times 0.50, for this machine's speed just now" in text
    assert "bottleneck connections 12% " in text


def test_a_plan_by_a_recording(run: Run, recording: Path) -> None:
    result = run("plan", "--venue", "binance", *DEMAND, "--redundancy", "2", "--from", recording)
    text = " ".join(result.output.split())
    assert "connections 2 of 8" in text
    assert "each on 2" in text
    # Two messages, three streams, two seconds.
    assert "messages/s 667, in the busiest second 667" in text
    assert "measured on 3 streams in 2 s, and scaled" in text
    assert " a day, full in " in text
    assert "NOT ENOUGH" not in text


def test_what_cannot_be_is_said(run: Run) -> None:
    result = run("plan", "--venue", "binance", "--streams", "9000", "--clients", "1")
    assert "connections    9 of 8 (--max-connections)" in result.output
    assert "NOT ENOUGH: connections 112%" in result.output


def test_json(run: Run, recording: Path) -> None:
    arguments = ("plan", "--venue", "binance", *DEMAND, "--from", recording, "--json")
    said: dict[str, Any] = json.loads(run(*arguments).output)
    assert said["demand"] == {"streams": 1000, "clients": 50, "redundancy": 1, "cap": 8}
    assert said["machine"]["speed"] == 0.5
    assert said["reference"] == REFERENCE.source
    assert said["forecast"]["need"]["connections"] == 1
    assert said["forecast"]["load"]["messages_per_s"] == pytest.approx(1000 / 3)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--venue", "mtgox", *DEMAND], 2, "unknown venue 'mtgox': known are binance, coinbase"),
        (["--venue", "coinbase", *DEMAND, "--from", "none"], 1, "none does not exist"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    run: Run, arguments: list[str], code: int, sentence: str
) -> None:
    result = run("plan", *arguments)
    assert (result.exit_code, result.stderr) == (code, f"Error: {sentence}\n")


def test_a_recording_of_another_venue(run: Run, recording: Path) -> None:
    result = run("plan", "--venue", "coinbase", *DEMAND, "--from", recording)
    assert result.exit_code == 1
    assert "holds no messages of coinbase" in result.stderr
