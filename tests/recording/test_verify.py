from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.recording.damage import flip, places, six_blocks
from tests.recording.support import MONO, WALL, record
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, Kind
from wsproxy.recording.verify import verify

GAP = [Batch(Kind.GAP, 1, WALL, MONO, [b"\xa0"] * 2, None, [("a",), ("b",)])]


@pytest.mark.parametrize("quick", [True, False])
def test_a_recording_that_is_good(tmp_path: Path, quick: bool) -> None:
    paths = six_blocks(tmp_path / "r", parts=2)
    told: list[int] = []
    verdict = verify(tmp_path / "r", quick=quick, progress=told.append)
    assert (verdict.parts, verdict.blocks, verdict.records, verdict.gaps) == (2, 6, 60, 0)
    assert verdict.disk_bytes == sum(path.stat().st_size for path in paths)
    assert not verdict.is_damaged
    assert not verdict.is_lossy
    assert verdict.is_closed
    assert len(told) == 6


@pytest.mark.parametrize("killed", [True, False])
def test_gaps_make_it_lossy(tmp_path: Path, killed: bool) -> None:
    path = record(tmp_path / "r", [GAP, GAP], killed=killed)
    verdict = verify(path)
    assert (verdict.gaps, verdict.is_lossy, verdict.is_damaged) == (4, True, False)
    assert verdict.is_closed is not killed
    assert verify(path, quick=True).gaps == (None if killed else 4)


def test_a_cut_end_makes_it_lossy(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=True)
    os.truncate(path, path.stat().st_size - 1)
    verdict = verify(path)
    assert (verdict.is_lossy, verdict.is_damaged, verdict.blocks) == (True, False, 5)
    assert verdict.cut == verdict.losses[0].cut > 0


def test_damage_within_a_block_is_not_for_the_quick(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    flip(path, places(path)[2].block + 20)
    assert not verify(path, quick=True).is_damaged
    verdict = verify(path)
    assert (verdict.damage, verdict.blocks, verdict.records) == (1, 5, 50)
    assert [loss.records for loss in verdict.losses] == [10]


def test_a_damaged_head_is_for_the_quick_too(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    flip(path, places(path)[2].offset + 20)
    for quick in (True, False):
        verdict = verify(path, quick=quick)
        assert (verdict.damage, verdict.blocks, verdict.losses[0].records) == (1, 5, 10)


def test_an_index_that_says_something_else_is_damage(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    last, whole = places(path)[-1], path.read_bytes()
    path.write_bytes(whole[: last.offset] + whole[last.end :])
    for quick in (True, False):
        verdict = verify(path, quick=quick)
        (loss,) = verdict.losses
        (damage,) = loss.damage
        assert (damage.offset, damage.why) == (
            last.offset,
            "the index is wrong about where the blocks are",
        )
        assert (verdict.records, loss.records) == (50, 10)


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        verify(tmp_path)
