"""Files of lines, compressed or not, as chunks of whole lines. Memory stays bounded."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from wsproxy.errors import RecordingError

CHUNK_BYTES = 1 << 20
MAX_LINE_BYTES = 32 << 20
"""A longer line is refused: it would not fit into a block beside others."""

_ZSTD_STEP = 4096
"""Compressed bytes at once: zstandard does not let the decompressed size be limited."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


class CutShort(Exception):
    """The compressed file ends too early, or is damaged, behind what was given so far."""


def chunks(path: Path, progress: Callable[[int], object] | None = None) -> Iterator[bytes]:
    """The file's content; each chunk ends with a line, the last one maybe without line end.

    gzip and zstd are recognised by their first bytes. ``progress`` is told, now and then, how many
    bytes of the file were read since it was last told.

    Raises RecordingError if the file cannot be read, CutShort where its compression breaks off;
    everything that could be decompressed was given before, but for the line that is broken.
    """
    try:
        with path.open("rb") as file:
            yield from _whole_lines(_progressing(file, progress), path)
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}") from None


def _whole_lines(pieces: Iterator[bytes], path: Path) -> Iterator[bytes]:
    held = b""
    for piece in _gathered(_decompressed(pieces)):
        held += piece
        end = held.rfind(b"\n") + 1
        if end:
            yield held[:end]
        held = held[end:]
        if len(held) > MAX_LINE_BYTES:
            raise RecordingError(f"{path} has a line of more than {MAX_LINE_BYTES >> 20} MiB")
    if held:
        yield held


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, in pieces that are not small; all of them also before CutShort."""
    held: list[bytes] = []
    size = 0
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= CHUNK_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except CutShort:
        yield b"".join(held)
        raise
    yield b"".join(held)


def _progressing(file: BinaryIO, progress: Callable[[int], object] | None) -> Iterator[bytes]:
    while piece := file.read(CHUNK_BYTES >> 2):
        if progress is not None:
            progress(len(piece))
        yield piece


def _decompressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    first = next(pieces, b"")
    if first.startswith(_GZIP):
        return _gunzipped(first, pieces)
    if first.startswith(_ZSTD):
        return _unzstd(first, pieces)
    return _with(first, pieces)


def _with(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from pieces


def _gunzipped(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A file of one gzip member or several; no piece is larger than a chunk."""
    member = zlib.decompressobj(wbits=31)
    try:
        for piece in _with(first, pieces):
            data = piece
            while data:
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
                yield member.decompress(data, CHUNK_BYTES)
                data = member.unused_data if member.eof else member.unconsumed_tail
    except zlib.error as error:
        raise CutShort(f"its gzip stream is damaged: {error}") from None
    while not member.eof:  # what the last piece still holds back
        more = member.decompress(b"", CHUNK_BYTES)
        if not more:
            raise CutShort("its gzip stream was never finished")
        yield more


def _unzstd(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A file of one zstd frame or several."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    try:
        for piece in _with(first, pieces):
            for start in range(0, len(piece), _ZSTD_STEP):
                data = piece[start : start + _ZSTD_STEP]
                while data:
                    if frame.eof:
                        frame = zstandard.ZstdDecompressor().decompressobj()
                    yield frame.decompress(data)
                    data = frame.unused_data
    except zstandard.ZstdError as error:
        raise CutShort(f"its zstd stream is damaged: {error}") from None
    if not frame.eof:
        raise CutShort("its zstd stream was never finished")
