from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.cli.conftest import Run
from wsproxy.app import demo
from wsproxy.recording.reader import open as open_recording


@pytest.mark.parametrize(("equal", "code", "word"), [(20, 0, "yes"), (19, 1, "NO")])
def test_the_outcome_is_a_table_and_an_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, equal: int, code: int, word: str
) -> None:
    async def stand_in(recording: Path, directory: Path) -> demo.Outcome:
        await trio.lowlevel.checkpoint()
        assert open_recording(recording).info.records > 10_000
        assert directory == tmp_path / "kept"
        return demo.Outcome(20, 12_345, 45_678, 3_200_000, 456_000, 900.4, 2_000.0, 2, 18, equal)

    monkeypatch.setattr(demo, "run", stand_in)
    result = run("demo", "--keep", tmp_path / "kept")
    assert result.exit_code == code
    assert (tmp_path / "kept").is_dir()
    rows = [" ".join(line.split()) for line in result.output.splitlines() if line]
    assert rows == [
        "connections used 2 of 2 (18 saved)",
        "messages from the exchange 12,345",
        "deliveries to strategies 45,678",
        "recorded, raw 3.2 MB",
        "recorded, on disk 0.46 MB",
        "added latency, p50 900 µs",
        "added latency, p99 2,000 µs",
        f"replay equal to live {word}: {equal} of 20 strategies",
    ]


def test_a_demo_that_failed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stand_in(recording: Path, directory: Path) -> demo.Outcome:
        await trio.lowlevel.checkpoint()
        raise demo.DemoFailed("wsproxy replay did not start")

    monkeypatch.setattr(demo, "run", stand_in)
    result = run("demo")
    assert (result.exit_code, result.stderr) == (1, "Error: wsproxy replay did not start\n")
