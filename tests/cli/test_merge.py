from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run
from tests.recording.damage import flip, places, six_blocks
from wsproxy.recording.reader import open as open_recording


def test_two_recordings(run: Run, recording: Path, tmp_path: Path) -> None:
    six_blocks(tmp_path / "other")
    out = tmp_path / "out"
    result = run("merge", recording, tmp_path / "other", "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"{out}: 64 records, ")
    merged = open_recording(out)
    assert sorted(merged.connections) == [1, 2, 3]
    assert {str(key) for key in merged.streams} >= {"binance:a@trade", "coinbase:c"}
    assert run("verify", out).exit_code == 0


def test_what_several_hold_is_there_several_times(run: Run, tmp_path: Path) -> None:
    six_blocks(tmp_path / "r")
    run("merge", tmp_path / "r", tmp_path / "r", "--out", tmp_path / "out")
    payloads = [message.payload for message in open_recording(tmp_path / "out").messages()]
    once = [message.payload for message in open_recording(tmp_path / "r").messages()]
    assert sorted(payloads) == sorted(once * 2)


def test_damage_is_not_merged(run: Run, tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    flip(path, places(path)[2].block + 20)
    result = run("merge", path, path, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"Error: {path} is damaged at byte" in result.stderr
    assert not (tmp_path / "out").exists()
