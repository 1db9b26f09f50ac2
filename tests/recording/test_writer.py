from __future__ import annotations

import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import cbor2
import pytest

from tests.recording.support import CONNECTIONS, MONO, WALL, expand, read, record, three_blocks
from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Batch, Instant, Kind
from wsproxy.recording.events import read_event
from wsproxy.recording.part import Part
from wsproxy.recording.partwriter import PartWriter
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.retention import Retention
from wsproxy.recording.rotation import DAY_NS, Rotation
from wsproxy.recording.writer import BLOCK_BYTES, Writer, default_directory

RECORDS = expand([batch for block in three_blocks() for batch in block])


def create(directory: Path) -> Writer:
    writer = Writer.create(directory, venues=["binance"], wall_ns=WALL, mono_ns=MONO)
    writer.add_connection(CONNECTIONS[0])
    return writer


def parts(directory: Path) -> list[str]:
    return sorted(file.name.split(".")[0] for file in directory.iterdir())


def never(damage: DamagedRecording) -> None:
    raise damage


def noise(size: int) -> Batch:
    """A message that does not compress."""
    return Batch(Kind.MESSAGE, 1, WALL, MONO, [os.urandom(size)])


def test_what_is_written_is_counted(tmp_path: Path) -> None:
    writer = create(tmp_path / "r")
    head = writer.bytes_written
    assert head == writer.path.stat().st_size
    written = writer.write([Batch(Kind.MESSAGE, 1, WALL, MONO, [b"one", b"three"])])
    assert writer.bytes_written == head + written == writer.path.stat().st_size
    assert (writer.records, writer.raw_bytes) == (2, 8)
    assert writer.write([]) == writer.write([Batch(Kind.MESSAGE, 1, WALL, MONO, [])]) == 0
    writer.close()
    writer.close()
    assert writer.bytes_written == writer.path.stat().st_size > head + written


def test_blocks_can_be_read_before_the_writer_closes(tmp_path: Path) -> None:
    with create(tmp_path / "r") as writer:
        batch = Batch(Kind.MESSAGE, 1, WALL, MONO, [b"one"])
        writer.write([batch])
        assert read(tmp_path / "r") == expand([batch])


def test_a_batch_that_fills_a_block_closes_it(tmp_path: Path) -> None:
    half = Batch(Kind.MESSAGE, 1, WALL, MONO, [bytes(BLOCK_BYTES // 2)])
    with create(tmp_path / "r") as writer:
        writer.write([half] * 5)
    assert writer.path.read_bytes().count(b"WSPB") == 3
    assert read(tmp_path / "r") == expand([half] * 5)


def test_the_size_of_a_block_can_be_set(tmp_path: Path) -> None:
    batches = [Batch(Kind.MESSAGE, 0, WALL, MONO, [b"0123456789"])] * 7
    with Writer.create(
        tmp_path / "r", venues=[], wall_ns=WALL, mono_ns=MONO, block_bytes=30
    ) as writer:
        writer.write(batches)
    assert writer.path.read_bytes().count(b"WSPB") == 3


def test_only_the_owner_may_read_a_recording(tmp_path: Path) -> None:
    with create(tmp_path / "deep" / "r") as writer:
        assert stat.S_IMODE(writer.path.stat().st_mode) == 0o600
        assert stat.S_IMODE(writer.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["000001.wsr.zst", "000007.wsr.zst"])
def test_a_recording_is_never_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")
    with pytest.raises(RecordingError, match="holds a recording already"):
        create(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"precious"


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(RecordingError, match=r"file/r/000001.* cannot be made: Not a directory"):
        create(file / "r")
    for root in (file, file / "r"):
        with pytest.raises(RecordingError, match="cannot be made"):
            default_directory(root, WALL, [])


def test_runs_of_the_same_second_get_directories_of_their_own(tmp_path: Path) -> None:
    made = [default_directory(tmp_path / "new", WALL, ["binance", "coinbase"]) for _ in range(3)]
    name = "20240808T235415Z-binance-coinbase"
    assert [directory.name for directory in made] == [name, f"{name}-2", f"{name}-3"]
    for directory in made:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        create(directory).close()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_where_the_disk_is_full_the_file_stays_good_and_goes_on_later(tmp_path: Path) -> None:
    first, lost, last = noise(1000), noise(5000), noise(500)
    with create(tmp_path / "r") as writer:
        writer.write([first])
        size = writer.bytes_written
        with (
            file_size_limit(size + 2000),
            pytest.raises(RecordingError, match=r"000001\.wsr\.zst cannot be written: File too"),
        ):
            writer.write([lost])
        assert writer.path.stat().st_size == writer.bytes_written == size
        assert writer.records == 1
        writer.write([last])
    assert read(tmp_path / "r") == expand([first, last])
    assert open_recording(tmp_path / "r").info.damage == ()


def test_a_part_that_cannot_be_begun_leaves_nothing_behind(tmp_path: Path) -> None:
    with file_size_limit(10), pytest.raises(RecordingError, match="cannot be written"):
        create(tmp_path / "r")
    create(tmp_path / "r").close()


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: pwrite(fd, data[:7], at))
    path = record(tmp_path / "r", three_blocks())
    assert read(path) == RECORDS


def test_a_disk_that_cannot_sync_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    writer = create(tmp_path / "r")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordingError, match=r"000001.* cannot be synced: Input/output error"):
        writer.close()
    writer.close()


# --- rotation ----------------------------------------------------------------------------------


def text(index: int, wall_ns: int = WALL, mono_ns: int = MONO, connection: int = 1) -> Batch:
    return Batch(
        Kind.MESSAGE, connection, wall_ns, mono_ns, [b"%d" % index], None, [(f"s{index % 7}",)]
    )


def rotating(directory: Path, rotation: Rotation, retention: Retention | None = None) -> Writer:
    writer = Writer.create(
        directory,
        venues=["binance"],
        wall_ns=WALL,
        mono_ns=MONO,
        block_bytes=40,
        rotation=rotation,
        retention=retention,
    )
    for connection in CONNECTIONS:
        writer.add_connection(connection)
    return writer


def test_no_message_falls_between_parts(tmp_path: Path) -> None:
    batches = [text(index, connection=(1, 300)[index % 2]) for index in range(1000)]
    with rotating(tmp_path / "r", Rotation(bytes=2000)) as writer:
        written = sum(writer.write(batches[at : at + 70]) for at in range(0, 1000, 70))
    assert read(tmp_path / "r") == expand(batches)
    assert len(parts(tmp_path / "r")) > 5
    files = sorted((tmp_path / "r").iterdir())
    assert written < writer.bytes_written == sum(file.stat().st_size for file in files)
    heads = []
    for file in files:
        assert list(open_recording(file).messages())  # each is a recording by itself
        with Part(file, never) as part:
            assert part.index is not None
            assert part.head is not None
            heads.append(part.head)
    assert [head.part for head in heads] == list(range(1, len(files) + 1))
    assert len({head.identity for head in heads}) == 1
    assert open_recording(tmp_path / "r").info.damage == ()


def test_the_next_part_is_there_before_the_one_before_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    really = PartWriter.close

    def close(part: PartWriter) -> None:
        seen.append((part.path.name[:6], parts(tmp_path / "r")))
        really(part)

    monkeypatch.setattr(PartWriter, "close", close)
    with rotating(tmp_path / "r", Rotation(bytes=1)) as writer:
        writer.write([text(0)])
        writer.write([text(1)])
        assert seen == [("000001", ["000001", "000002"])]


def test_a_part_ends_at_midnight_utc_and_after_its_time(tmp_path: Path) -> None:
    midnight = (WALL // DAY_NS + 1) * DAY_NS
    batches = [text(0), text(1, midnight - 1), text(2, midnight), text(3, midnight + 5)]
    with rotating(tmp_path / "day", Rotation(daily=True)) as writer:
        writer.write(batches)
    counts = [len(read(file)) for file in sorted((tmp_path / "day").iterdir())]
    assert counts == [2, 2]
    batches = [text(n, mono_ns=MONO + n) for n in range(10)]
    with rotating(tmp_path / "time", Rotation(after_ns=4)) as writer:
        writer.write(batches)
    counts = [len(read(file)) for file in sorted((tmp_path / "time").iterdir())]
    assert counts == [4, 4, 2]
    with Part(tmp_path / "time" / "000002.wsr.zst", never) as part:
        assert part.head is not None
        assert (part.head.first_seq, part.head.mono_ns) == (4, MONO + 4)


def test_an_empty_part_is_never_ended(tmp_path: Path) -> None:
    with rotating(tmp_path / "r", Rotation(daily=True)) as writer:
        writer.write([text(0, WALL + 3 * DAY_NS)])
    assert parts(tmp_path / "r") == ["000001"]


def test_a_name_that_is_taken_is_not_overwritten_by_rotation(tmp_path: Path) -> None:
    with rotating(tmp_path / "r", Rotation(bytes=1)) as writer:
        writer.write([text(0)])
        (tmp_path / "r" / "000002.wsr.zst").write_bytes(b"precious")
        with pytest.raises(RecordingError, match=r"000002.* cannot be made: File exists"):
            writer.write([text(1)])
        assert (tmp_path / "r" / "000002.wsr.zst").read_bytes() == b"precious"
        assert writer.records == 1


# --- retention ---------------------------------------------------------------------------------


def test_the_oldest_parts_are_deleted_and_a_record_tells_of_it(tmp_path: Path) -> None:
    stranger = tmp_path / "r" / "notes.txt"
    limit = 5000
    with rotating(tmp_path / "r", Rotation(bytes=1000), Retention(bytes=limit)) as writer:
        stranger.touch()
        batches = [text(index) for index in range(300)]
        gone = []
        for at in range(0, 300, 20):
            writer.write(batches[at : at + 20])
            gone += writer.retain(Instant(WALL + at, MONO + at))
        size = sum(file.stat().st_size for file in (tmp_path / "r").iterdir())
        assert limit - 2000 < size <= limit + 500  # the record of the deletion comes on top
    assert stranger.exists()
    assert [found.part.part for found in gone] == list(range(1, len(gone) + 1))
    assert parts(tmp_path / "r")[0] == f"{len(gone) + 1:06}"
    kept = list(open_recording(tmp_path / "r").messages(kinds=[Kind.MESSAGE, Kind.DELETED]))
    told = [read_event(message.payload) for message in kept if message.kind is Kind.DELETED]
    last = gone[-1].part
    assert told[-1] == {
        "part": last.part,
        "seq": last.first_seq,
        "records": last.records,
        "bytes": last.size,
        "why": gone[-1].why,
    }
    assert [message.seq for message in kept] == list(
        range(last.first_seq + last.records, kept[-1].seq + 1)
    )


def test_a_disk_that_is_full_is_relieved_first_and_told_later(tmp_path: Path) -> None:
    policy = Retention(age_ns=0)
    with rotating(tmp_path / "r", Rotation(bytes=1), policy) as writer:
        writer.write([text(0), text(1), text(2)])
        with file_size_limit(1), pytest.raises(RecordingError):
            writer.retain(Instant(WALL + 10, MONO))
        assert parts(tmp_path / "r") == ["000003"]
        assert writer.retain(Instant(WALL, MONO)) == []
        assert writer.retain(Instant(WALL, MONO)) == []
    told = open_recording(tmp_path / "r").messages(kinds=[Kind.DELETED])
    assert [read_event(message.payload)["part"] for message in told] == [1, 2]


def test_without_a_limit_everything_stays(tmp_path: Path) -> None:
    with rotating(tmp_path / "r", Rotation(bytes=1)) as writer:
        for index in range(5):
            writer.write([text(index)])
            assert not writer.may_delete
            assert writer.retain(Instant(WALL + 100 * DAY_NS, MONO)) == []
    assert len(parts(tmp_path / "r")) == 5


def test_a_part_that_cannot_be_deleted_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *, missing_ok: bool) -> None:
        raise OSError(13, "Permission denied")

    with rotating(tmp_path / "r", Rotation(bytes=1), Retention(age_ns=0)) as writer:
        writer.write([text(0)])
        writer.write([text(1)])
        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", refuse)
            with pytest.raises(RecordingError, match=r"000001.* cannot be deleted: Permission"):
                writer.retain(Instant(WALL + 1, MONO))


def test_names_within_a_recording_are_no_paths(tmp_path: Path) -> None:
    evil = "../../evil"
    with Writer.create(tmp_path / "a" / "r", venues=[evil], wall_ns=1, mono_ns=1) as writer:
        writer.add_connection(CONNECTIONS[0]._replace(venue=evil))
        writer.write([Batch(Kind.MESSAGE, 1, 1, 1, [b""], None, [(evil,)])])
    assert [message.streams for message in read(tmp_path / "a" / "r")] == [(evil,)]
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "r", "000001.wsr.zst"]


# --- kill -9, zstd -----------------------------------------------------------------------------


WRITES_UNTIL_KILLED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    from wsproxy.model import Batch, Kind
    from wsproxy.recording.writer import Writer

    writer = Writer.create(Path(sys.argv[1]), venues=[], wall_ns=1, mono_ns=1)
    number = 0
    while True:
        numbers = range(number, number + 500)
        writer.write([Batch(Kind.MESSAGE, 0, 1, 1, [b"%d" % (n * n) for n in numbers])])
        number += 500
        print(number, flush=True)
    """
)


@pytest.mark.parametrize("blocks", [1, 2, 7, 30, 101])
def test_after_kill_9_everything_written_is_there(tmp_path: Path, blocks: int) -> None:
    command = [sys.executable, "-c", WRITES_UNTIL_KILLED, str(tmp_path / "r")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(blocks):
            promised = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.stdout.read()
    records = read(tmp_path / "r")
    assert len(records) >= promised
    assert [record.payload for record in records] == [b"%d" % (n * n) for n in range(len(records))]
    assert open_recording(tmp_path / "r").info.damage == ()


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd tool is not installed")
def test_the_zstd_tool_reads_a_part_as_a_cbor_sequence(tmp_path: Path) -> None:
    path = record(tmp_path / "r", three_blocks())
    subprocess.run(["zstd", "-tq", path], check=True)
    result = subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE)
    sequence = BytesIO(result.stdout)
    blocks = [cbor2.load(sequence) for _ in three_blocks()]
    assert sequence.read() == b""
    payloads = b"".join(block["payload"] for block in blocks)
    assert payloads == b"".join(record.payload for record in RECORDS)
