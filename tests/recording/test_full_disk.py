"""A disk that is really full: a small tmpfs, in a namespace of the test's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT_AND_RUN = 'mount -t tmpfs -o size=512k tmpfs "$0" && exec "$@"'


def with_small_disk(mount_point: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds half a MB of disk there."""
    return subprocess.run(
        [*OWN_NAMESPACE, "sh", "-c", MOUNT_AND_RUN, str(mount_point), *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("part_bytes", [1 << 30, 40_000])
def test_a_full_disk_costs_what_does_not_fit_and_no_more(tmp_path: Path, part_bytes: int) -> None:
    if shutil.which("unshare") is None or with_small_disk(tmp_path, "true").returncode:
        pytest.skip("this system lets no user mount a tmpfs of his own")
    command = (sys.executable, "-m", "tests.kit.full_disk", str(tmp_path), str(part_bytes))
    ended = with_small_disk(tmp_path, *command)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    refusals = [outcome for outcome in report["outcomes"] if outcome]
    first = report["outcomes"].index(refusals[0])
    assert first > 20  # it was not full from the start
    assert all("No space left on device" in refusal for refusal in refusals)
    assert report["outcomes"][first : first + 4] == [*refusals[:3], None]  # it recovered
    assert report["sizes agree"]
    assert report["all there"]
    assert (report["damage"], report["cut"]) == (0, 0)
    assert (report["parts"] > 1) is (part_bytes < 1 << 30)
