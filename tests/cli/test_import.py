from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from wsproxy.model import StreamKey
from wsproxy.recording.reader import open as open_recording

LINE = b'1723161255030314667 {"stream":"btcusdt@trade","data":{}}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "btcusdt_20240808"
    path.write_bytes(LINE * 3)
    return path


def test_streams_are_named_as_the_venue_does(run: Run, file: Path, tmp_path: Path) -> None:
    result = run("import", file, "--venue", "binance", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "out: 3 records" in result.stderr
    assert [*open_recording(tmp_path / "out").streams] == [StreamKey("binance", "btcusdt@trade")]


def test_or_as_the_file_is_called_or_as_one_likes(run: Run, file: Path, tmp_path: Path) -> None:
    run("import", file, "--venue", "x", "--out", tmp_path / "a")
    assert [*open_recording(tmp_path / "a").streams] == [StreamKey("x", "btcusdt_20240808")]
    run("import", file, "--venue", "x", "--stream", "mine", "--out", tmp_path / "b")
    assert [*open_recording(tmp_path / "b").streams] == [StreamKey("x", "mine")]


def test_bad_lines(run: Run, file: Path, tmp_path: Path) -> None:
    file.write_bytes(LINE + b"x\n" + LINE)
    result = run("import", file, "--venue", "x", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert f"{file}, line 2: " in result.stderr
    assert not (tmp_path / "out").exists()
    result = run("import", file, "--venue", "x", "--out", tmp_path / "out", "--skip-bad")
    assert result.exit_code == 3
    assert f"skipped: {file}, line 2: " in result.stderr
    assert "1 line(s) were skipped" in result.stderr


@pytest.mark.parametrize("venue", ["", "a:b", "a b", "a\n"])
def test_venues_have_plain_names(run: Run, file: Path, tmp_path: Path, venue: str) -> None:
    result = run("import", file, "--venue", venue, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--venue" in result.stderr


def test_a_bar_on_a_terminal(
    run: Run, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    result = run("import", file, "--venue", "x", "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "100%" in result.stderr
