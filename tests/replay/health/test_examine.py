from __future__ import annotations

from pathlib import Path

import pytest

from tests.replay.health import support
from tests.replay.health.support import MS, SECOND, TRADES, WALL, record_all, trade
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, Kind, StreamKey
from wsproxy.recording import events as record
from wsproxy.recording.part import Part, Place
from wsproxy.replay.health.clock import Comparison
from wsproxy.replay.health.examine import Health, examine
from wsproxy.replay.health.grade import judge
from wsproxy.replay.health.stream import StreamHealth

KEY = StreamKey("binance", TRADES)


def _of(health: Health) -> StreamHealth:
    return health.streams[KEY]


def _last_block(part: Path) -> Place:
    with Part(part, print) as opened:
        return [*opened.places()][-1]


def test_a_bad_day(tmp_path: Path) -> None:
    health = examine(support.a_bad_day(tmp_path / "day"))
    stream = _of(health)
    assert (health.records, health.messages, health.gaps) == (755, 750, 1)
    assert health.damage == []
    assert stream.messages == 750
    assert (stream.cover.wanted, stream.cover.missing) == (100 * SECOND, 5_100 * MS)
    assert (stream.gaps, stream.cover.disconnects) == (1, 1)
    assert stream.numbers is not None
    assert (stream.numbers.covered, stream.numbers.holes, stream.numbers.missing) == (800, 1, 50)
    assert stream.silence.longest == (20 * SECOND, support.MONO + 70 * SECOND)
    assert stream.silence.usual == pytest.approx(100 * MS, rel=0.008)
    assert stream.silence.excess == 20
    latency = stream.latency
    assert (latency.count, stream.early) == (750, 0)
    assert (latency.smallest, latency.largest) == (20 * MS, 2 * SECOND)
    shares = (0.5, 0.99, 0.999)
    assert [latency.quantile(share) for share in shares] == [
        pytest.approx(20 * MS, rel=0.008),
        pytest.approx(20 * MS, rel=0.008),
        2 * SECOND,
    ]
    assert (health.clock.drift, health.clock.spread) == (0, 0)


def test_without_an_index_it_is_no_different(tmp_path: Path) -> None:
    directory = support.a_bad_day(tmp_path / "day")
    whole = examine(directory)
    part = directory / "000001.wsr.zst"
    last = _last_block(part)
    part.write_bytes(part.read_bytes()[: last.end])
    killed = examine(directory)
    assert (killed.records, killed.cut) == (755, 0)
    assert judge(killed) == judge(whole)


def test_a_clock_that_is_behind_the_venue(tmp_path: Path) -> None:
    trades = [trade(at * 10, at, sent=at * 10 + 1200 - at % 2) for at in range(1, 201)]
    stream = _of(examine(record_all(tmp_path / "r", trades)))
    assert (stream.early, stream.latency.smallest) == (200, -1200 * MS)
    assert stream.offset == pytest.approx(1200 * MS, rel=0.008)


def test_clock_records_and_a_clock_that_steps(tmp_path: Path) -> None:
    batches = [trade(0, 1), support.clock(10, 25, 5), trade(20, 2), support.clock(30, -60, 50)]
    for batch in batches[2:]:
        batch.wall_ns += 300 * MS
    clock = examine(record_all(tmp_path / "r", batches)).clock
    assert clock.comparisons == 2
    assert clock.worst == Comparison("pool.example", 25 * MS, 5 * MS)
    assert (clock.drift, clock.spread, clock.step) == (300 * MS, 300 * MS, 300 * MS)
    assert clock.step_at == WALL + 320 * MS


def test_the_monotonic_clock_is_no_other_clock(tmp_path: Path) -> None:
    payload = record.clock(support.MONO - WALL, 100, "monotonic")
    own = support.note(Kind.CLOCK, 0, 5, payload)
    assert examine(record_all(tmp_path / "r", [trade(0, 1), own])).clock.worst is None


def test_the_numbers_of_connections(tmp_path: Path) -> None:
    def beat(at: int, number: int) -> Batch:
        said = {"channel": "heartbeats", "sequence_num": number, "events": []}
        return support.message(said, "heartbeats", at=at, on=3)

    beats = [beat(at, number) for at, number in enumerate((0, 1, 5, 6))]
    health = examine(record_all(tmp_path / "r", beats))
    ((info, numbers),) = health.connections.items()
    assert (info.number, info.venue) == (3, "coinbase")
    assert (numbers.covered, numbers.holes, numbers.missing) == (7, 1, 3)


def test_gaps_of_a_connection_and_of_the_recording(tmp_path: Path) -> None:
    batches = [
        support.granted(0, TRADES),
        support.granted(0, "b@trade", on=2),
        support.gap(10, 20, on=1),
        support.gap(50, 90, on=0),
        trade(100, 1),
    ]
    health = examine(record_all(tmp_path / "r", batches))
    missing = [stream.cover.missing for stream in health.streams.values()]
    assert missing == [50 * MS, 40 * MS]
    assert health.gaps == 2


def test_only_some_streams(tmp_path: Path) -> None:
    batches = [trade(0, 1), support.message({}, "b@trade", at=5), trade(10, 2)]
    directory = record_all(tmp_path / "r", batches)
    health = examine(directory, {KEY})
    assert [*health.streams] == [KEY]
    assert (health.messages, health.records) == (2, 3)


def test_a_damaged_block_is_a_hole(tmp_path: Path) -> None:
    batches = [trade(at * 10, at) for at in range(60)]
    directory = record_all(tmp_path / "r", batches, block=20)
    part = directory / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0xFF  # in the second of three blocks
    part.write_bytes(content)
    health = examine(directory)
    assert (len(health.damage), health.lost_records, health.records) == (1, 20, 40)
    stream = _of(health)
    assert stream.cover.missing == 210 * MS  # from 190 to 400 ms
    assert stream.numbers is not None
    assert (stream.numbers.holes, stream.numbers.missing) == (1, 20)
    assert stream.silence.longest.length == 10 * MS


def test_a_recording_that_was_cut_off(tmp_path: Path) -> None:
    batches = [trade(at * 10, at) for at in range(60)]
    directory = record_all(tmp_path / "r", batches, block=20)
    part = directory / "000001.wsr.zst"
    part.write_bytes(part.read_bytes()[: _last_block(part).offset + 150])
    health = examine(directory)
    assert (health.damage, health.records) == ([], 40)
    assert health.cut == 150
    assert _of(health).cover.missing == 0


def test_events_that_cannot_be_understood_say_nothing(tmp_path: Path) -> None:
    broken = [
        support.note(kind, 1, at, b"\xff", TRADES)
        for at, kind in enumerate((Kind.GAP, Kind.CLOCK, Kind.CLOSED))
    ]
    odd = support.note(Kind.GAP, 1, 5, b"\xa1\x65since\x61x", TRADES)
    health = examine(record_all(tmp_path / "r", [trade(0, 1), *broken, odd, trade(9, 2)]))
    assert (health.messages, health.gaps) == (2, 1)
    assert _of(health).cover.missing == 0


def test_an_observer_sees_messages_and_holes(tmp_path: Path) -> None:
    class Observer:
        def __init__(self) -> None:
            self.messages: list[tuple[StreamKey, int, int | None]] = []
            self.holes: list[tuple[StreamKey, int, int]] = []

        def message(self, key: StreamKey, now: int, latency: int | None) -> None:
            self.messages.append((key, now - support.MONO, latency))

        def hole(self, key: StreamKey, start: int, end: int) -> None:
            self.holes.append((key, start - support.MONO, end - support.MONO))

    batches = [trade(30, 1), support.gap(40, 50, TRADES), trade(60, 2)]
    observer = Observer()
    told: list[int] = []
    examine(record_all(tmp_path / "r", batches), observer=observer, progress=told.append)
    assert observer.messages == [(KEY, 30 * MS, 20 * MS), (KEY, 60 * MS, 20 * MS)]
    assert observer.holes == [(KEY, 40 * MS, 50 * MS)]
    assert told == [WALL + 60 * MS]


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recording"):
        examine(tmp_path)
