from __future__ import annotations

from pathlib import Path

import pytest

from tests.recording.support import MONO, WALL, record, three_blocks
from wsproxy.model import Batch, Kind, StreamKey
from wsproxy.recording.gaps import GapCount, count_gaps
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.source import Source

GAPS = [
    Batch(Kind.GAP, 1, WALL, MONO, [b"\xa0"] * 3, None, [("a", "b"), ("a",), ()]),
    Batch(Kind.GAP, 2, WALL, MONO, [b"\xa0"], None, [("a",)]),
    Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x"], None, [("c",)]),
]


@pytest.mark.parametrize("killed", [True, False])
def test_gaps_are_counted_by_stream(tmp_path: Path, killed: bool) -> None:
    recording = open_recording(record(tmp_path / "r", [GAPS, *three_blocks()], killed=killed))
    assert count_gaps(recording) == GapCount(
        5,
        {
            StreamKey("binance", "a"): 2,
            StreamKey("binance", "b"): 1,
            StreamKey("coinbase", "a"): 1,
        },
    )


def test_where_the_index_says_that_there_are_none_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = open_recording(record(tmp_path / "r", [GAPS[2:]]))
    monkeypatch.setattr(Source, "blocks", None)
    assert count_gaps(recording) == GapCount(0, {})
