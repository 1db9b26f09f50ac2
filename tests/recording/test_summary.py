from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording.support import CONNECTIONS, WALL, batches, record, three_blocks
from wsproxy.errors import DamagedRecording
from wsproxy.model import Batch, StreamKey
from wsproxy.recording.part import Part
from wsproxy.recording.summary import StreamInfo, Summary, earlier, later


def never(damage: DamagedRecording) -> None:
    raise damage


def summary(path: Path) -> Summary:
    found = Summary()
    with Part(path, never) as part:
        found.add(part)
    return found


@settings(deadline=None)
@given(st.lists(batches, max_size=4))
def test_the_index_says_what_a_walk_finds(blocks: list[list[Batch]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        closed = summary(record(Path(directory) / "closed", blocks))
        killed = summary(record(Path(directory) / "killed", blocks, killed=True))
    assert closed.records == killed.records
    assert closed.raw_bytes == killed.raw_bytes
    assert (closed.first, closed.last) == (killed.first, killed.last)
    assert closed.streams.keys() == killed.streams.keys()
    assert {key: info[:2] for key, info in closed.streams.items()} == {
        key: info[:2] for key, info in killed.streams.items()
    }


@pytest.mark.parametrize("killed", [False, True])
def test_parts_add_up(tmp_path: Path, killed: bool) -> None:
    path = record(tmp_path / "r", three_blocks(), killed=killed)
    found = Summary()
    for _ in range(2):
        with Part(path, never) as part:
            found.add(part)
    assert (found.parts, found.records, found.cut) == (2, 16, 0)
    assert found.disk_bytes == 2 * path.stat().st_size
    assert (found.first, found.last) == (WALL, WALL + 9 * 10**9)
    assert set(CONNECTIONS) <= set(found.connections.values())
    at = WALL + 10**9
    assert found.streams[StreamKey("binance", "btcusdt@trade")] == StreamInfo(4, 18, at, at)


def test_times_that_are_missing_do_not_count() -> None:
    assert (earlier(None, None), earlier(None, 1), earlier(1, None), earlier(2, 1)) == (
        None,
        1,
        1,
        1,
    )
    assert (later(None, None), later(None, 1), later(1, None), later(2, 1)) == (None, 1, 1, 2)
    assert StreamInfo(1, 2, 3, 3).plus(StreamInfo(0, 0, None, None)) == StreamInfo(1, 2, 3, 3)
