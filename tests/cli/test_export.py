from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import WALL_NS, Run


def test_lines_to_stdout(run: Run, recording: Path) -> None:
    result = run("export", recording, "--to", "ndjson", "--out", "-")
    assert result.exit_code == 0
    assert result.stdout == run("cat", recording).stdout
    assert result.stderr == "-: 4 records\n"


def test_streams_and_times(run: Run, recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "a_20231114.gz"
    result = run("export", recording, "--to", "hftbacktest", "--out", out, "--stream", "a@trade")
    assert result.exit_code == 0
    assert gzip.decompress(out.read_bytes()) == b'%d {"p":"1"}\n' % WALL_NS
    assert out.stat().st_mode & 0o777 == 0o600
    later = run("export", recording, "--to", "jsonl", "--out", "-", "--start", "+1s")
    assert [json.loads(line)["b64"] for line in later.stdout.splitlines()] == ["/w=="]


def test_parquet(run: Run, recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    assert run("export", recording, "--to", "parquet", "--out", out).exit_code == 0
    assert pq.read_table(out)["kind"].to_pylist() == ["opened", "message", "message", "closed"]


def test_nothing_is_overwritten(run: Run, recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    out.write_text("mine")
    result = run("export", recording, "--to", "ndjson", "--out", out)
    assert result.exit_code == 1
    assert "is there already" in result.stderr
    assert out.read_text() == "mine"


def test_what_fails_leaves_nothing(run: Run, recording: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    result = run("export", recording, "--to", "hftbacktest", "--out", tmp_path / "a.gz")
    assert result.exit_code == 1
    assert "does not fit" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_binary_never_reaches_a_terminal(
    run: Run, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True)
    result = run("export", recording, "--to", "parquet", "--out", "-")
    assert result.exit_code == 2
    assert "binary" in result.stderr
