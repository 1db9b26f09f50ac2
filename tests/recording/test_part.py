"""Promises 1, 2 and 5 of docs/recording-format.md, byte by byte and bit by bit."""

from __future__ import annotations

import struct
from pathlib import Path
from zlib import crc32

import cbor2
import pytest

from tests.recording.support import WALL, expand, record, three_blocks
from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Message, StreamKey
from wsproxy.recording.decode import Selection
from wsproxy.recording.frames import PRELUDE, frame, read_prelude
from wsproxy.recording.part import Part, Place

RECORDS = expand([batch for block in three_blocks() for batch in block])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A part whose writer was killed: blocks only."""
    return record(tmp_path / "r", three_blocks(), killed=True)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A part that was closed in order: with INDEX and seek table."""
    return record(tmp_path / "closed", three_blocks())


class Walk:
    """Everything that a part says, read with damage skipped."""

    def __init__(self, path: Path) -> None:
        self.damage: list[DamagedRecording] = []
        self.records: list[Message] = []
        self.places: list[Place] = []
        with Part(path, self.damage.append) as part:
            for place in part.places():
                self.places.append(place)
                block = part.load(place)
                if block is not None:
                    self.records += block.messages(Selection())
        self.cut = part.cut


def test_a_sound_part_has_neither_damage_nor_cut(path: Path) -> None:
    walk = Walk(path)
    assert walk.records == RECORDS
    assert (walk.damage, walk.cut) == ([], 0)
    assert walk.places[-1].end == path.stat().st_size


def test_any_prefix_reads_as_a_prefix_and_says_what_is_cut(closed: Path) -> None:
    places, size_of_all = Walk(closed).places, closed.stat().st_size
    blocks_end = [place.end for place in places]
    ends = [0, places[0].offset, *blocks_end, index_end(closed), size_of_all]
    counts = [0, 0, 4, 5, 8, 8, 8]
    for size in range(size_of_all, -1, -1):
        with closed.open("r+b") as file:
            file.truncate(size)
        whole = max(index for index, end in enumerate(ends) if end <= size)
        walk = Walk(closed)
        assert walk.records == RECORDS[: counts[whole]]
        assert walk.cut == size - ends[whole]
        assert walk.damage == []


def test_every_flipped_bit_is_reported_and_costs_at_most_its_block(closed: Path) -> None:
    data = closed.read_bytes()
    places = Walk(closed).places
    end_of_index = index_end(closed)
    losses = {(): RECORDS, (0,): RECORDS[4:], (1,): RECORDS[:4] + RECORDS[5:], (2,): RECORDS[:5]}
    with closed.open("r+b", buffering=0) as file:
        for at in range(len(data)):
            hit = tuple(i for i, place in enumerate(places) if place.offset <= at < place.end)
            begins = max(
                begin
                for begin in (0, *(place.offset for place in places), places[-1].end, end_of_index)
                if begin <= at
            )
            for bit in range(8):
                file.seek(at)
                file.write(bytes([data[at] ^ 1 << bit]))
                walk = Walk(closed)
                assert walk.damage, f"bit {bit} of byte {at}"
                assert walk.cut == 0
                assert walk.records == losses[hit]
                assert walk.damage[0].offset == begins
            file.seek(at)
            file.write(data[at : at + 1])


def index_end(path: Path) -> int:
    """Where the INDEX ends."""
    with Part(path, never) as part:
        assert part.index is not None
        return path.stat().st_size - part.index.seek_table_bytes


def never(damage: DamagedRecording) -> None:
    raise damage


# --- by the index ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "streams", "found"),
    [
        (None, None, None, [0, 1, 2]),
        (WALL + 2 * 10**9, None, None, [1, 2]),
        (None, WALL + 2 * 10**9, None, [0]),
        (WALL + 2 * 10**9, WALL + 2 * 10**9 + 1, None, [1]),
        (WALL + 3 * 10**9, WALL + 4 * 10**9, None, []),
        (None, None, {StreamKey("coinbase", "l2")}, [1]),
        (None, None, {StreamKey("binance", "l2")}, []),
        (None, None, {StreamKey("coinbase", "l2"), StreamKey("binance", "ethusdt@trade")}, [0, 1]),
        (WALL + 2 * 10**9, None, {StreamKey("binance", "ethusdt@trade")}, []),
    ],
)
def test_the_index_finds_the_blocks_of_a_time_and_of_streams(
    closed: Path,
    start: int | None,
    end: int | None,
    streams: set[StreamKey] | None,
    found: list[int],
) -> None:
    every = Walk(closed).places
    with Part(closed, never) as part:
        assert list(part.places(start, end, streams)) == [every[number] for number in found]
        assert part.next_seq == 8


def test_a_part_without_an_index_is_walked(path: Path) -> None:
    with Part(path, never) as part:
        assert part.index is None
        assert len(list(part.places(start=WALL + 9 * 10**9))) == 3
        with pytest.raises(LookupError):
            part.place(0)


def test_only_what_is_wanted_is_read(closed: Path) -> None:
    places = Walk(closed).places
    data = bytearray(closed.read_bytes())
    data[places[0].offset : places[1].offset] = bytes(places[1].offset - places[0].offset)
    closed.write_bytes(data)
    with Part(closed, never) as part:
        assert list(part.places(start=WALL + 2 * 10**9)) == places[1:]


def test_damage_that_the_index_leads_to_is_reported_and_costs_its_block(closed: Path) -> None:
    places = Walk(closed).places
    data = bytearray(closed.read_bytes())
    data[places[1].offset + 20] ^= 1
    closed.write_bytes(data)
    damage: list[DamagedRecording] = []
    with Part(closed, damage.append) as part:
        assert list(part.places(end=WALL + 20 * 10**9)) == [places[0], places[2]]
    assert [found.offset for found in damage] == [places[1].offset]


def test_a_damaged_index_is_reported_and_the_part_is_walked(closed: Path) -> None:
    places = Walk(closed).places
    data = bytearray(closed.read_bytes())
    data[places[-1].end + 40] ^= 1
    closed.write_bytes(data)
    damage: list[DamagedRecording] = []
    with Part(closed, damage.append) as part:
        assert part.index is None
        assert [found.offset for found in damage] == [places[-1].end]
        assert list(part.places(start=WALL + 2 * 10**9)) == places


def test_an_index_that_lies_is_reported(closed: Path, tmp_path: Path) -> None:
    """Its checksums are right, but it is another part's."""
    other = record(tmp_path / "other", [three_blocks()[1], *three_blocks()])
    places = Walk(closed).places
    closed.write_bytes(
        closed.read_bytes()[: places[-1].end] + other.read_bytes()[Walk(other).places[-1].end :]
    )
    damage: list[DamagedRecording] = []
    with Part(closed, damage.append) as part:
        list(part.places(start=0))
    assert damage


def test_a_seek_table_that_asks_for_100_gb_is_none(closed: Path) -> None:
    data = bytearray(closed.read_bytes())
    data[-9:-5] = b"\xff\xff\xff\xff"
    closed.write_bytes(data)
    with Part(closed, never) as part:
        assert part.index is None
    assert [damage.why for damage in Walk(closed).damage] == [
        "the seek table is not the one that the index knows"
    ]


# --- blocks ------------------------------------------------------------------------------------


@pytest.mark.parametrize("added", [b"xy", b"junk" * 1000])
@pytest.mark.parametrize("block", [0, 1, 2])
def test_bytes_added_cost_one_block(path: Path, block: int, added: bytes) -> None:
    data = path.read_bytes()
    place = Walk(path).places[block]
    middle = place.block + 20
    path.write_bytes(data[:middle] + added + data[middle:])
    walk = Walk(path)
    lost = range(place.head.first_seq, place.head.first_seq + place.head.count)
    assert walk.damage
    assert walk.records == [record for record in RECORDS if record.seq not in lost]


@pytest.mark.parametrize("block", [0, 1])
def test_a_missing_byte_costs_one_block(path: Path, block: int) -> None:
    data = path.read_bytes()
    place = Walk(path).places[block]
    middle = place.block + 20
    path.write_bytes(data[:middle] + data[middle + 1 :])
    walk = Walk(path)
    lost = range(place.head.first_seq, place.head.first_seq + place.head.count)
    assert walk.damage
    assert walk.records == [record for record in RECORDS if record.seq not in lost]


def test_junk_larger_than_a_search_window_is_passed_over(path: Path) -> None:
    data = path.read_bytes()
    second = Walk(path).places[1].offset
    path.write_bytes(data[:second] + b"\x57\x2a\x4d\x18....WSPB" * 200_000 + data[second:])
    walk = Walk(path)
    assert walk.records == RECORDS
    assert [damage.offset for damage in walk.damage] == [second]


def test_a_missing_block_is_a_reported_hole(path: Path) -> None:
    data = path.read_bytes()
    second = Walk(path).places[1]
    path.write_bytes(data[: second.offset] + data[second.end :])
    walk = Walk(path)
    assert walk.records == RECORDS[:4] + RECORDS[5:]
    assert [damage.why for damage in walk.damage] == ["records 4 to 4 are lost"]


def test_a_block_that_is_there_twice_is_reported(path: Path) -> None:
    data = path.read_bytes()
    second = Walk(path).places[1]
    path.write_bytes(data[: second.end] + data[second.offset :])
    assert [damage.why for damage in Walk(path).damage] == ["records from 4 on are there twice"]


def test_a_block_of_another_recording_is_damage(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    first, second, _ = Walk(path).places
    stray = data[second.offset : second.end].replace(first.head.mark, b"\xff\xff\xff\xff")
    body = stray[PRELUDE.size : second.block - second.offset - 4]
    stray = stray.replace(
        body + stray[PRELUDE.size + len(body) :][:4], body + struct.pack("<I", crc32(body))
    )
    path.write_bytes(data[: second.offset] + stray + data[second.end :])
    walk = Walk(path)
    assert [damage.why for damage in walk.damage] == ["the block belongs to another recording"]
    assert walk.records == RECORDS[:4] + RECORDS[5:]


def test_frames_of_a_later_version_are_passed_over(path: Path) -> None:
    data = path.read_bytes()
    second = Walk(path).places[1].offset
    seek_table = struct.pack("<II", 0x184D2A5E, 9) + bytes(9)
    path.write_bytes(
        data[:second] + frame(b"WSPZ", b"later") + data[second:] + frame(b"WSPY", b"") + seek_table
    )
    walk = Walk(path)
    assert (walk.records, walk.damage, walk.cut) == (RECORDS, [], 0)


def test_a_block_that_asks_for_4_gb_is_damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    second = Walk(path).places[1]
    at = second.offset + PRELUDE.size
    end = second.block - 4
    data[at + 8 : at + 12] = b"\xff\xff\xff\xff"  # the block's length, with its checksum made good
    data[end : end + 4] = struct.pack("<I", crc32(data[at:end]))
    path.write_bytes(data)
    walk = Walk(path)
    assert [damage.why for damage in walk.damage] == ["the block's sizes are impossible"]
    assert walk.records == RECORDS[:4] + RECORDS[5:]


def head_changed(path: Path, version: bytes, **changes: object) -> None:
    """Give the part another head, whose checksums are right."""
    data = path.read_bytes()
    rest = read_prelude(data[: PRELUDE.size]).rest
    fields = cbor2.loads(data[PRELUDE.size + 4 : PRELUDE.size + rest - 4])
    head = frame(b"WSPH", version + cbor2.dumps(fields | changes))
    path.write_bytes(head + data[PRELUDE.size + rest :])


def test_a_later_minor_version_is_read(path: Path) -> None:
    head_changed(path, b"\1\0\11\0", later=True)
    assert Walk(path).records == RECORDS


def test_another_major_version_is_refused(path: Path) -> None:
    head_changed(path, b"\2\0\0\0")
    with pytest.raises(RecordingError, match=r"has format version 2\.0"):
        Walk(path)


def test_a_part_that_begins_later_than_the_one_before_ended_is_a_reported_hole(
    path: Path, tmp_path: Path
) -> None:
    later = record(tmp_path / "later", [], killed=True)
    head_changed(later, b"\1\0\0\0", part=2, seq=10)
    damage: list[DamagedRecording] = []
    with Part(path, damage.append) as before, Part(later, damage.append) as part:
        assert len(list(before.places())) == 3
        part.follow(before)
    assert [found.why for found in damage] == ["records 8 to 9, before this part, are lost"]


def test_a_part_of_another_recording_is_reported(path: Path, tmp_path: Path) -> None:
    other = record(tmp_path / "other", [])
    head_changed(other, b"\1\0\0\0", id=b"another record!!")
    damage: list[DamagedRecording] = []
    with Part(path, damage.append) as before, Part(other, damage.append) as part:
        part.follow(before)
    assert [found.offset for found in damage] == [0]


@pytest.mark.parametrize("data", [b"hello", b"\x28\xb5\x2f\xfd" + bytes(50), bytes(2_000_000)])
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(RecordingError, match="is not a recording"):
        Walk(path)


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RecordingError, match="cannot be read"):
            Walk(path)
