from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.replay.health import support
from tests.replay.health.support import MS, TRADES, record_all, trade


@pytest.fixture
def bad_day(tmp_path: Path) -> Path:
    return support.a_bad_day(tmp_path / "day")


def test_a_good_recording(run: Run, tmp_path: Path) -> None:
    directory = record_all(tmp_path / "r", [trade(at * 100, at) for at in range(200)])
    result = run("health", directory, "--threshold", "good")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == f"{directory}: good"
    assert lines[1] == "good bytes every byte is as it was written"
    assert lines[-1] == "200 100% 0 0 100 ms 20 ms 20 ms 20 ms binance:btcusdt@trade"


def test_a_bad_day(run: Run, bad_day: Path) -> None:
    result = run("health", bad_day)
    assert result.exit_code == 3
    assert result.output.startswith(f"{bad_day}: poor, below the threshold\n")
    row = result.output.splitlines()[-1].split()
    assert row[:4] == ["750", "94.9%", "1", "50"]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--threshold", "poor"], 0),
        (["--min-coverage", "94.8", "--max-missing", "6.3"], 0),
        (["--min-coverage", "95", "--max-missing", "6.3"], 3),
        (["--min-coverage", "94.8", "--max-missing", "6.2"], 3),
        (["--threshold", "poor", "--max-silence", "19"], 3),
        (["--threshold", "poor", "--max-latency", "0.03"], 0),
        (["--threshold", "poor", "--max-latency", "0.01"], 3),
        (["--threshold", "poor", "--max-clock", "0"], 0),
        (["--min-coverage", "101"], 2),
        (["--threshold", "splendid"], 2),
        (["--stream", "typo@trade"], 1),
    ],
)
def test_thresholds(run: Run, bad_day: Path, options: list[str], code: int) -> None:
    assert run("health", bad_day, *options).exit_code == code


def test_json(run: Run, bad_day: Path) -> None:
    result = run("health", bad_day, "--json")
    assert result.exit_code == 3
    said = json.loads(result.output)
    assert (said["grade"], said["below_threshold"]) == ("poor", True)
    assert said["findings"][1] == {
        "measure": "coverage",
        "grade": "poor",
        "value": pytest.approx(0.051),
        "sentence": said["findings"][1]["sentence"],
    }
    (stream,) = said["streams"]
    assert stream["coverage"] == pytest.approx(0.949)
    assert (stream["wanted"], stream["uncovered"]) == ("100000000000", "5100000000")
    assert stream["numbers"] == {"covered": 800, "missing": 50, "holes": 1}
    assert stream["silence"]["longest"] == "20000000000"
    assert stream["latency"]["most"] == str(2000 * MS)
    assert stream["latency"]["negative"] == 0
    assert said["clock"]["drift"] == "0"


def test_damage(run: Run, bad_day: Path) -> None:
    part = bad_day / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    result = run("health", bad_day, "--threshold", "poor")
    assert result.exit_code == 1
    assert result.output.startswith(f"{bad_day}: damaged, below the threshold\n")
    assert "DAMAGE: " in result.output


def test_the_worst_streams_come_first(run: Run, tmp_path: Path) -> None:
    names = [f"s{number}@trade" for number in range(30)]
    batches = [
        *(support.granted(0, name) for name in names),
        support.gap(100, 150, "s17@trade"),
        *(support.message({}, name, at=1000) for name in names),
    ]
    result = run("health", record_all(tmp_path / "r", batches))
    lines = result.output.splitlines()
    assert lines[8].split()[1] == "95%"
    assert lines[8].endswith("binance:s17@trade")
    assert lines[-1] == "  and 10 more streams, none of which is worse: --json has all"


def test_names_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "\x1b[2Ja@trade"
    result = run("health", record_all(tmp_path / "r", [support.granted(0, evil), trade(9, 1)]))
    assert "\x1b" not in result.output
    assert "never said anything, as binance:\N{REPLACEMENT CHARACTER}[2Ja@trade" in result.output


def test_only_some_streams(run: Run, tmp_path: Path) -> None:
    batches = [support.granted(0, TRADES, "b@trade"), support.gap(0, 50, "b@trade"), trade(100, 1)]
    directory = record_all(tmp_path / "r", batches)
    assert run("health", directory).exit_code == 3
    assert run("health", directory, "--stream", TRADES).exit_code == 0


def test_what_is_no_recording(run: Run, tmp_path: Path) -> None:
    result = run("health", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path} holds no recording")
