from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from wsproxy.errors import RecordingError
from wsproxy.recording.formats import chunks as module
from wsproxy.recording.formats.chunks import CutShort, chunks

LINES = [b"%d %s" % (i, random.Random(i).randbytes(40).hex().encode()) for i in range(400)]
CONTENT = b"\n".join(LINES) + b"\n"

Compress = Callable[[bytes], bytes]
COMPRESSIONS: list[Compress] = [
    gzip.compress,
    zstandard.ZstdCompressor(write_checksum=True).compress,
]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 5000)
    monkeypatch.setattr(module, "_ZSTD_STEP", 100)


@pytest.mark.parametrize("compress", [bytes, *COMPRESSIONS])
def test_chunks_are_whole_lines(tmp_path: Path, compress: Compress) -> None:
    path = tmp_path / "file"
    path.write_bytes(compress(CONTENT))
    read: list[int] = []
    found = list(chunks(path, read.append))
    assert b"".join(found) == CONTENT
    assert all(chunk.endswith(b"\n") for chunk in found)
    if compress is not COMPRESSIONS[1]:  # zstd gives 128 KiB at once, however little is asked for
        assert len(found) > 10
        assert max(map(len, found)) < 3000
    assert sum(read) == path.stat().st_size


@pytest.mark.parametrize("compress", [bytes, *COMPRESSIONS])
def test_the_last_line_needs_no_end(tmp_path: Path, compress: Compress) -> None:
    path = tmp_path / "file"
    path.write_bytes(compress(CONTENT[:-1]))
    assert b"".join(chunks(path)) == CONTENT[:-1]


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_compressed_pieces_one_after_the_other(tmp_path: Path, compress: Compress) -> None:
    path = tmp_path / "file"
    path.write_bytes(compress(CONTENT[:777]) + compress(b"") + compress(CONTENT[777:]))
    assert b"".join(chunks(path)) == CONTENT


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_a_file_that_was_cut_gives_all_it_has(tmp_path: Path, compress: Compress) -> None:
    whole = compress(CONTENT)
    path = tmp_path / "file"
    for size in range(4, len(whole), 97):
        path.write_bytes(whole[:size])
        found: list[bytes] = []
        with pytest.raises(CutShort, match="never finished"):
            found.extend(chunks(path))
        assert CONTENT.startswith(b"".join(found))
        assert all(chunk.endswith(b"\n") for chunk in found)


@pytest.mark.parametrize("compress", COMPRESSIONS)
def test_a_damaged_file(tmp_path: Path, compress: Compress) -> None:
    damaged = bytearray(compress(CONTENT))
    damaged[-5:] = b"\0\0\0\0\0"
    path = tmp_path / "file"
    path.write_bytes(damaged)
    with pytest.raises(CutShort):
        list(chunks(path))


def test_a_line_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(b"x" * 10_000))
    with pytest.raises(RecordingError, match="a line of more than"):
        list(chunks(path))


def test_an_empty_file_and_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(RecordingError, match="cannot be read"):
        list(chunks(path))
    path.touch()
    assert list(chunks(path)) == []
