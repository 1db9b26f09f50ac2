"""Promise 4 of docs/recording-format.md: memory for a few blocks, whatever the size.

``BIG_MB`` sets how large the larger recording is, on disk.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.campaign import knob

BIG_MB = knob("BIG_MB", 200)
SMALL_MB = 50
MOST_BYTES = 200 << 20
INDEX_BYTES_PER_MB = 2_000
"""A part's index is held while the part is written; a part ends at 4 GiB at the latest."""


def peaks(directory: Path, megabytes: int) -> dict[str, int]:
    """What the memory of a process was at most, after each way to use such a recording."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.kit.big_recording", str(directory), str(megabytes)],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    shutil.rmtree(directory)
    found: dict[str, int] = json.loads(ended.stdout)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="the most memory of a process is in /proc")
def test_memory_does_not_grow_with_the_recording(tmp_path: Path) -> None:
    small, big = peaks(tmp_path / "small", SMALL_MB), peaks(tmp_path / "big", BIG_MB)
    for use, used in big.items():
        assert used < MOST_BYTES, use
        assert used < 1.2 * small[use] + BIG_MB * INDEX_BYTES_PER_MB, use
