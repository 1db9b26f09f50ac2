from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from wsproxy.app import measuring
from wsproxy.app.bench import measure
from wsproxy.app.bench.measure import Delay, Outcome, Pace, concluded
from wsproxy.app.bench.processes import BenchFailed
from wsproxy.cli.table import WIDTH

RATES = {1: [(400_000.0, 300_000.0)], 10: [(200_000.0, 150_000.0)], 50: [(80_000.0, 60_000.0)]}
PACE = Pace(1000, 10, Delay(20, 30), Delay(100, 1900.4), Delay(120, -3))


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What was to be measured."""
    found: list[tuple[object, ...]] = []

    def stand_in(seconds: float, directory: Path | None, progress: object) -> Outcome:
        found.append((seconds, directory))
        return concluded(1_000_000, RATES, [PACE])

    monkeypatch.setattr(measure, "measure", stand_in)
    return found


def test_the_tables(run: Run, calls: list[tuple[object, ...]]) -> None:
    result = run("bench")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= WIDTH
    rows = [" ".join(line.split()) for line in lines]
    assert rows[0].startswith("wsproxy bench: 300-byte messages of 10 streams")
    assert "1 400,000 300,000 25% 300,000" in rows
    assert "50 80,000 60,000 25% 3,000,000" in rows
    assert "1,000 100 and 1,900 µs 120 and -3 µs 20 and 30 µs" in rows
    # 38,800 messages/s: with 0.1875 us a client; 50 of them are 12.5 us, and 16.7.
    assert "all Binance spot book tickers 9,080 38,800 100 or more 86" in rows
    assert "100 pairs like Binance's BTCUSDT 19,140 81,900 48 32" in rows
    assert "2,000 pairs, each like the average of ten" in " ".join(rows)
    assert calls == [(12, None)]


def test_json(run: Run, calls: list[tuple[object, ...]], tmp_path: Path) -> None:
    said: dict[str, Any] = json.loads(
        run("bench", "--json", "--seconds", 3, "--dir", tmp_path).output
    )
    assert said["reference"]["record"] == {"1": 300_000, "10": 150_000, "50": 60_000}
    assert said["recording_costs"] == {"1": 0.25, "10": 0.25, "50": 0.25}
    assert said["paces"][0]["proxy"] == {"p50_us": 100, "p99_us": 1900.4}
    assert said["carried"][0]["title"] == "all Binance spot book tickers"
    assert said["carried"][0]["record"] == 86
    assert calls == [(3, tmp_path)]


def test_a_plan_goes_by_it(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "splitting_rate", lambda: 500_000)
    saved = tmp_path / "bench.json"
    assert f"wsproxy plan --bench {saved}" in run("bench", "--save", saved).output
    plan = ("plan", "--venue", "binance", "--streams", "10", "--clients", "50", "--bench", saved)
    text = " ".join(run(*plan).output.split())
    assert "CPU at most 30,000 messages/s recording, 40,000 without wsproxy bench: 300" in text
    assert "times 0.50, for this machine's speed just now" in text


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, ": No such file or directory"),
        ("{", " is not of `wsproxy bench --save`: "),
        ("{}", " is not of `wsproxy bench --save`: Object missing required field `reference`"),
    ],
)
def test_a_plan_by_what_is_no_bench(
    run: Run, tmp_path: Path, content: str | None, why: str
) -> None:
    path = tmp_path / "bench.json"
    if content is not None:
        path.write_text(content)
    plan = ("plan", "--venue", "binance", "--streams", "10", "--clients", "50", "--bench", path)
    result = run(*plan)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: --bench {path}{why}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"1": 0, "10": 1}, "Expected `float` > 0.0"),
        ({"1": 1}, "Expected `object` of length >= 2"),
    ],
)
def test_a_plan_by_figures_that_cannot_be(
    run: Run, tmp_path: Path, figures: dict[str, int], why: str
) -> None:
    saved = tmp_path / "bench.json"
    content = json.loads(run("bench", "--json").output)
    content["reference"]["record"] = figures
    saved.write_text(json.dumps(content))
    plan = ("plan", "--venue", "binance", "--streams", "10", "--clients", "50", "--bench", saved)
    result = run(*plan)
    assert result.exit_code == 2
    assert why in result.stderr


@pytest.mark.parametrize("seconds", ["0", "31", "nan", "long"])
def test_how_long_it_cannot_take(run: Run, calls: list[tuple[object, ...]], seconds: str) -> None:
    result = run("bench", "--seconds", seconds)
    assert result.exit_code == 2
    assert "Error: Invalid value for '--seconds': " in result.stderr
    assert calls == []


@pytest.mark.parametrize("arguments", [("--dir", "none"), ("--save", "none/bench.json")])
def test_where_nothing_can_be_written(
    run: Run, calls: list[tuple[object, ...]], arguments: tuple[str, str]
) -> None:
    result = run("bench", *arguments)
    sentence = f"Error: {arguments[0]}: none is no directory that can be written to\n"
    assert (result.exit_code, result.stderr) == (2, sentence)
    assert calls == []


def test_what_cannot_be_saved(run: Run, tmp_path: Path) -> None:
    result = run("bench", "--save", tmp_path)
    assert (result.exit_code, result.stderr) == (2, f"Error: --save {tmp_path}: Is a directory\n")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (BenchFailed("the source ended too early"), 1, "Error: the source ended too early\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_a_bench_that_ends_early(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    def stand_in(*_: object) -> Outcome:
        raise error

    monkeypatch.setattr(measure, "measure", stand_in)
    result = run("bench")
    assert (result.exit_code, result.stderr, result.stdout) == (code, sentence, "")
