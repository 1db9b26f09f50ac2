from __future__ import annotations

import gzip
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording.damage import flip
from tests.recording.support import CONNECTIONS, MONO, WALL, batches, expand, record, three_blocks
from wsproxy.errors import ConfigError, DamagedRecording, RecordingError
from wsproxy.model import Batch, ConnectionInfo, Kind, StreamKey
from wsproxy.recording.decode import Block
from wsproxy.recording.part import Part, Place
from wsproxy.recording.reader import Recording
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.summary import StreamInfo
from wsproxy.recording.writer import Writer

RECORDS = expand([batch for block in three_blocks() for batch in block])
TRAFFIC = Path(__file__).parents[3] / "shared" / "traffic" / "streams"
SECOND = 10**9


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "r", three_blocks())


def never(damage: DamagedRecording) -> None:
    raise damage


def block_offsets(path: Path) -> list[int]:
    with Part(path, never) as part:
        return [place.block for place in part.places()]


@settings(deadline=None)
@given(st.lists(batches, max_size=4), st.booleans())
def test_any_batches_are_read_as_they_were_written(blocks: list[list[Batch]], killed: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = open_recording(record(Path(directory) / "r", blocks, killed=killed))
        written = expand([batch for block in blocks for batch in block])
        assert list(recording.messages(kinds=None)) == written
        assert expand(recording.batches()) == written
        runs = recording.runs()
        assert runs is not None
        assert [p for run in runs for p in run.payloads] == [m.payload for m in written]
        counted = {key: info.messages for key, info in recording.streams.items()}
        named = [
            (StreamKey(message.venue, name), message.kind)
            for message in written
            for name in message.streams
        ]
        assert counted == {key: named.count((key, Kind.MESSAGE)) for key, _ in named}


@settings(deadline=None)
@given(st.lists(batches, max_size=4), st.booleans(), st.sets(st.sampled_from(Kind)), st.data())
def test_a_selection_is_what_a_plain_loop_would_select(
    blocks: list[list[Batch]], killed: bool, kinds: set[Kind], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = open_recording(record(Path(directory) / "r", blocks, killed=killed))
        written = expand([batch for block in blocks for batch in block])
        times = st.none() | st.sampled_from([0, *(message.time for message in written)])
        start, end = data.draw(times), data.draw(times)
        known = sorted(recording.streams)
        streams = data.draw(st.none() | st.sets(st.sampled_from(known))) if known else None
        assert list(recording.messages(streams, start, end, kinds)) == [
            message
            for message in written
            if message.kind in kinds
            and (start is None or start <= message.time)
            and (end is None or message.time < end)
            and (
                streams is None
                or any(StreamKey(message.venue, name) in streams for name in message.streams)
            )
        ]


def test_info_says_what_a_recording_holds(path: Path) -> None:
    info = open_recording(path.parent).info
    assert info.path == path.parent
    assert (info.parts, info.records) == (1, 8)
    assert info.disk_bytes == path.stat().st_size
    assert info.raw_bytes == sum(len(message.payload) for message in RECORDS)
    assert (info.first, info.last) == (WALL, WALL + 9 * SECOND)
    assert info.duration == 9 * SECOND
    assert info.connections == CONNECTIONS
    assert info.venues == ("binance", "coinbase")
    assert (info.cut, info.damage) == (0, ())


def test_streams_say_what_there_is_of_each(path: Path) -> None:
    at = WALL + SECOND
    assert open_recording(path).streams == {
        StreamKey("binance", "btcusdt@trade"): StreamInfo(2, 9, at, at),
        StreamKey("binance", "ethusdt@trade"): StreamInfo(1, 2, at, at),
        StreamKey("coinbase", "l2"): StreamInfo(1, 1, at + SECOND, at + SECOND),
    }


def test_first_and_last_are_found_over_many_blocks(tmp_path: Path) -> None:
    def message(at: int, *names: str) -> list[Batch]:
        return [Batch(Kind.MESSAGE, 1, WALL + at, MONO, [b"x"], None, [names])]

    asked = [Batch(Kind.SUBSCRIBED, 1, WALL, MONO, [b"\xa0"], None, [("a", "b", "c")])]
    blocks = [asked, *(message(at, "a") for at in range(1, 9)), message(9, "b"), message(10)]
    streams = open_recording(record(tmp_path / "r", blocks)).streams
    assert streams[StreamKey("binance", "a")] == StreamInfo(8, 8, WALL + 1, WALL + 8)
    assert streams[StreamKey("binance", "b")] == StreamInfo(1, 1, WALL + 9, WALL + 9)
    assert streams[StreamKey("binance", "c")] == StreamInfo(0, 0, None, None)


def test_an_empty_recording_is_one(tmp_path: Path) -> None:
    recording = open_recording(record(tmp_path / "r", []))
    assert list(recording.messages(start="+1s")) == []
    assert (recording.info.first, recording.info.duration, recording.streams) == (None, 0, {})


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ("binance:btcusdt@trade", [1, 3]),
        ("ethusdt@trade", [3]),
        (StreamKey("coinbase", "l2"), [4]),
        (["l2", "binance:ethusdt@trade"], [3, 4]),
        ([], []),
        (None, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_streams_are_chosen_by_key_or_text(path: Path, streams: None, expected: list[int]) -> None:
    assert [m.seq for m in open_recording(path).messages(streams)] == expected


def test_an_unknown_stream_names_those_that_are_close(path: Path) -> None:
    recording = open_recording(path)
    with pytest.raises(RecordingError, match=r"holds no stream btcusdt@trad; did you mean .*btcus"):
        recording.messages("btcusdt@trad")
    with pytest.raises(RecordingError, match="holds no stream coinbase:ethusdt@trade"):
        recording.messages(StreamKey("coinbase", "ethusdt@trade"))
    with pytest.raises(RecordingError, match=r"holds no stream zzz$"):
        recording.messages(["l2", "zzz"])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("+1s", "+2s", [1, 2, 3]),
        (WALL + 2 * SECOND, None, [4, 5, 6]),
        (None, timedelta(seconds=2), [1, 2, 3]),
        ("2024-08-08T23:54:17", datetime(2024, 8, 8, 23, 54, 18, tzinfo=UTC), [4]),
        ("+1h", None, []),
    ],
)
def test_times_choose_messages_and_batches(
    path: Path, start: str, end: str, expected: list[int]
) -> None:
    recording = open_recording(path)
    assert [message.seq for message in recording.messages(start=start, end=end)] == expected
    payloads = b"".join(RECORDS[seq].payload for seq in expected)
    chosen = [b for b in recording.batches(start, end) if b.kind == Kind.MESSAGE]
    assert b"".join(payload for batch in chosen for payload in batch.payloads) == payloads


def test_a_time_that_is_none_is_said_at_once(path: Path) -> None:
    with pytest.raises(ConfigError, match="'noon' is not a time"):
        open_recording(path).messages(start="noon")


def test_blocks_that_are_not_wanted_are_not_decompressed(path: Path) -> None:
    first, second, third = block_offsets(path)
    flip(path, second + 20)
    recording = open_recording(path)
    with pytest.raises(DamagedRecording):
        list(recording.messages())
    assert len(list(recording.messages(end="+2s"))) == 3
    assert len(list(recording.messages(start="+3s"))) == 2
    assert first < second < third


def test_messages_of_one_stream_skip_blocks_without_it(tmp_path: Path) -> None:
    def block(name: str) -> list[Batch]:
        return [Batch(Kind.MESSAGE, 1, WALL, MONO, [name.encode()], None, [(name,)])]

    path = record(tmp_path / "r", [block("a"), block("b"), block("b"), block("a")])
    flip(path, block_offsets(path)[2] + 20)
    assert [m.text for m in open_recording(path).messages("a")] == ["a", "a"]


def test_damage_raises_once_everything_before_it_is_given(path: Path) -> None:
    flip(path, block_offsets(path)[1] + 20)
    messages = open_recording(path).messages(kinds=None)
    assert list(islice(messages, 4)) == RECORDS[:4]
    with pytest.raises(DamagedRecording) as caught:
        next(messages)
    assert caught.value.path == str(path)
    assert caught.value.offset < block_offsets(path)[1]


def test_skipped_damage_is_listed(path: Path) -> None:
    flip(path, block_offsets(path)[2] + 20)
    recording = open_recording(path, damaged="skip")
    for _ in range(2):
        assert list(recording.messages(kinds=None)) == RECORDS[:5]
    assert [damage.why for damage in recording.info.damage] == [
        "the block's checksum does not match"
    ]


def test_a_damaged_head_does_not_hide_the_blocks(path: Path) -> None:
    flip(path, 30)
    recording = open_recording(path)
    with pytest.raises(DamagedRecording, match="damaged at byte 0"):
        list(recording.messages())
    assert [damage.offset for damage in recording.info.damage] == [0]
    assert recording.info.records == 8
    assert list(open_recording(path, damaged="skip").messages(kinds=None)) == RECORDS


def test_an_unfinished_block_is_the_end(tmp_path: Path) -> None:
    path = record(tmp_path / "r", three_blocks(), killed=True)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    recording = open_recording(path)
    assert list(recording.messages(kinds=None)) == RECORDS[:5]
    with Part(path, never) as part:
        end = [place.end for place in part.places()][-1]
    assert recording.info.cut == size - 1 - end
    assert recording.info.damage == ()


def test_what_is_no_recording_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path, why in [
        (tmp_path / "none", "none does not exist"),
        (tmp_path, r"holds no recording \(no files named 000001\.wsr\.zst\)"),
        (tmp_path / "notes.txt", r"notes\.txt is not a recording"),
    ]:
        with pytest.raises(RecordingError, match=why):
            open_recording(path)


def test_other_files_of_the_directory_are_no_parts(path: Path) -> None:
    (path.parent / "000002.wsr.zst.tmp").write_bytes(b"junk")
    (path.parent / "x000002.wsr.zst").write_bytes(b"junk")
    assert list(open_recording(path.parent).messages(kinds=None)) == RECORDS


def test_parts_are_read_in_order_and_a_stranger_among_them_is_reported(
    path: Path, tmp_path: Path
) -> None:
    record(tmp_path / "other", three_blocks()).rename(path.parent / "000010.wsr.zst")
    recording: Recording = open_recording(path.parent, damaged="skip")
    assert recording.info.parts == 2
    assert [m.payload for m in recording.messages(kinds=None)] == 2 * [m.payload for m in RECORDS]
    assert [Path(damage.path).name for damage in recording.info.damage] == ["000010.wsr.zst"]


@pytest.mark.skipif(not TRAFFIC.is_dir(), reason="no real traffic beside the project")
@pytest.mark.parametrize(
    "name",
    [
        "binance_futures__hftb-btcusdt_20240808",
        "coinbase__cf-20260809-coinbase_ws_2",
        "okcoin__cf-20210405-726568-a486",
    ],
)
def test_real_traffic_survives_byte_for_byte(tmp_path: Path, name: str) -> None:
    written = []
    with gzip.open(TRAFFIC / f"{name}.jsonl.gz") as lines:
        for row in map(json.loads, lines):
            if row["dir"] != "http":
                kind = Kind.MESSAGE if row["dir"] == "in" else Kind.REQUEST
                time = int(row["t"])
                written.append(Batch(kind, 1, time, time, [row["m"].encode()]))
    recording = open_recording(record(tmp_path / "r", [written]))
    assert list(recording.messages(kinds=None)) == expand(written)
    assert recording.info.disk_bytes < recording.info.raw_bytes


def one(at: int, payload: bytes, connection: int = 1) -> Batch:
    return Batch(Kind.MESSAGE, connection, WALL + at, MONO + at, [payload], None, [("s",)])


def several(tmp_path: Path, *recordings: list[Batch]) -> Recording:
    paths = []
    for number, written in enumerate(recordings):
        blocks = [written[at : at + 2] for at in range(0, len(written), 2)]
        paths.append(record(tmp_path / f"{number}", blocks).parent)
    return open_recording(paths)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 20)), min_size=1, max_size=4))
def test_several_recordings_are_merged_by_time_then_sequence(times: list[list[int]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recordings = [
            [one(at, b"%d" % index) for at in sorted(ts)] for index, ts in enumerate(times)
        ]
        recording = several(Path(directory), *recordings)
        expected = sorted(
            (at, seq, b"%d" % index)
            for index, ts in enumerate(times)
            for seq, at in enumerate(sorted(ts))
        )
        found = [(m.time - WALL, m.seq, m.payload) for m in recording.messages()]
        assert found == expected
        found_in_batches = [(b.wall_ns - WALL, len(b.payloads)) for b in recording.batches()]
        assert found_in_batches == sorted(found_in_batches, key=lambda pair: pair[0])
        assert sum(count for _, count in found_in_batches) == len(expected)
        begins = [int(block.time[0]) for block in recording.blocks()]
        assert begins == sorted(begins)
        assert recording.info.records == len(expected)


def test_recordings_that_do_not_overlap_are_read_one_after_the_other(
    tmp_path: Path, reads: list[int]
) -> None:
    later = [one(at, b"later") for at in range(100, 140)]
    sooner = [one(at, b"sooner") for at in range(20)]
    recording = several(tmp_path, later, sooner)
    assert recording.info.records == 60
    reads.clear()
    messages = recording.messages()
    assert [m.text for m in islice(messages, 20)] == ["sooner"] * 20
    before = len(reads)
    assert [m.text for m in messages] == ["later"] * 40
    assert before < len(reads) / 2


def test_connections_of_several_recordings_do_not_collide(tmp_path: Path) -> None:
    mine = [one(0, b"a"), one(5, b"b", connection=300), Batch(Kind.GAP, 0, WALL, MONO, [b"\xa0"])]
    recording = several(tmp_path, mine, mine)
    read = list(recording.messages(kinds=None))
    assert sorted(message.connection for message in read) == [0, 0, 1, 300, 301, 600]
    assert {info.number for info in recording.connections.values()} >= {1, 300, 301, 600}
    assert {number: info.number for number, info in recording.connections.items()} == {
        number: number for number in recording.connections
    }
    for message in read:
        if message.connection:
            assert recording.connections[message.connection].venue == message.venue
    assert {batch.connection for batch in recording.batches()} == {0, 1, 300, 301, 600}
    assert recording.runs() is None, "they have to be merged moment by moment"
    assert {number for block in recording.blocks() for number in block.connection.tolist()} == {
        1,
        300,
        301,
        600,
    }


def test_what_several_recordings_hold_adds_up(tmp_path: Path) -> None:
    recording = several(tmp_path, [one(7, b"abc")], [one(3, b"de")], [])
    assert recording.streams == {StreamKey("binance", "s"): StreamInfo(2, 5, WALL + 3, WALL + 7)}
    info = recording.info
    assert (info.parts, info.records, info.raw_bytes) == (3, 2, 5)
    assert (info.first, info.last, info.path) == (WALL + 3, WALL + 7, tmp_path / "0")
    assert [message.text for message in recording.messages(start="+1ns")] == ["abc"]


def test_nothing_is_no_recording() -> None:
    with pytest.raises(RecordingError, match="no recording was named"):
        open_recording([])


class Last:
    """The last message is the state."""

    def __init__(self) -> None:
        self.payload: bytes | None = None

    def feed(self, payload: bytes) -> None:
        self.payload = payload

    def snapshot(self) -> bytes | None:
        return self.payload


def test_a_state_comes_of_the_recording_that_covers_the_time(tmp_path: Path) -> None:
    paths = [
        record(tmp_path / name, [[one(at, name.encode())], [one(at + 1, b"")]])
        for name, at in (("tuesday", 100), ("monday", 0))
    ]
    recording = open_recording(paths, states=lambda _: Last())
    key = StreamKey("binance", "s")
    assert recording.state_at(WALL + 1) == {key: b"monday"}
    assert recording.state_at("+100ns", "s") == {key: b""}
    assert recording.state_at("+101ns", key) == {key: b"tuesday"}
    assert recording.state_at(WALL) == {}
    with pytest.raises(RecordingError, match="holds no stream x"):
        recording.state_at(WALL, "x")


def test_a_keyframe_before_the_first_message_is_a_state(tmp_path: Path) -> None:
    frame = Batch(Kind.KEYFRAME, 1, WALL, MONO, [b"all"], None, [("s",)])
    path = record(tmp_path / "r", [[frame], [one(9, b"more")]])
    recording = open_recording(path, states=lambda _: Last())
    assert recording.state_at("+5ns") == {StreamKey("binance", "s"): b"all"}


def test_a_later_recording_that_has_a_gap_ends_what_an_earlier_one_knew(tmp_path: Path) -> None:
    lost = Batch(Kind.GAP, 1, WALL + 7, MONO, [b"\xa0"], None, [("s",)])
    first = record(tmp_path / "1", [[one(0, b"old")]])
    second = record(tmp_path / "2", [[one(5, b"new")], [lost]])
    recording = open_recording([first, second], states=lambda _: Last())
    key = StreamKey("binance", "s")
    assert [recording.state_at(WALL + at) for at in (5, 6, 8)] == [{key: b"old"}, {key: b"new"}, {}]


def test_states_are_the_venues(path: Path) -> None:
    with pytest.raises(RecordingError, match=r"open .* with wsproxy\.open"):
        open_recording(path).state_at("+1s")


@pytest.mark.parametrize("is_apart", [True, False])
@pytest.mark.parametrize("killed", [False, True])
def test_attachments_are_found_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_apart: bool, killed: bool
) -> None:
    """Some stand on a connection of HTTP, some among messages, as other recorders have them."""

    def attached(at: int, connection: int) -> Batch:
        time = WALL + at * 10**9
        return Batch(Kind.ATTACHMENT, connection, time, at, [b"%d" % at], None, [()])

    places = (4, 4) if is_apart else (4, 1)
    with Writer.create(tmp_path / "r", venues=["x"], wall_ns=WALL, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "x", "wss://x"))
        writer.add_connection(ConnectionInfo(4, "x", "https://x"))
        for at in range(20):
            writer.write([one(at * 10**9, b"m")])
        for at, connection in zip((20, 21), places, strict=True):
            writer.write([attached(at, connection)])
        size = writer.bytes_written
    if killed:
        os.truncate(writer.path, size)
    recording = open_recording([tmp_path / "r", tmp_path / "r"])
    assert recording.info.records == 44
    loaded: list[int] = []
    load = Part.load

    def counting(part: Part, place: Place) -> Block | None:
        loaded.append(place.offset)
        return load(part, place)

    monkeypatch.setattr(Part, "load", counting)
    found = [(m.payload, m.connection) for m in recording.attachments()]
    last = places[1]
    assert found == [(b"20", 4), (b"21", last), (b"20", 8), (b"21", 4 + last)]
    assert (len(loaded) < 10) == (is_apart and not killed)
    there = [m.payload for m in recording.attachments(WALL + 21 * 10**9)]
    assert there == [b"21", b"21"]
