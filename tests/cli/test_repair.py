from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.recording.damage import flip, places, six_blocks
from tests.recording.support import digest


def test_a_damaged_recording(run: Run, tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    flip(path, places(path)[2].block + 20)
    result = run("repair", path, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "the block's checksum does not match" in result.stdout
    assert "lost: 10 records" in result.stdout
    assert result.stderr.startswith(f"{tmp_path / 'out'}: 51 records, ")
    assert run("verify", tmp_path / "out").exit_code == 3


def test_a_good_one(run: Run, tmp_path: Path) -> None:
    six_blocks(tmp_path / "r")
    result = run("repair", tmp_path / "r", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (0, "")
    assert digest(tmp_path / "out") == digest(tmp_path / "r")


def test_never_in_place(run: Run, tmp_path: Path) -> None:
    six_blocks(tmp_path / "r")
    result = run("repair", tmp_path / "r", "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'r'} is there already; choose another directory\n"
    assert run("repair", tmp_path / "r").exit_code == 2
