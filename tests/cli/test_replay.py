from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SECOND, WALL_NS, Run
from wsproxy.config import Serving


def test_defaults(run: Run, called: list[tuple[Any, ...]], recording: Path) -> None:
    assert run("replay", recording).exit_code == 0
    reader, serving, named = called[0]
    assert reader.path == recording
    assert serving == Serving()
    assert named == {"start": None, "end": None, "speed": 1.0, "clients": 1, "settle_seconds": 0.5}


def test_everything(run: Run, called: list[tuple[Any, ...]], recording: Path) -> None:
    run(
        *("replay", recording, "--speed", "max", "--start", "+1s"),
        *("--end", "2023-11-14T22:13:22Z", "--clients", 3, "--settle", 0),
    )
    assert called[0][-1] == {
        "start": WALL_NS + SECOND,
        "end": WALL_NS + 2 * SECOND,
        "speed": None,
        "clients": 3,
        "settle_seconds": 0.0,
    }


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_a_speed_that_cannot_be(run: Run, recording: Path, speed: str) -> None:
    result = run("replay", recording, "--speed", speed)
    sentence = f"Error: --speed {speed}: write a number above 0, or max\n"
    assert (result.exit_code, result.stderr) == (2, sentence)


def test_a_time_that_is_none(run: Run, recording: Path) -> None:
    result = run("replay", recording, "--start", "noon")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: 'noon' is not a time")


def test_a_recording_that_is_none(run: Run, tmp_path: Path) -> None:
    result = run("replay", tmp_path / "none")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/none does not exist\n")
