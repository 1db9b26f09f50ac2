"""Writes one part: blocks, each in one write, so that a kill loses no more than one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo, Instant
from wsproxy.recording.encode import LEVEL, BlockEncoder
from wsproxy.recording.frames import BlockHead, PartHead
from wsproxy.recording.index import IndexBuilder


class PartWriter:
    """Begins a part, which must not exist, and appends to it.

    A failed write leaves the file as it was. Every method raises RecordingError, naming the file,
    where the system refuses; the constructor leaves nothing behind then.
    """

    def __init__(self, path: Path, head: PartHead, level: int = LEVEL) -> None:
        self.path = path
        self.head = head
        self.level = level
        self.size = 0
        self.records = 0
        self.latest = 0
        """The latest time of its records, wall clock, ns."""
        self._encoder = BlockEncoder(head.identity, level)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise RecordingError(f"{path} cannot be made: {error.strerror}") from None
        try:
            with suppress(OSError):  # not every file system has locks; they only inform readers
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._append(head.encode())
            self.sync()
            _sync_directory(path.parent)
        except RecordingError:
            os.close(self._fd)
            path.unlink(missing_ok=True)  # nothing is in it, and the next attempt needs it
            raise
        self._index = IndexBuilder(self.size)

    @property
    def began(self) -> Instant:
        """When the part was begun."""
        return Instant(self.head.wall_ns, self.head.mono_ns)

    def add_connection(self, connection: ConnectionInfo) -> None:
        """Say what a connection is, before the first record of it is written."""
        self._encoder.connections[connection.number] = connection

    def write(self, batches: Sequence[Batch]) -> BlockHead:
        """Append these batches as one block: at least one, none of them empty."""
        block = self._encoder.encode(batches, self.head.first_seq + self.records)
        self._append(block.data)
        self._index.add(block)
        self.records += block.head.count
        self.latest = max(self.latest, block.head.latest)
        return block.head

    def sync(self) -> None:
        """Wait until everything written is safe from a power loss."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be synced: {error.strerror}") from None

    def close(self) -> None:
        """Append INDEX and seek table, sync and close; a second call does nothing.

        A disk that has no room for the index is no error: the part can be read without it.
        """
        if self._fd < 0:
            return
        try:
            with suppress(RecordingError):
                self._append(self._index.encode(self._encoder.numbers, self._encoder.connections))
            self.sync()
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        at = self.size
        try:
            while rest:
                written = os.pwrite(self._fd, rest, at)
                at += written
                rest = rest[written:]
        except OSError as error:
            with suppress(OSError):  # no reader need see half a block; the next write covers it
                os.ftruncate(self._fd, self.size)
            raise RecordingError(f"{self.path} cannot be written: {error.strerror}") from None
        self.size = at


def _sync_directory(directory: Path) -> None:
    try:
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise RecordingError(f"{directory} cannot be synced: {error.strerror}") from None
