"""zstd's seekable format: a table of a file's frames, itself a skippable frame, at its end.

zstd, contrib/seekable_format/zstd_seekable_compression_format.md, version 0.1.0 (11 April 2017).
Every frame has an entry, also those that decompress to nothing: readers add up the sizes.
"""

from __future__ import annotations

import struct
import sys
from array import array

from wsproxy.recording.frames import SEEK_TABLE

_HEADER = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_FOOTER_MAGIC = 0x8F92EAB1

TAIL_BYTES = _ENTRY.size + _FOOTER.size
"""The end of a seek table: its last entry and its footer."""


def encode(frames: array[int]) -> bytes:
    """The seek table of frames with these sizes: compressed and decompressed by turns."""
    little = frames
    if sys.byteorder == "big":
        little = frames[:]
        little.byteswap()
    footer = _FOOTER.pack(len(frames) // 2, 0, _FOOTER_MAGIC)
    size = len(little) * little.itemsize + len(footer)
    return b"".join((_HEADER.pack(SEEK_TABLE, size), little.tobytes(), footer))


def table_bytes(frames: int) -> int:
    """The size of a seek table of so many frames."""
    return _HEADER.size + frames * _ENTRY.size + _FOOTER.size


def last_frame(tail: bytes, file_bytes: int) -> int | None:
    """Where the last frame before the seek table begins, in a file of this size.

    ``tail`` are the file's last TAIL_BYTES; None if they are not the end of a seek table.
    """
    if len(tail) < TAIL_BYTES:
        return None
    compressed, _ = _ENTRY.unpack_from(tail)
    frames, descriptor, magic = _FOOTER.unpack_from(tail, _ENTRY.size)
    offset = file_bytes - table_bytes(frames) - compressed
    return offset if magic == _FOOTER_MAGIC and not descriptor and offset >= 0 else None
