"""A plan by the recording that comes with the project."""

from __future__ import annotations

import json
from pathlib import Path

from tests.kit.proxy import run

RECORDING = Path(__file__).parents[2] / "recordings" / "demo"
ARGUMENTS = ("plan", "--venue", "binance", "--streams", "1000", "--clients", "50")


def test_a_plan_by_a_recording() -> None:
    ended = run(*ARGUMENTS, "--from", str(RECORDING), "--redundancy", "2", "--json")
    assert (ended.code, ended.err) == (0, "")
    said = json.loads(ended.out)
    need, load = said["forecast"]["need"], said["forecast"]["load"]
    assert (need["connections"], need["connections_most"]) == (2, 8)
    assert said["traffic"]["streams"] > 10
    each = load["messages_per_s"] / 2000
    assert each == said["traffic"]["messages_per_s"] > 0
    assert load["peak_messages_per_s"] >= load["messages_per_s"]
    assert 0.01 < said["machine"]["speed"] < 100


def test_a_plan_for_a_person() -> None:
    ended = run(*ARGUMENTS)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("1,000 streams of Binance spot to 50 clients\n")
    assert "\n  bottleneck " in ended.out
