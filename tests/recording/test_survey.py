from __future__ import annotations

import os
from itertools import chain
from pathlib import Path

import pytest

from tests.recording.damage import BLOCKS, SECOND, flip, places, six_blocks
from tests.recording.support import MONO, WALL
from wsproxy.model import Instant, StreamKey
from wsproxy.recording.survey import Loss, Sound, survey

A, B, C = (StreamKey("coinbase", name) for name in "abc")


def look(path: Path, *, load: bool = True) -> tuple[list[int], list[Loss]]:
    """The good blocks by their first sequence number, and what is lost."""
    found = list(survey(path, load=load))
    seqs = [one.place.head.first_seq for one in found if isinstance(one, Sound)]
    return seqs, [one for one in found if isinstance(one, Loss)]


def all_but(*lost: int) -> list[int]:
    return [10 * number for number in range(BLOCKS) if number not in lost]


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("load", [True, False])
@pytest.mark.parametrize("killed", [True, False])
def test_nothing_is_lost_of_what_is_whole(
    tmp_path: Path, parts: int, load: bool, killed: bool
) -> None:
    assert len(six_blocks(tmp_path / "r", parts=parts, killed=killed)) == parts
    assert look(tmp_path / "r", load=load) == (all_but(), [])


@pytest.mark.parametrize("killed", [True, False])
def test_a_damaged_block_is_lost_exactly(tmp_path: Path, killed: bool) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=killed)
    place = places(path)[3]
    flip(path, place.block + 20)
    seqs, (loss,) = look(path)
    assert seqs == all_but(3)
    (damage,) = loss.damage
    assert (damage.path, damage.offset) == (str(path), place.offset)
    assert (loss.records, loss.cut, loss.is_exact, loss.is_harmless) == (10, 0, True, False)
    assert (loss.since, loss.until) == (
        WALL + 2 * SECOND,
        Instant(WALL + 4 * SECOND, MONO + 4 * SECOND),
    )
    assert loss.connections == {2}
    assert loss.messages == {A: 6, B: 3, C: 1}


@pytest.mark.parametrize("load", [True, False])
def test_of_a_block_without_its_head_only_the_count_is_known(tmp_path: Path, load: bool) -> None:
    (path,) = six_blocks(tmp_path / "r")
    flip(path, places(path)[3].offset + 30)
    seqs, (loss,) = look(path, load=load)
    assert seqs == all_but(3)
    assert (loss.records, loss.is_exact, loss.messages) == (10, False, {})


@pytest.mark.parametrize(("killed", "records", "is_exact"), [(False, 10, True), (True, 10, True)])
def test_a_damaged_block_at_the_end(
    tmp_path: Path, killed: bool, records: int, is_exact: bool
) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=killed)
    flip(path, places(path)[-1].block + 20)
    seqs, (loss,) = look(path)
    assert seqs == all_but(5)
    assert (loss.records, loss.until, loss.is_exact) == (records, None, is_exact)


def test_a_damaged_head_at_the_end_is_counted_by_the_index_only(tmp_path: Path) -> None:
    for name, killed, records in (("closed", False, 10), ("killed", True, None)):
        (path,) = six_blocks(tmp_path / name, killed=killed)
        flip(path, places(path)[-1].offset + 30)
        seqs, (loss,) = look(path)
        assert (seqs, loss.records) == (all_but(5), records)
        assert not loss.is_harmless


def test_a_part_that_is_missing(tmp_path: Path) -> None:
    six_blocks(tmp_path / "r", parts=3)[1].unlink()
    seqs, (loss,) = look(tmp_path / "r")
    assert seqs == all_but(2, 3)
    assert loss.records == 20
    assert "records 20 to 39, before this part, are lost" in loss.damage[0].why


def test_damage_in_two_parts_is_told_apart(tmp_path: Path) -> None:
    first, second, _ = six_blocks(tmp_path / "r", parts=3)
    flip(first, places(first)[1].block + 20)
    flip(second, places(second)[1].block + 20)
    seqs, losses = look(tmp_path / "r")
    assert seqs == all_but(1, 3)
    assert [[Path(d.path) for d in loss.damage] for loss in losses] == [[first], [second]]
    assert [loss.records for loss in losses] == [10, 10]


def test_an_end_that_was_cut_off_is_no_damage(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=True)
    os.truncate(path, path.stat().st_size - 1)
    seqs, (loss,) = look(path)
    assert seqs == all_but(5)
    assert (loss.damage, loss.records, loss.is_harmless) == ((), None, False)
    assert loss.cut == path.stat().st_size - places(path)[-1].end


def test_a_flip_of_any_bit_is_seen_and_costs_at_most_its_block(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    content = path.read_bytes()
    index_at = places(path)[-1].end
    for offset in chain(range(0, index_at, 7), range(index_at, len(content))):
        flip(path, offset)
        seqs, losses = look(path)
        path.write_bytes(content)
        assert len(seqs) >= BLOCKS - 1, offset
        assert [damage for loss in losses for damage in loss.damage], offset
        if offset >= index_at + 12:
            assert seqs == all_but()
            assert all(loss.is_harmless for loss in losses), offset
        assert all(not loss.is_harmless for loss in losses) or len(seqs) == BLOCKS
