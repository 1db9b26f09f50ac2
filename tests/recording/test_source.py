from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.recording.support import CONNECTIONS, MONO, WALL, record, three_blocks
from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Batch, Kind, StreamKey
from wsproxy.recording.decode import Selection
from wsproxy.recording.reader import Recording
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.source import Source

SECOND = 10**9


def many_blocks(count: int, payload: bytes = b"x") -> list[list[Batch]]:
    """A block a second; the last message of each has a stream of its own."""
    return [
        [
            Batch(
                Kind.MESSAGE,
                1,
                WALL + at * SECOND,
                MONO + at * SECOND,
                [payload, payload],
                None,
                [("all",), (f"only-{at}",)],
            )
        ]
        for at in range(count)
    ]


@pytest.mark.parametrize(
    "seek",
    [
        lambda recording: next(recording.messages(start=WALL + 15 * SECOND)),
        lambda recording: next(recording.messages(start="+15s")),
        lambda recording: next(recording.batches("+15s")),
        lambda recording: next(recording.blocks(start="+15s")),
        lambda recording: next(recording.messages("only-15")),
        lambda recording: list(recording.messages("all", "+15s", "+16s")),
        lambda recording: recording.info,
    ],
)
def test_a_seek_reads_no_more_in_a_larger_recording(
    tmp_path: Path, reads: list[int], seek: Callable[[Recording], object]
) -> None:
    counts = []
    for size in (20, 500):
        path = record(tmp_path / f"{size}", many_blocks(size))
        reads.clear()
        seek(open_recording(path))
        counts.append(len(reads))
    assert counts[0] == counts[1] < 20


def test_without_an_index_the_heads_are_read(tmp_path: Path, reads: list[int]) -> None:
    path = record(tmp_path / "r", many_blocks(100), killed=True)
    reads.clear()
    assert len(list(open_recording(path).messages(start=WALL + 99 * SECOND))) == 2
    assert len(reads) > 100


@pytest.mark.parametrize("killed", [False, True])
def test_only_blocks_with_what_is_wanted_are_given(tmp_path: Path, killed: bool) -> None:
    path = record(tmp_path / "r", many_blocks(3), killed=killed)
    source = Source(path, skip_damage=False)
    times = Selection(start=WALL + SECOND, end=WALL + 2 * SECOND)
    assert [block.head.first_seq for block in source.blocks(times)] == [2]
    one = Selection(streams=frozenset({StreamKey("binance", "only-2")}))
    last = [block.head.first_seq for block in source.blocks(one)]
    assert last == ([0, 2, 4] if killed else [4])  # names stand in the blocks, and in the index


def test_near_is_no_start(tmp_path: Path) -> None:
    """The wall clock stepped back by 5 s: those records have no earlier place than they have."""
    blocks = many_blocks(3)
    blocks[2][0].wall_ns = WALL - 5 * SECOND
    source = Source(record(tmp_path / "r", blocks), skip_damage=False)
    near = source.blocks(Selection(end=WALL + 9 * SECOND), near=WALL + SECOND)
    assert [block.head.first_seq for block in near] == [2, 4]
    begun = source.blocks(Selection(start=WALL + SECOND, end=WALL + 9 * SECOND))
    assert [block.head.first_seq for block in begun] == [2]


def test_connections_are_raised_in_records_and_tables(tmp_path: Path) -> None:
    source = Source(record(tmp_path / "r", three_blocks()), skip_damage=False)
    source.first_connection = 1000
    everything = Selection()
    read = [m for block in source.blocks(everything) for m in block.messages(everything)]
    assert {message.connection for message in read} == {0, 1001, 1002, 1300}
    assert {message.venue for message in read if message.connection == 1002} == {"coinbase"}
    assert [info.number for info in source.connections.values()] == [1001, 1002, 1300]
    assert [info.url for info in source.connections.values()] == [c.url for c in CONNECTIONS]


def test_blocks_of_other_connections_are_left_out(tmp_path: Path) -> None:
    source = Source(record(tmp_path / "r", three_blocks()), skip_damage=False)
    source.first_connection = 1000
    wanted = Selection(connections=frozenset({1002}))
    blocks = list(source.blocks(wanted))
    read = [message for block in blocks for message in block.messages(wanted)]
    assert {message.connection for message in read} == {1002}
    assert 0 < len(blocks) < 3


def test_parts_backwards_are_the_parts(tmp_path: Path) -> None:
    path = record(tmp_path / "r", three_blocks())
    path.rename(path.with_name("000002.wsr.zst"))
    record(tmp_path / "other", many_blocks(1)).rename(path)
    source = Source(tmp_path / "r", skip_damage=True)
    names = [part.path.name for part in source.parts_backwards()]
    assert names == ["000002.wsr.zst", "000001.wsr.zst"]
    assert [part.path.name for part in source.parts()] == names[::-1]


def test_damage_is_noted_once_and_raised_unless_it_is_to_be_skipped(tmp_path: Path) -> None:
    path = record(tmp_path / "r", three_blocks())
    damage = DamagedRecording(str(path), 7, "why")
    tolerant = Source(path, skip_damage=True)
    for _ in range(2):
        tolerant.note(damage)
    assert list(tolerant.damage.values()) == [damage]
    strict = Source(path, skip_damage=False)
    with pytest.raises(DamagedRecording):
        strict.note(damage)
    assert list(strict.damage.values()) == [damage]


def test_what_is_no_recording_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        Source(tmp_path / "none", skip_damage=True)


def through_messages(recording: Recording) -> Iterator[object]:
    return recording.messages(kinds=None)


def through_batches(recording: Recording) -> Iterator[object]:
    return recording.batches()


def through_blocks(recording: Recording) -> Iterator[object]:
    return recording.blocks(kinds=None)


@pytest.mark.parametrize("through", [through_messages, through_batches, through_blocks])
@pytest.mark.parametrize("killed", [False, True])
def test_memory_is_that_of_a_few_blocks(
    tmp_path: Path, through: Callable[[Recording], Iterator[object]], killed: bool
) -> None:
    size = 100_000
    path = record(tmp_path / "r", many_blocks(64, bytes(size)), killed=killed)
    recording = open_recording(path)
    for _ in zip(through(recording), range(2), strict=False):
        pass  # what is imported and kept once is there now
    tracemalloc.start()
    try:
        count = sum(1 for _ in through(recording))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count >= 64
    assert peak < 5 * 2 * size  # of 64
