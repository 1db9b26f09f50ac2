from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.recording.damage import BLOCKS, SECOND, block, flip, places, six_blocks
from tests.recording.support import MONO, WALL, digest, read
from wsproxy.errors import RecordingError
from wsproxy.model import Kind, Message
from wsproxy.recording.events import read_event
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.repair import repair
from wsproxy.recording.verify import verify


def payloads(*blocks: int) -> list[bytes]:
    return [payload for number in blocks for payload in block(number).payloads]


def split(path: Path) -> tuple[list[Message], list[Message]]:
    """The messages, and the gaps."""
    records = read(path)
    assert [record.seq for record in records] == list(range(len(records)))
    messages = [record for record in records if record.kind == Kind.MESSAGE]
    return messages, [record for record in records if record.kind == Kind.GAP]


@pytest.mark.parametrize("killed", [True, False])
def test_what_is_whole_is_copied(tmp_path: Path, killed: bool) -> None:
    six_blocks(tmp_path / "r", parts=2, killed=killed)
    written, losses = repair(tmp_path / "r", tmp_path / "out")
    assert (written.records, losses) == (60, [])
    assert digest(tmp_path / "out") == digest(tmp_path / "r")
    assert verify(tmp_path / "out").is_closed


def test_a_lost_block_becomes_a_gap_of_its_streams(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    flip(path, places(path)[3].block + 20)
    before = path.read_bytes()
    written, (loss,) = repair(path, tmp_path / "out")
    messages, (gap,) = split(tmp_path / "out")
    assert [message.payload for message in messages] == payloads(0, 1, 2, 4, 5)
    assert (gap.seq, written.records, loss.records) == (30, 51, 10)
    assert (gap.venue, gap.connection, gap.streams) == ("coinbase", 2, ("a", "b", "c"))
    assert (gap.time, gap.mono) == (WALL + 4 * SECOND, MONO + 4 * SECOND)
    assert read_event(gap.payload) == {
        "streams": ["a", "b", "c"],
        "since": WALL + 2 * SECOND,
        "missed": None,
        "why": "10 records could not be read: the block's checksum does not match",
    }
    assert path.read_bytes() == before
    verdict = verify(tmp_path / "out")
    assert (verdict.is_damaged, verdict.is_lossy, verdict.gaps) == (False, True, 1)


def test_where_only_the_count_is_known_every_stream_so_far_has_a_gap(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=True)
    flip(path, places(path)[3].offset + 30)
    repair(path, tmp_path / "out")
    messages, gaps = split(tmp_path / "out")
    assert len(messages) == 50
    assert [(gap.venue, gap.streams) for gap in gaps] == [
        ("binance", ("a", "b", "c")),
        ("coinbase", ("a", "b", "c")),
    ]


def test_a_loss_at_the_beginning_is_one_of_the_whole_recording(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=True)
    flip(path, places(path)[0].offset + 30)
    repair(path, tmp_path / "out")
    messages, (gap,) = split(tmp_path / "out")
    assert (gap.seq, gap.connection, gap.streams) == (0, 0, ())
    assert [message.payload for message in messages] == payloads(*range(1, BLOCKS))


def test_an_end_that_was_cut_off_becomes_a_gap(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r", killed=True)
    os.truncate(path, path.stat().st_size - 1)
    _, (loss,) = repair(path, tmp_path / "out")
    messages, gaps = split(tmp_path / "out")
    assert [message.payload for message in messages] == payloads(*range(5))
    assert {gap.time for gap in gaps} == {WALL + 4 * SECOND}
    why = str(read_event(gaps[0].payload)["why"])
    assert f"the last {loss.cut:,} bytes are a block that was never finished" in why
    assert read(tmp_path / "out")[-1].kind == Kind.GAP


def test_a_damaged_index_costs_nothing(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    before = digest(path)
    flip(path, places(path)[-1].end + 40)
    written, (loss,) = repair(path, tmp_path / "out")
    assert loss.is_harmless
    assert written.records == 60
    assert digest(tmp_path / "out") == before
    assert not verify(tmp_path / "out").is_lossy


def test_a_missing_part_and_a_damaged_head(tmp_path: Path) -> None:
    paths = six_blocks(tmp_path / "r", parts=3)
    paths[1].unlink()
    flip(paths[2], 30)
    repair(tmp_path / "r", tmp_path / "out")
    messages, gaps = split(tmp_path / "out")
    assert [message.payload for message in messages] == payloads(0, 1, 4, 5)
    assert gaps[0].seq == 20


def test_where_nothing_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    (path,) = six_blocks(tmp_path / "r")
    for place in places(path):
        flip(path, place.block + 20)
    repair(path, tmp_path / "out")
    messages, gaps = split(tmp_path / "out")
    assert (messages, len(gaps)) == ([], 1)
    (tmp_path / "none").write_bytes(b"x" * 1000)
    with pytest.raises(RecordingError, match="is not a recording"):
        repair(tmp_path / "none", tmp_path / "out2")


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    six_blocks(tmp_path / "r")
    six_blocks(tmp_path / "out")
    before = digest(tmp_path / "out")
    with pytest.raises(RecordingError, match="is there already"):
        repair(tmp_path / "r", tmp_path / "out")
    with pytest.raises(RecordingError, match="is there already"):
        repair(tmp_path / "r", tmp_path / "r")
    assert digest(tmp_path / "out") == before


def test_a_repaired_recording_tells_late_joiners_nothing_that_is_not_so(tmp_path: Path) -> None:
    """The gap ends what was known of the streams that it names."""

    class Sum:
        def __init__(self) -> None:
            self.known: bytes | None = None

        def feed(self, payload: bytes) -> None:
            self.known = payload

        def snapshot(self) -> bytes | None:
            return self.known

    (path,) = six_blocks(tmp_path / "r", killed=True)
    flip(path, places(path)[5].block + 20)
    repair(path, tmp_path / "out")
    recording = open_recording(tmp_path / "out", states=lambda _: Sum())
    known = recording.state_at(WALL + 10 * SECOND)
    assert {key.venue for key in known} == {"binance"}
