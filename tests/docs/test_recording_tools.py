"""Shell examples that are marked run, on the demo recording; those of a block one after another."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Example, every_example

MARKED = [example for example in every_example("sh") if example.mark == "runs"]


@pytest.mark.parametrize("example", MARKED, ids=str)
def test_it_runs(example: Example, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "recordings" / "demo", tmp_path / "recordings" / "demo")
    lines = [line for line in example.code.splitlines() if not line.startswith("wsproxy replay")]
    wsproxy = f"{sys.executable} -m wsproxy"
    code = "\n".join(["set -e", *(line.replace("wsproxy", wsproxy, 1) for line in lines)])
    ran = subprocess.run(
        ["sh", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Error" not in ran.stderr


def test_there_are_some() -> None:
    assert len(MARKED) >= 6
