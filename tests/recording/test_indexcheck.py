from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.recording.damage import places, six_blocks
from wsproxy.errors import DamagedRecording
from wsproxy.model import StreamKey
from wsproxy.recording.index import Index, StreamTotal
from wsproxy.recording.indexcheck import IndexCheck
from wsproxy.recording.part import Part


def never(damage: DamagedRecording) -> None:
    raise damage


def disagreement(path: Path, index: Index, *, load: bool = True) -> str:
    with Part(path, never) as part:
        check = IndexCheck(index)
        for place in part.places():
            check.add(place, part.load(place) if load else None)
        assert check.end == places(path)[-1].end
        return check.disagreement


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return six_blocks(tmp_path / "r")[0]


@pytest.fixture
def index(path: Path) -> Index:
    with Part(path, never) as part:
        assert part.index is not None
        return part.index


def test_an_index_that_is_right(path: Path, index: Index) -> None:
    assert disagreement(path, index) == ""
    assert disagreement(path, index, load=False) == ""


def test_an_index_that_is_wrong(path: Path, index: Index) -> None:
    moved = [*index.offsets[:-1], index.offsets[-1] + 1]
    first = next(iter(index.totals))
    total = index.totals[first]
    for wrong, words in (
        (replace(index, offsets=moved), "where the blocks are"),
        (replace(index, seqs=index.seqs[:-1]), "where the blocks are"),
        (replace(index, latest=index.earliest[::-1]), "the times of the blocks"),
        (replace(index, earliest=index.latest[::-1]), "the times of the blocks"),
        (replace(index, keyframes=[0]), "which blocks hold keyframes"),
        (replace(index, records=59), "how much the part holds"),
        (replace(index, payload_bytes=0), "how much the part holds"),
        (
            replace(index, totals={**index.totals, first: total._replace(bytes=1)}),
            "what the part holds of each stream",
        ),
    ):
        assert disagreement(path, wrong) == words
        assert disagreement(path, wrong, load=False) == words


def test_what_only_the_records_tell(path: Path, index: Index) -> None:
    first = next(iter(index.totals))
    late: StreamTotal = index.totals[first]._replace(first=1)
    for wrong, words in (
        (replace(index, kinds={1: 59, 2: 1}), "how many records there are of each kind"),
        (
            replace(index, streams={**index.streams, first: StreamKey("binance", "z")}),
            "the names of the streams",
        ),
        (
            replace(index, totals={**index.totals, first: late}),
            "when each stream has its first and last message",
        ),
    ):
        assert disagreement(path, wrong) == words
        assert disagreement(path, wrong, load=False) == ""
