"""New recordings from old ones: nothing is lost, nothing is changed, nothing half done is left."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.traffic import BINANCE_MANY, load, requires_traffic
from tests.recording.support import CONNECTIONS, MONO, WALL, batches, digest, expand, read, record
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo, Instant, Kind, Message
from wsproxy.recording.cut import cut
from wsproxy.recording.reader import Recording
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.rewrite import Written, batched, made, rewrite
from wsproxy.recording.writer import Writer

SECOND = 10**9


def copy(recording: Recording, out: Path, **how: int) -> Written:
    """As ``merge`` and ``compact`` do."""
    return rewrite(
        recording.messages(kinds=None),
        recording.connections,
        out,
        venues=recording.info.venues,
        tool="test",
        **how,  # type: ignore[arg-type]
    )


def many(path: Path, count: int = 3_000, shift: int = 0) -> Path:
    """Messages of several connections and streams, in many blocks, with some events."""
    blocks = [
        [
            Batch(
                Kind.MESSAGE,
                CONNECTIONS[index % 3].number,
                WALL + shift + index * 10**6,
                MONO + shift + index * 10**6,
                [b'{"n":%d}' % index * (index % 7), b"same"],
                None if index % 5 else b"\1\2",
                [(f"s{index % 11}",), (f"s{index % 11}", "t")],
            )
            for index in range(start, start + 100)
        ]
        for start in range(0, count, 100)
    ]
    blocks[1].insert(7, Batch(Kind.GAP, 1, WALL + shift, MONO + shift, [b"\xa0"], None, [("s1",)]))
    record(path, blocks)
    return path


@given(st.lists(batches, min_size=1, max_size=4), st.integers(1, 60))
def test_any_records_are_copied_as_they_are(blocks: list[list[Batch]], block_bytes: int) -> None:
    written = expand([batch for block in blocks for batch in block])
    with tempfile.TemporaryDirectory() as directory:
        source = open_recording(record(Path(directory) / "a", blocks))
        out = Path(directory) / "b"
        if not written:
            with pytest.raises(RecordingError, match="would hold no records"):
                copy(source, out)
            return
        told = copy(source, out, block_bytes=block_bytes)
        anew = open_recording(out)
        assert list(anew.messages(kinds=None)) == written
        assert anew.connections.keys() == {message.connection for message in written} - {0}
        assert anew.connections.items() <= source.connections.items()
        assert told == (len(written), source.info.raw_bytes, anew.info.disk_bytes)


def test_kinds_of_later_versions_are_copied(tmp_path: Path) -> None:
    later = [Batch(200, 1, WALL, MONO, [b"x"]), Batch(Kind.MESSAGE, 1, WALL, MONO, [b"y"])]
    copy(open_recording(record(tmp_path / "a", [later])), tmp_path / "b")
    assert [(one.kind, one.payload) for one in read(tmp_path / "b")] == [
        (200, b"x"),
        (Kind.MESSAGE, b"y"),
    ]


def test_batches_hold_what_arrived_together_and_are_bounded() -> None:
    together = Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x" * 30] * 10, None, [("a",)] * 10)
    other = Batch(Kind.MESSAGE, 2, WALL, MONO, [b"\0"], b"\2", [("b",)])
    found = list(batched(expand([together, other]), most_bytes=100))
    assert [len(batch.payloads) for batch in found] == [3, 3, 3, 1, 1]
    assert [batch.opcodes for batch in found] == [None, None, None, None, b"\2"]
    assert expand(found) == expand([together, other])
    nothing = [made(Kind.MESSAGE, Instant(0, 0), CONNECTIONS[0], (), b"")] * 1_000
    assert max(len(batch.payloads) for batch in batched(nothing, most_bytes=1_000)) < 200


def test_the_new_recording_is_as_safe_as_the_old(tmp_path: Path) -> None:
    copy(open_recording(many(tmp_path / "a")), tmp_path / "b")
    (part,) = (tmp_path / "b").iterdir()
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o700
    assert stat.S_IMODE(part.stat().st_mode) == 0o600
    info = open_recording(tmp_path / "b").info
    assert info.kinds == {Kind.MESSAGE: 6_000, Kind.GAP: 1}, "it has an index"


def test_larger_blocks_and_a_higher_level_make_it_smaller(tmp_path: Path) -> None:
    source = open_recording(many(tmp_path / "a"))
    sizes = [
        copy(source, tmp_path / name, level=level, block_bytes=block_bytes).disk_bytes
        for name, level, block_bytes in (
            ("small", 1, 1 << 12),
            ("large", 1, 1 << 22),
            ("best", 19, 1 << 22),
        )
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3
    assert {digest(tmp_path / name) for name in ("small", "large", "best")} == {digest(source.path)}


def test_cut_merge_and_compact_change_no_payload(tmp_path: Path) -> None:
    source = many(tmp_path / "a")
    middle = WALL + 1_500 * 10**6 + 1
    cut(open_recording(source, states=lambda _: None), tmp_path / "one", end=middle)
    cut(open_recording(source, states=lambda _: None), tmp_path / "two", start=middle)
    copy(open_recording([tmp_path / "two", tmp_path / "one"]), tmp_path / "both")
    copy(open_recording(tmp_path / "both"), tmp_path / "compact", level=9, block_bytes=1 << 22)
    assert digest(tmp_path / "one") != digest(source)
    assert digest(tmp_path / "both") == digest(source)
    assert digest(tmp_path / "compact") == digest(source)


@requires_traffic
def test_real_traffic_stays_byte_for_byte(tmp_path: Path) -> None:
    lines = [line for line in load(BINANCE_MANY) if line.dir == "in"]
    times = [line.t or WALL + index for index, line in enumerate(lines)]
    assert times == sorted(times)
    prefix = len('{"stream":"')
    with Writer.create(tmp_path / "a", venues=["binance"], wall_ns=0, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "wss://venue"))
        writer.write(
            Batch(
                Kind.MESSAGE,
                1,
                time,
                time,
                [line.m.encode()],
                None,
                [(line.m[prefix : line.m.index('"', prefix)],)],
            )
            for time, line in zip(times, lines, strict=True)
        )
    middle = times[len(times) // 2]
    cut(open_recording(tmp_path / "a"), tmp_path / "one", end=middle)
    cut(open_recording(tmp_path / "a", states=lambda _: None), tmp_path / "two", start=middle)
    copy(open_recording([tmp_path / "one", tmp_path / "two"]), tmp_path / "both")
    told = copy(
        open_recording(tmp_path / "both"), tmp_path / "compact", level=9, block_bytes=1 << 22
    )
    assert digest(tmp_path / "compact") == digest(tmp_path / "both") == digest(tmp_path / "a")
    assert told.records == len(lines)


def test_several_are_merged_by_time_with_connections_of_their_own(tmp_path: Path) -> None:
    one = many(tmp_path / "one", 300)
    two = many(tmp_path / "two", 300, shift=500_000)
    together = open_recording([one, two])
    expected = list(together.messages(kinds=None))
    copy(together, tmp_path / "out")
    merged = read(tmp_path / "out")
    assert [one.time for one in expected if one.kind == Kind.MESSAGE] == sorted(
        [message.time for path in (one, two) for message in read(path) if message.kind == 1]
    )
    assert [message.seq for message in merged] == list(range(len(expected)))
    assert [(m.time, m.mono, m.connection, m.streams, m.payload) for m in merged] == [
        (m.time, m.mono, m.connection, m.streams, m.payload) for m in expected
    ]
    connections = open_recording(tmp_path / "out").connections
    assert sorted(connections) == [1, 2, 300, 301, 302, 600]
    assert connections[302].venue == "coinbase"


def test_monotonic_clocks_of_other_runs_are_brought_into_line(tmp_path: Path) -> None:
    for name, ahead, boot in (("one", 0, 10**12), ("two", SECOND // 2, 77)):
        with Writer.create(
            tmp_path / name, venues=["binance"], wall_ns=WALL + ahead, mono_ns=boot
        ) as writer:
            writer.add_connection(CONNECTIONS[0])
            writer.write(
                Batch(Kind.MESSAGE, 1, WALL + ahead + n * SECOND, boot + n * SECOND, [b"x"])
                for n in range(3)
            )
    copy(open_recording([tmp_path / "one", tmp_path / "two"]), tmp_path / "out")
    assert [message.mono for message in read(tmp_path / "out")] == [
        10**12 + n * SECOND // 2 for n in range(6)
    ]


def test_progress_is_told_in_times(tmp_path: Path) -> None:
    told: list[int] = []
    source = open_recording(many(tmp_path / "a", 300))
    rewrite(
        source.messages(), source.connections, tmp_path / "b",
        venues=[], tool="test", progress=told.append,
    )  # fmt: skip
    assert told == sorted(told)
    assert (told[0], told[-1]) == (source.info.first, source.info.last)


def test_a_connection_that_nobody_knows_has_its_venue(tmp_path: Path) -> None:
    stray = made(Kind.MESSAGE, Instant(WALL, MONO), CONNECTIONS[1], ("a",), b"x")
    rewrite([stray], {}, tmp_path / "b", venues=[], tool="test")
    assert open_recording(tmp_path / "b").connections == {2: ConnectionInfo(2, "coinbase", "")}


def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    source = many(tmp_path / "a")
    part = source / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    with pytest.raises(RecordingError, match="is damaged at byte"):
        copy(open_recording(source), tmp_path / "b")
    assert list(tmp_path.iterdir()) == [source]
    assert part.read_bytes() == content


_DYING = """
import os, signal, sys
from pathlib import Path
from wsproxy.recording.reader import open
from wsproxy.recording.rewrite import rewrite

source = open(sys.argv[1])
middle = source.info.first + source.info.duration // 2

def progress(time: int) -> None:
    if time > middle:
        os.kill(os.getpid(), signal.SIGKILL)

rewrite(source.messages(), source.connections, Path(sys.argv[2]), venues=[], tool="test",
        block_bytes=1000, progress=progress)
"""


def test_a_kill_in_the_middle_leaves_nothing_that_looks_complete(tmp_path: Path) -> None:
    source, out = many(tmp_path / "a"), tmp_path / "b"
    command = [sys.executable, "-c", _DYING, str(source), str(out)]
    ended = subprocess.run(command, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    (left,) = (path for path in tmp_path.iterdir() if path != source)
    assert left.name.startswith(".b.")
    assert left.suffix == ".unfinished"
    assert [path.name for path in left.iterdir()] == ["000001.wsr.zst"]
    copy(open_recording(source), out)
    assert digest(out) == digest(source)


def test_payloads_of_any_size_are_written(tmp_path: Path) -> None:
    large: list[Message] = expand(
        [Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x" * (3 << 20), b"y"] * 2)]
    )
    rewrite(iter(large), {1: CONNECTIONS[0]}, tmp_path / "b", venues=[], tool="test")
    assert read(tmp_path / "b") == large
