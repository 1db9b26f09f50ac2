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
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, Kind
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import BLOCK_BYTES, Writer, default_directory

RECORDS = expand([batch for block in three_blocks() for batch in block])


def create(directory: Path) -> Writer:
    writer = Writer.create(directory, venues=["binance"], wall_ns=WALL, mono_ns=MONO)
    writer.add_connection(CONNECTIONS[0])
    return writer


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
