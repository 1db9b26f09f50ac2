from __future__ import annotations

import shutil
import sys
from pathlib import Path

import msgspec
import pytest

from wsproxy.app.bench.measure import Delay, Outcome, Pace, concluded, measure
from wsproxy.app.bench.processes import BenchFailed

PACE = Pace(100, 10, Delay(20, 30), Delay(100, 900), Delay(120, 1000))
RATES = {
    1: [(400.0, 200.0), (100.0, 90.0), (300.0, 240.0)],
    10: [(200.0, 100.0), (200.0, 100.0), (200.0, 100.0)],
}


def test_medians_of_rounds() -> None:
    outcome = concluded(1e6, RATES, [PACE])
    assert outcome.reference.splitting == 1e6
    assert outcome.reference.proxy == {1: 300, 10: 200}
    assert outcome.reference.record == {1: 200, 10: 100}
    assert outcome.recording_costs == pytest.approx({1: 0.2, 10: 0.5})
    assert outcome.paces == (PACE,)
    assert {one.proxy for one in outcome.carried} == {0}


def test_what_is_saved_can_be_read_again() -> None:
    outcome = concluded(1e6, RATES, [PACE])
    assert msgspec.json.decode(msgspec.json.encode(outcome), type=Outcome) == outcome


def test_what_is_added() -> None:
    assert Delay(100, 900).minus(Delay(20, 1000)) == Delay(80, -100)


def test_a_process_that_fails_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(BenchFailed, match="the source's process ended too early"):
        measure(0.5, tmp_path)
    assert list(tmp_path.iterdir()) == []
