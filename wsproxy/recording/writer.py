"""Writes a recording: blocks, each in one write, so that a kill loses no more than one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from wsproxy import __version__
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo
from wsproxy.recording.encode import BlockEncoder
from wsproxy.recording.frames import PartHead

BLOCK_BYTES = 256 << 10
"""As large as a block gets before it is closed, unless told otherwise."""

PART_SUFFIX = ".wsr.zst"


def default_directory(root: Path, now_ns: int, venues: Sequence[str]) -> Path:
    """Make ``root/<UTC time>-<venues>``, with a number behind it if that is taken; return it.

    Raises RecordingError if it cannot be made.
    """
    time = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    name = "-".join([time, *venues])
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(f"{root} cannot be made: {error.strerror}") from None
    for number in count(1):
        directory = root / (name if number == 1 else f"{name}-{number}")
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise RecordingError(f"{directory} cannot be made: {error.strerror}") from None
        break
    return directory


class Writer:
    """Appends to a recording. Its methods block; one thread at a time may use them.

    A failed write leaves the file as it was, and the writer can be used again. Every method
    raises RecordingError, naming the file, where the system refuses.
    """

    def __init__(self, path: Path, fd: int, head: PartHead, block_bytes: int) -> None:
        self.path = path
        """The part that is being written."""
        self.bytes_written = 0
        self.records = 0
        self.raw_bytes = 0
        """The payload bytes of all records so far."""
        self._fd = fd
        self._block_bytes = block_bytes
        self._next_seq = head.first_seq
        self._encoder = BlockEncoder(head.identity)
        self._append(head.encode())

    @classmethod
    def create(
        cls,
        directory: Path,
        *,
        venues: Sequence[str],
        wall_ns: int,
        mono_ns: int,
        settings: Mapping[str, object] | None = None,
        identity: bytes | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> Writer:
        """Begin a recording in this directory, which is made if it is not there.

        ``wall_ns`` and ``mono_ns`` are both clocks at one instant; ``settings`` is what a later
        reader may want to know of how this was recorded. ``identity`` is 16 bytes, random unless
        given. The batch that brings a block's payloads to ``block_bytes`` closes it.

        Never overwrites: a directory that holds a recording is refused.
        """
        path = directory / f"{1:06}{PART_SUFFIX}"
        head = PartHead(
            identity=os.urandom(16) if identity is None else identity,
            part=1,
            first_seq=0,
            venues=tuple(venues),
            software=f"wsproxy {__version__}",
            wall_ns=wall_ns,
            mono_ns=mono_ns,
            settings={} if settings is None else settings,
        )
        if any(directory.glob(f"*{PART_SUFFIX}")):
            raise RecordingError(f"{directory} holds a recording already; choose another directory")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RecordingError(f"{path} cannot be made: {error.strerror}") from None
        try:
            writer = cls(path, fd, head, block_bytes)
            writer.sync()
            _sync_directory(directory)
        except RecordingError:
            os.close(fd)
            path.unlink(missing_ok=True)  # nothing is in it, and the next attempt needs the name
            raise
        return writer

    def add_connection(self, connection: ConnectionInfo) -> None:
        """Say what a connection is, before the first record of it is written."""
        self._encoder.connections[connection.number] = connection

    def write(self, batches: Iterable[Batch]) -> int:
        """Append these batches, as one block or as several; return the bytes on disk.

        Where that fails in the middle, the blocks before it stay: ``records`` says how far it
        came.
        """
        before = self.bytes_written
        for block in _blocks(batches, self._block_bytes):
            encoded = self._encoder.encode(block, self._next_seq)
            self._append(encoded.data)
            self._next_seq += encoded.records
            self.records += encoded.records
            self.raw_bytes += encoded.payload_bytes
        return self.bytes_written - before

    def sync(self) -> None:
        """Wait until everything written is safe from a power loss."""
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise RecordingError(f"{self.path} cannot be synced: {error.strerror}") from None

    def close(self) -> None:
        """Sync and close; a second call does nothing."""
        if self._fd < 0:
            return
        try:
            self.sync()
        finally:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        at = self.bytes_written
        try:
            while rest:
                written = os.pwrite(self._fd, rest, at)
                at += written
                rest = rest[written:]
        except OSError as error:
            with suppress(OSError):  # no reader need see half a block; the next write covers it
                os.ftruncate(self._fd, self.bytes_written)
            raise RecordingError(f"{self.path} cannot be written: {error.strerror}") from None
        self.bytes_written = at


def _blocks(batches: Iterable[Batch], block_bytes: int) -> Iterator[list[Batch]]:
    block: list[Batch] = []
    size = 0
    for batch in batches:
        if not batch.payloads:
            continue
        block.append(batch)
        size += sum(map(len, batch.payloads))
        if size >= block_bytes:
            yield block
            block, size = [], 0
    if block:
        yield block


def _sync_directory(directory: Path) -> None:
    try:
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        raise RecordingError(f"{directory} cannot be synced: {error.strerror}") from None
