"""The demonstration shows what it says, on any machine and without a network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.kit.proxy import environment
from wsproxy.recording.reader import open as open_recording


def test_the_demo(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "wsproxy", "demo", "--keep", str(tmp_path)]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=180,
        cwd=tmp_path,
        env=environment(None),
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    assert "20 strategies connect: 18 are refused" in ran.stdout
    assert "2 of 2 (18 saved)" in ran.stdout
    assert "yes: 20 of 20 strategies" in ran.stdout
    recording = open_recording(tmp_path / "live")
    assert {info.venue for info in recording.info.connections} == {"binance", "coinbase"}
