from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.recording.support import MONO, WALL, record
from wsproxy.model import Batch, Kind, StreamKey
from wsproxy.recording import events
from wsproxy.recording.source import Source
from wsproxy.recording.state import State, states_at

A, B = StreamKey("binance", "a"), StreamKey("binance", "b")


class Sum:
    """A state that adds up; ``=5`` says all, ``+2`` means nothing before that."""

    def __init__(self) -> None:
        self.value: int | None = None

    def feed(self, payload: bytes) -> None:
        if payload.startswith(b"="):
            self.value = int(payload[1:])
        elif self.value is not None:
            self.value += int(payload)

    def snapshot(self) -> bytes | None:
        return None if self.value is None else b"=%d" % self.value


def sums(_: StreamKey) -> State:
    return Sum()


def one(at: int, payload: bytes, *streams: str, kind: Kind = Kind.MESSAGE) -> Batch:
    return Batch(kind, 1, WALL + at, MONO + at, [payload], None, [streams])


def keyframe(at: int, payload: bytes, *streams: str) -> Batch:
    return one(at, payload, *streams, kind=Kind.KEYFRAME)


def gap(at: int, *streams: str) -> Batch:
    return one(at, events.gap(streams, "lost", WALL), *streams, kind=Kind.GAP)


def source(directory: Path, blocks: Sequence[Sequence[Batch]], *, killed: bool = False) -> Source:
    return Source(record(directory / "r", blocks, killed=killed), skip_damage=False)


def at(source: Source, time: int, *keys: StreamKey) -> dict[StreamKey, bytes]:
    return states_at(source, WALL + time, keys or (A, B), sums)


@pytest.mark.parametrize("killed", [False, True])
def test_a_state_is_the_snapshot_and_the_messages_since(tmp_path: Path, killed: bool) -> None:
    blocks = [[one(1, b"+9", "a")], [one(2, b"=5", "a")], [one(3, b"+1", "a", "b")]]
    found = source(tmp_path, blocks, killed=killed)
    assert [at(found, time) for time in (1, 2, 3, 4, 99)] == [
        {},
        {},
        {A: b"=5"},
        {A: b"=6"},
        {A: b"=6"},
    ]


@pytest.mark.parametrize("killed", [False, True])
def test_the_last_keyframe_of_each_stream_begins(tmp_path: Path, killed: bool) -> None:
    blocks = [
        [one(1, b"=1", "a"), one(1, b"=1", "b")],
        [keyframe(2, b"=100", "a"), one(2, b"+1", "a"), one(2, b"+1", "b")],
        [one(3, b"+1", "a"), one(3, b"+1", "b")],
        [keyframe(4, b"=200", "b"), keyframe(4, b"=300", "b"), one(4, b"+1", "b")],
        [one(5, b"+1", "a", "b")],
        [keyframe(6, b"=0", "a", "b")],
    ]
    found = source(tmp_path, blocks, killed=killed)
    assert at(found, 3) == {A: b"=101", B: b"=2"}
    assert at(found, 6) == {A: b"=103", B: b"=302"}
    assert at(found, 7) == {A: b"=0", B: b"=0"}
    assert at(found, 6, B) == {B: b"=302"}


def test_a_gap_ends_what_is_known(tmp_path: Path) -> None:
    blocks = [
        [one(1, b"=1", "a", "b")],
        [gap(2, "a")],
        [one(3, b"+1", "a", "b")],
        [keyframe(4, b"=7", "a")],
        [gap(5, "b")],
    ]
    found = source(tmp_path, blocks)
    assert at(found, 4) == {B: b"=2"}
    assert at(found, 5) == {A: b"=7", B: b"=2"}
    assert at(found, 6) == {A: b"=7"}


def test_a_stream_without_state_is_left_out(tmp_path: Path) -> None:
    found = source(tmp_path, [[one(1, b"=1", "a", "b")]])
    assert states_at(found, WALL + 9, (A, B), lambda key: Sum() if key == B else None) == {B: b"=1"}


def test_messages_since_count_where_the_clock_stepped_back(tmp_path: Path) -> None:
    found = source(tmp_path, [[keyframe(50, b"=1", "a")], [one(20, b"+1", "a")]])
    assert at(found, 99) == {A: b"=2"}


def test_keyframes_of_earlier_parts_are_found(tmp_path: Path) -> None:
    first = source(tmp_path, [[keyframe(1, b"=1", "a"), keyframe(1, b"=1", "b")]]).path
    second = record(tmp_path / "x", [[keyframe(2, b"=2", "b")], [one(3, b"+1", "a", "b")]])
    second.rename(first.with_name("000002.wsr.zst"))
    assert at(Source(first.parent, skip_damage=True), 9) == {A: b"=2", B: b"=3"}


def test_what_is_before_the_keyframes_is_not_read(tmp_path: Path, reads: list[int]) -> None:
    counts = []
    for size in (10, 300):
        before = [[one(at, b"=1", "a")] for at in range(size)]
        after = [[keyframe(size, b"=5", "a")], [one(size + 1, b"+1", "a")]]
        found = source(tmp_path / f"{size}", [*before, *after])
        reads.clear()
        assert at(found, size + 2, A) == {A: b"=6"}
        counts.append(len(reads))
    assert counts[0] == counts[1] < 30
