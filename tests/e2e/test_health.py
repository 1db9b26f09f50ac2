"""health and info --html as a nightly job runs them: exit codes, output, files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.kit.proxy import assert_presentable, run
from tests.replay.health.support import a_bad_day, record_all, trade


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return record_all(tmp_path / "good", [trade(at * 100, at) for at in range(300)])


def test_a_nightly_job(good: Path, tmp_path: Path) -> None:
    bad, damaged = a_bad_day(tmp_path / "bad"), tmp_path / "damaged"
    shutil.copytree(good, damaged)
    part = damaged / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    for directory, code in ((good, 0), (bad, 3), (damaged, 1), (tmp_path / "none", 1)):
        ended = run("health", str(directory))
        assert ended.code == code
        assert_presentable(ended.err)
    strict = ("--threshold", "good", "--min-coverage", "99.95", "--json")
    ended = run("health", str(good), *strict)
    assert ended.code == 0
    assert json.loads(ended.out)["grade"] == "good"
    assert run("health", str(bad), *strict).code == 3


def test_a_report(good: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    ended = run("info", str(good), "--html", str(out))
    assert ended.code == 0
    assert_presentable(ended.err)
    text = out.read_text()
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>\n")
    assert "<svg" in text
    assert run("info", str(good), "--html", str(out)).code == 1
