"""`wsproxy bench` measures what it says, and leaves nothing behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.proxy import PATIENCE_S, environment

COMMAND = [sys.executable, "-W", "error", "-m", "wsproxy", "bench", "--seconds"]


def surroundings(place: Path) -> dict[str, str]:
    """Temporary files go there; a user's settings do not matter."""
    return {**environment(None), "TMPDIR": str(place), "WSPROXY_MAX_CONNECTIONS": "none"}


def processes(place: Path) -> list[str]:
    """The commands of what runs with such surroundings."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if f"TMPDIR={place}".encode() in (one / "environ").read_bytes().split(b"\0"):
                found.append((one / "cmdline").read_text())
        except OSError:  # somebody else's, or it has just ended
            continue
    return [command for command in found if command]


def test_a_short_one(tmp_path: Path) -> None:
    ran = subprocess.run(
        [*COMMAND, "0.5", "--json"],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=tmp_path,
        env=surroundings(tmp_path),
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    said = json.loads(ran.stdout)
    for relay in ("proxy", "record"):
        figures = said["reference"][relay]
        assert list(figures) == ["1", "10", "50"]
        assert min(figures.values()) > 100
    assert list(said["recording_costs"]) == ["1", "10", "50"]
    assert max(said["recording_costs"].values()) < 1
    assert [pace["messages_per_s"] for pace in said["paces"]] == [100, 1_000, 5_000]
    for pace in said["paces"]:
        assert 0 < pace["direct"]["p50_us"] <= pace["direct"]["p99_us"]
        assert pace["clients"] == 10
    assert len(said["carried"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []


@pytest.mark.parametrize("moment", [b"starting", b"saturated", b"5,000 messages/s"])
def test_ctrl_c(tmp_path: Path, moment: bytes) -> None:
    ours, terminal = os.openpty()
    with io.FileIO(ours) as screen:
        running = subprocess.Popen(
            [*COMMAND, "0.5"],
            stdout=subprocess.PIPE,
            stderr=terminal,
            cwd=tmp_path,
            env=surroundings(tmp_path),
        )
        os.close(terminal)
        with running:
            seen = b""
            while moment not in seen:
                seen += screen.read(1000)
            running.send_signal(signal.SIGINT)
            out, _ = running.communicate(timeout=PATIENCE_S)
        assert running.returncode == 130
        assert out == b""
        while not seen.endswith(b"Interrupted.\r\n"):
            seen += screen.read(1000)
        assert b"Traceback" not in seen
    assert list(tmp_path.iterdir()) == []
    assert processes(tmp_path) == []
