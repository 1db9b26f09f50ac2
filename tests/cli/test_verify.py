from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.recording.damage import flip, places, six_blocks


def test_a_good_recording(run: Run, tmp_path: Path) -> None:
    six_blocks(tmp_path / "r", parts=2)
    for options in ([], ["--quick"]):
        result = run("verify", tmp_path / "r", *options)
        assert result.exit_code == 0
        assert result.stdout == f"{tmp_path / 'r'}: good; 2 part(s), 6 blocks, 60 records\n"


def test_a_damaged_one(run: Run, tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    place = places(path)[2]
    flip(path, place.block + 20)
    result = run("verify", path)
    assert result.exit_code == 1
    first, where, lost, *streams = result.stdout.splitlines()
    assert first == f"{path}: DAMAGED; 1 part(s), 5 blocks, 50 records"
    assert f"{path}, byte {place.offset}: the block's checksum does not match" in where
    assert "lost: 10 records, after 2024-08-08T23:54:16.0" in lost
    assert [" ".join(line.split()) for line in streams] == [
        "binance:a: 6 messages",
        "binance:b: 3 messages",
        "binance:c: 1 messages",
    ]


def test_a_lossy_one(run: Run, tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=True)
    path.write_bytes(path.read_bytes()[:-1])
    result = run("verify", path)
    assert result.exit_code == 3
    assert f"{path}: lossy; 1 part(s), 5 blocks, 50 records" in result.stdout
    assert "bytes are a block that was never finished" in result.stdout
    assert "it was not closed in order" in result.stdout
    assert "gaps were not looked for" in run("verify", "--quick", path).stdout


@pytest.mark.parametrize(("names", "code"), [(["good", "cut"], 3), (["cut", "bad", "good"], 1)])
def test_the_worst_of_several_counts(run: Run, tmp_path: Path, names: list[str], code: int) -> None:
    six_blocks(tmp_path / "good")
    (cut,) = six_blocks(tmp_path / "cut", killed=True)
    cut.write_bytes(cut.read_bytes()[:-1])
    (bad,) = six_blocks(tmp_path / "bad")
    flip(bad, places(bad)[2].block + 20)
    result = run("verify", *(tmp_path / name for name in names))
    assert result.exit_code == code
    assert [line for line in result.stdout.splitlines() if line.startswith(str(tmp_path))] == [
        line for line in result.stdout.splitlines() if not line.startswith("  ")
    ]


def test_what_is_no_recording(run: Run, tmp_path: Path) -> None:
    result = run("verify", tmp_path / "none")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: {tmp_path / 'none'} does not exist\n"
    assert run("verify").exit_code == 2
