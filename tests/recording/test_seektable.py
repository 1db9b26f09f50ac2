"""What other readers of zstd's seekable format make of a part."""

from __future__ import annotations

import shutil
import struct
import subprocess
from array import array
from pathlib import Path

import pytest
from pyzstd import SeekableZstdFile

from tests.recording.support import expand, record, three_blocks
from wsproxy.recording.part import Part
from wsproxy.recording.seektable import TAIL_BYTES, encode, last_frame, table_bytes

BLOCKS = three_blocks()
PAYLOADS = b"".join(m.payload for block in BLOCKS for m in expand(block))


def never(damage: Exception) -> None:
    raise damage


def contents(path: Path) -> list[bytes]:
    """What each block decompresses to, as the reader has it."""
    import zstandard

    with Part(path, never) as part:
        data = path.read_bytes()
        return [
            zstandard.ZstdDecompressor().decompress(data[place.block : place.end])
            for place in part.places()
        ]


def test_pyzstd_reads_a_part_from_any_position(tmp_path: Path) -> None:
    path = record(tmp_path / "r", BLOCKS)
    whole = b"".join(contents(path))
    with SeekableZstdFile(path) as file:
        assert file.read() == whole
        for position in range(len(whole)):
            file.seek(position)
            assert file.read(50) == whole[position : position + 50]
        told = file.seek_table_info
    assert told is not None
    frames, compressed, decompressed = told
    assert frames == 1 + 2 * len(BLOCKS) + 1  # HEAD, each block with its head, INDEX
    assert compressed == path.stat().st_size - table_bytes(frames)
    assert decompressed == len(whole)


def test_an_empty_part_is_seekable_too(tmp_path: Path) -> None:
    with SeekableZstdFile(record(tmp_path / "r", [])) as file:
        assert file.read() == b""


@pytest.mark.skipif(shutil.which("zstd") is None, reason="the zstd tool is not installed")
def test_the_zstd_tool_reads_a_part(tmp_path: Path) -> None:
    path = record(tmp_path / "r", BLOCKS)
    subprocess.run(["zstd", "-tq", path], check=True)
    result = subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE)
    assert result.stdout == b"".join(contents(path))


def test_a_table_is_laid_out_as_zstd_says() -> None:
    table = encode(array("I", [100, 0, 200, 1000]))
    assert table == struct.pack(
        "<II4IIBI", 0x184D2A5E, 4 * 4 + 9, 100, 0, 200, 1000, 2, 0, 0x8F92EAB1
    )
    assert len(table) == table_bytes(2)
    assert last_frame(table[-TAIL_BYTES:], 300 + len(table)) == 100


@pytest.mark.parametrize(
    ("tail", "file_bytes"),
    [
        (b"", 0),
        (bytes(TAIL_BYTES), 1000),
        (struct.pack("<IIIBI", 100, 0, 2**32 - 1, 0, 0x8F92EAB1), 1000),
        (struct.pack("<IIIBI", 2**32 - 1, 0, 2, 0, 0x8F92EAB1), 1000),
        (struct.pack("<IIIBI", 100, 0, 2, 128, 0x8F92EAB1), 1000),
    ],
)
def test_what_is_no_end_of_a_table_is_told(tail: bytes, file_bytes: int) -> None:
    assert last_frame(tail, file_bytes) is None
