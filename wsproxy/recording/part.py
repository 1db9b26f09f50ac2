"""Walks the frames of one part, and finds its way again behind damage."""

from __future__ import annotations

import fcntl
import os
import re
import struct
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import StreamKey
from wsproxy.recording.decode import NOT_AS_SPECIFIED, Block
from wsproxy.recording.frames import (
    BLOCK_HEAD,
    HEAD,
    INDEX,
    MAGIC,
    PRELUDE,
    SEEK_TABLE,
    VERSION,
    BlockHead,
    PartHead,
    Prelude,
    checked_body,
    read_prelude,
)
from wsproxy.recording.index import Index
from wsproxy.recording.seektable import TAIL_BYTES, last_frame

_BLOCK_HEAD = re.compile(re.escape(MAGIC) + b"...." + BLOCK_HEAD, re.DOTALL)
_SEEK_MAGIC = struct.pack("<I", SEEK_TABLE)
_WINDOW = 1 << 20


class Place(NamedTuple):
    """Where a block lies in its part."""

    offset: int
    """Of its BLOCK_HEAD."""
    block: int
    """Of the BLOCK itself."""
    head: BlockHead

    @property
    def end(self) -> int:
        """The offset of whatever follows."""
        return self.block + self.head.block_bytes


class Part:
    """One open part. What is wrong with it goes to ``report``, which may raise.

    The file may still be growing: what is appended after it was opened is not seen.

    Raises RecordingError if the file cannot be read, is no part of a recording, or is of a
    version that this reader does not know.
    """

    def __init__(self, path: Path, report: Callable[[DamagedRecording], None]) -> None:
        self.path = path
        self.cut = 0
        """Bytes at the end that are the beginning of a block never finished; known after a walk."""
        self.next_seq: int | None = None
        """The sequence number that the next record must have; None after damage."""
        self.head: PartHead | None = None
        """None where the file ends within it, or where it is damaged."""
        self._report = report
        self._mark: bytes | None = None
        self._table: tuple[int, int] | None = None
        """Size and CRC32 that the seek table must have, once the index told."""
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RecordingError(f"{path} cannot be read: {error.strerror}") from None
        try:
            self.size = os.fstat(self._fd).st_size
            self._begin = self._read_head()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Part:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def follow(self, before: Part | None) -> None:
        """Check that this part continues where the one before it, if any, ended."""
        if before is None or before.head is None or self.head is None:
            return
        if self.head.identity != before.head.identity:
            self._report(self._damage(0, "it belongs to another recording than the part before"))
        elif before.next_seq is not None and before.next_seq != self.head.first_seq:
            lost = f"{before.next_seq} to {self.head.first_seq - 1}"
            self._report(self._damage(0, f"records {lost}, before this part, are lost"))

    @cached_property
    def index(self) -> Index | None:
        """What the part holds altogether; None where it was not closed in order, or is damaged.

        Found from the end of the file: no block is read for it.
        """
        tail = self._pread(max(0, self.size - TAIL_BYTES), TAIL_BYTES)
        offset = last_frame(tail, self.size)
        if offset is None:
            return None
        try:
            prelude, body = self._frame(offset)
            if prelude.tag != INDEX:
                raise self._damage(offset, "there is no index where the seek table says")
            return self._read_index(offset, body)
        except DamagedRecording as damage:
            self._report(self._damage(offset, damage.why))
            return None

    def places(
        self,
        start: int | None = None,
        end: int | None = None,
        streams: Collection[StreamKey] | None = None,
    ) -> Iterator[Place]:
        """Find blocks, in order, without decompressing any.

        Without arguments all, by a walk that notices whatever is wrong with the frames. Otherwise
        those that may hold a record of ``start`` ≤ time < ``end`` (wall clock, ns) and of one of
        the ``streams``, and some more: by the index, which leaves the others unread, or by the
        walk where there is none.
        """
        wants_all = start is None and end is None and streams is None
        if wants_all or self.index is None:
            return self._walk()
        return self._indexed(self.index, self.index.blocks(start, end, streams))

    def resume(self, offset: int, next_seq: int) -> Iterator[Place]:
        """Find the blocks behind those that an earlier walk found: ``next_seq`` was theirs then."""
        self.next_seq = next_seq
        return self._walk(offset)

    @property
    def is_being_written(self) -> bool:
        """Whether a process that lives is writing it; False also where the system cannot tell."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def place(self, number: int) -> Place | None:
        """The block of this number in the index; None if it is damaged, once that is reported.

        Raises LookupError if there is no such block.
        """
        if self.index is None:
            raise LookupError(f"{self.path} has no index")
        offset, seq = self.index.offsets[number], self.index.seqs[number]
        try:
            found = self._at(offset)
            if not isinstance(found, Place) or found.head.first_seq != seq:
                raise self._damage(offset, "the index promises another block")
        except DamagedRecording as damage:
            self._report(self._damage(offset, damage.why))
            return None
        return found

    def _indexed(self, index: Index, numbers: Iterable[int]) -> Iterator[Place]:
        yield from filter(None, map(self.place, numbers))
        if self.head is not None:
            self.next_seq = self.head.first_seq + index.records

    def _walk(self, begin: int | None = None) -> Iterator[Place]:
        """Find every block, from an offset on if one is given, by reading every frame."""
        offset = search_from = self._begin if begin is None else begin
        while offset < self.size:
            try:
                found = self._at(offset)
            except DamagedRecording as damage:
                cut = isinstance(damage, _Cut)
                onward = self._search(offset + 1 if cut else search_from)
                if cut and onward is None:
                    self.cut = self.size - offset
                    return
                self.next_seq = None
                self._report(damage)
                if onward is None:
                    return
                offset = onward
                continue
            if isinstance(found, Place):
                self._check_order(found)
                yield found
                search_from = found.block
                offset = found.end
            else:
                offset = found

    def load(self, place: Place) -> Block | None:
        """The block there; None if it is damaged, once that is reported."""
        try:
            return Block(place.head, self._pread(place.block, place.head.block_bytes))
        except NOT_AS_SPECIFIED as error:
            self._report(DamagedRecording(str(self.path), place.offset, str(error)))
            return None

    def _check_order(self, place: Place) -> None:
        first = place.head.first_seq
        expected = first if self.next_seq is None else self.next_seq
        self.next_seq = first + place.head.count
        if first > expected:
            self._report(self._damage(place.offset, f"records {expected} to {first - 1} are lost"))
        elif first < expected:
            self._report(self._damage(place.offset, f"records from {first} on are there twice"))

    def _read_head(self) -> int:
        """Understand the part's HEAD; the offset of what follows."""
        try:
            prelude, body = self._frame(0)
            if prelude.tag != HEAD:
                raise self._damage(0, "it does not begin with a head")
            major, minor = PartHead.version(body)
            if major != VERSION[0]:
                raise RecordingError(
                    f"{self.path} has format version {major}.{minor}; this wsproxy reads "
                    f"version {VERSION[0]}: use the one that wrote it, or a newer one"
                )
            self.head = PartHead.decode(body)
        except _Cut:
            return 0  # where the walk will find the cut
        except (DamagedRecording, *NOT_AS_SPECIFIED) as error:
            begin = self._search(0)
            if begin is None:
                raise RecordingError(f"{self.path} is not a recording") from None
            why = error.why if isinstance(error, DamagedRecording) else str(error)
            self._report(self._damage(0, why))
            return begin
        self._mark = self.head.identity[:4]
        self.next_seq = self.head.first_seq
        return PRELUDE.size + prelude.rest

    def _at(self, offset: int) -> Place | int:
        """The block at this offset, or the end of a frame that is not for us.

        Raises DamagedRecording; _Cut if the file ends within what is there.
        """
        magic = self._pread(offset, 8)
        if len(magic) == 8:
            number, size = struct.unpack("<II", magic)
            if number == SEEK_TABLE:
                return self._seek_table(offset, 8 + size)
        prelude, body = self._frame(offset)
        block = offset + PRELUDE.size + prelude.rest
        if prelude.tag != BLOCK_HEAD:
            if prelude.tag == INDEX:
                self._read_index(offset, body)
            return block
        place = Place(offset, block, self._block_head(offset, body))
        self._within(offset, place.end)
        return place

    def _read_index(self, offset: int, body: bytes) -> Index:
        try:
            index = Index.decode(body)
        except NOT_AS_SPECIFIED as error:
            raise self._damage(offset, f"the index is not as it should be: {error}") from None
        self._table = (index.seek_table_bytes, index.seek_table_crc)
        return index

    def _seek_table(self, offset: int, size: int) -> int:
        """The end of the seek table, which has no checksum but that in the index before it."""
        if self._table is None:
            return self._within(offset, offset + size)
        expected, crc = self._table
        if size == expected:
            end = self._within(offset, offset + size)
            if crc32(self._pread(offset, size)) == crc:
                return end
        raise self._damage(offset, "the seek table is not the one that the index knows")

    def _block_head(self, offset: int, body: bytes) -> BlockHead:
        try:
            head = BlockHead.decode(body)
        except NOT_AS_SPECIFIED as error:
            raise self._damage(offset, str(error)) from None
        if self._mark is None:
            self._mark = head.mark
        if head.mark != self._mark:
            raise self._damage(offset, "the block belongs to another recording")
        return head

    def _frame(self, offset: int) -> tuple[Prelude, bytes]:
        """The frame of wsproxy's own at this offset; raises as ``_at`` does."""
        data = self._pread(offset, PRELUDE.size)
        if len(data) < PRELUDE.size:
            if data[:4] not in (MAGIC[: len(data)], _SEEK_MAGIC[: len(data)]):
                raise self._damage(offset, "no frame begins here")
            raise self._cut(offset)
        try:
            prelude = read_prelude(data)
            self._within(offset, offset + PRELUDE.size + prelude.rest)
            return prelude, checked_body(self._pread(offset + PRELUDE.size, prelude.rest))
        except ValueError as error:
            raise self._damage(offset, str(error)) from None

    def _within(self, offset: int, end: int) -> int:
        if end > self.size:
            raise self._cut(offset)
        return end

    def _search(self, offset: int) -> int | None:
        """The offset of the first good BLOCK_HEAD from here on."""
        while window := self._pread(offset, _WINDOW):
            for match in _BLOCK_HEAD.finditer(window):
                at = offset + match.start()
                try:
                    self._block_head(at, self._frame(at)[1])
                except DamagedRecording:
                    continue
                return at
            if len(window) < PRELUDE.size:
                return None
            offset += len(window) - PRELUDE.size + 1
        return None

    def _pread(self, offset: int, size: int) -> bytes:
        try:
            return os.pread(self._fd, size, offset)
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be read: {error.strerror}") from None

    def _damage(self, offset: int, why: str) -> DamagedRecording:
        return DamagedRecording(str(self.path), offset, why)

    def _cut(self, offset: int) -> _Cut:
        return _Cut(str(self.path), offset, "the file ends in the middle of what begins here")


class _Cut(DamagedRecording):
    """The file ends within what begins at this offset: damage only if a block follows."""
