from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.recording.support import digest
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer

DEMO = Path(__file__).parents[2] / "recordings" / "demo"


def test_the_same_in_less(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("compact", DEMO, "--out", out, "--level", "9")
    assert (result.exit_code, result.stdout) == (0, "")
    before, after = (open_recording(path).info for path in (DEMO, out))
    assert result.stderr == (
        f"{out}: {before.records:,} records, {after.disk_bytes:,} bytes, "
        f"{after.disk_bytes / before.disk_bytes:.1%} of the {before.disk_bytes:,} before\n"
    )
    assert after.disk_bytes < 0.8 * before.disk_bytes
    assert digest(out) == digest(DEMO)


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def allow_little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    command = [sys.executable, "-m", "wsproxy", "compact", str(DEMO), "--level=1"]
    ended = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        preexec_fn=allow_little,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ")
    assert "cannot be written: File too large" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "write", interrupted)
    result = run("compact", DEMO, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted.\n")
    assert not list(tmp_path.iterdir())
