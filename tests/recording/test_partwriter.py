from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

import pytest

from tests.recording.support import CONNECTIONS, MONO, WALL, expand, read
from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Batch, Kind
from wsproxy.recording.frames import PartHead
from wsproxy.recording.part import Part
from wsproxy.recording.partwriter import PartWriter

HEAD = PartHead(
    identity=bytes(range(16)),
    part=1,
    first_seq=0,
    venues=("binance",),
    software="test",
    wall_ns=WALL,
    mono_ns=MONO,
    settings={},
)
BATCH = Batch(Kind.MESSAGE, 1, WALL + 5, MONO, [b"one", b"two"])


def begin(path: Path) -> PartWriter:
    part = PartWriter(path, HEAD)
    part.add_connection(CONNECTIONS[0])
    return part


def never(damage: DamagedRecording) -> None:
    raise damage


def test_blocks_are_counted(tmp_path: Path) -> None:
    part = begin(tmp_path / "000001.wsr.zst")
    assert part.began == (WALL, MONO)
    assert part.write([BATCH]).count == 2
    assert (part.records, part.latest) == (2, WALL + 5)
    assert part.size == part.path.stat().st_size
    part.close()
    part.close()
    assert read(part.path) == expand([BATCH])


def test_a_file_that_is_there_is_never_touched(tmp_path: Path) -> None:
    path = tmp_path / "000001.wsr.zst"
    path.write_bytes(b"precious")
    with pytest.raises(RecordingError, match="cannot be made: File exists"):
        begin(path)
    assert path.read_bytes() == b"precious"


def test_a_disk_without_room_for_the_index_leaves_a_part_without_one(tmp_path: Path) -> None:
    part = begin(tmp_path / "000001.wsr.zst")
    part.write([BATCH])
    size = part.size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, before[1]))
    try:
        part.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert part.path.stat().st_size == size
    assert read(part.path) == expand([BATCH])
    with Part(part.path, never) as again:
        assert again.index is None


def test_a_directory_that_cannot_be_synced_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = os.fsync

    def fail(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(5, "Input/output error")
        fsync(fd)

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordingError, match="cannot be synced: Input/output error"):
        begin(tmp_path / "000001.wsr.zst")
    assert list(tmp_path.iterdir()) == []
