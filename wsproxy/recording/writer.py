"""Writes a recording: begins it, cuts it into parts, and deletes those that may not stay."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo, Instant, Kind
from wsproxy.recording import events as record
from wsproxy.recording.encode import LEVEL
from wsproxy.recording.frames import PartHead
from wsproxy.recording.partwriter import PartWriter
from wsproxy.recording.retention import Finished, Retention, Surplus
from wsproxy.recording.rotation import Rotation
from wsproxy.version import __version__

PART_SUFFIX = ".wsr.zst"

BLOCK_BYTES = 256 << 10
"""As large as a block gets before it is closed, unless told otherwise."""


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

    A failed write leaves the part as it was, and the writer can be used again. Every method
    raises RecordingError, naming the file, where the system refuses.
    """

    def __init__(
        self,
        part: PartWriter,
        *,
        block_bytes: int = BLOCK_BYTES,
        rotation: Rotation | None = None,
        retention: Retention | None = None,
    ) -> None:
        """Go on with the first part of a recording; ``create`` begins one."""
        self.records = 0
        self.raw_bytes = 0
        """The payload bytes of all records so far."""
        self._part = part
        self._finished: list[Finished] = []
        self._finished_bytes = 0
        self._connections: dict[int, ConnectionInfo] = {}
        self._block_bytes = block_bytes
        self._rotation = rotation or Rotation()
        self._retention = retention or Retention()
        self._untold: list[Surplus] = []

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
        level: int = LEVEL,
        block_bytes: int = BLOCK_BYTES,
        rotation: Rotation | None = None,
        retention: Retention | None = None,
    ) -> Writer:
        """Begin a recording in this directory, which is made if it is not there.

        ``wall_ns`` and ``mono_ns`` are both clocks at one instant; ``settings`` is what a later
        reader may want to know of how this was recorded. ``identity`` is 16 bytes, random unless
        given; ``level`` is zstd's. The batch that brings a block's payloads to ``block_bytes``
        closes it.

        Never overwrites: a directory that holds a recording is refused.
        """
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
        part = PartWriter(_path(directory, 1), head, level)
        return cls(part, block_bytes=block_bytes, rotation=rotation, retention=retention)

    @property
    def path(self) -> Path:
        """The part that is being written."""
        return self._part.path

    @property
    def bytes_written(self) -> int:
        """On disk, in all parts, also those that were deleted."""
        return self._finished_bytes + self._part.size

    @property
    def may_delete(self) -> bool:
        """Whether ``retain`` may ever delete a part."""
        return self._retention != Retention()

    def add_connection(self, connection: ConnectionInfo) -> None:
        """Say what a connection is, before the first record of it is written."""
        self._connections[connection.number] = connection
        self._part.add_connection(connection)

    def write(self, batches: Iterable[Batch]) -> int:
        """Append these batches, as one block or as several; return the bytes on disk.

        A batch with which a part is full begins the next one. Where that fails in the middle, the
        blocks before it stay: ``records`` says how far it came.
        """
        before = self.bytes_written
        is_timed = self._rotation.is_timed
        block: list[Batch] = []
        size = 0
        for batch in batches:
            if not batch.payloads:
                continue
            # Within a block nothing but time makes a part full, unless its HEAD does alone.
            if not block or is_timed or not self._part.records:
                at = Instant(batch.wall_ns, batch.mono_ns)
                if self._rotation.is_due(self._part.size, self._part.began, at):
                    self._write_block(block)
                    block, size = [], 0
                    self._rotate(at)
            block.append(batch)
            size += sum(map(len, batch.payloads))
            if size >= self._block_bytes:
                self._write_block(block)
                block, size = [], 0
        self._write_block(block)
        return self.bytes_written - before

    def sync(self) -> None:
        """Wait until everything written is safe from a power loss."""
        self._part.sync()

    def retain(self, now: Instant) -> list[Surplus]:
        """Delete the parts of this recording that may not stay; a record tells of each.

        They are deleted even if the disk is too full for the record, which is then written by
        a later call.
        """
        directory = self.path.parent
        try:
            disk = os.statvfs(directory)
        except OSError as error:
            raise RecordingError(f"{directory} cannot be looked at: {error.strerror}") from None
        surplus = list(
            self._retention.surplus(
                self._finished, self._part.size, now.wall_ns, disk.f_bavail * disk.f_frsize
            )
        )
        self._untold += surplus
        del self._finished[: len(surplus)]
        try:
            self._tell(now)
        finally:
            for gone, _ in surplus:
                _delete(gone.path)
        return surplus

    def close(self) -> None:
        """Sync and close; a second call does nothing."""
        self._part.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_block(self, block: list[Batch]) -> None:
        if block:
            head = self._part.write(block)
            self.records += head.count
            self.raw_bytes += head.payload_bytes

    def _rotate(self, at: Instant) -> None:
        """Go on in a new part, which is there before the old one is closed."""
        full = self._part
        if not full.records:
            return
        head = replace(
            full.head,
            part=full.head.part + 1,
            first_seq=full.head.first_seq + full.records,
            wall_ns=at.wall_ns,
            mono_ns=at.mono_ns,
        )
        self._part = PartWriter(_path(full.path.parent, head.part), head, full.level)
        for connection in self._connections.values():
            self._part.add_connection(connection)
        try:
            full.close()
        finally:
            self._finished_bytes += full.size
            self._finished.append(
                Finished(
                    path=full.path,
                    part=full.head.part,
                    size=full.size,
                    first_seq=full.head.first_seq,
                    records=full.records,
                    latest=full.latest,
                )
            )

    def _tell(self, now: Instant) -> None:
        """Write the records of what is deleted."""
        if not self._untold:
            return
        payloads = [
            record.deleted(gone.part, gone.first_seq, gone.records, gone.size, why)
            for gone, why in self._untold
        ]
        self.write([Batch(Kind.DELETED, 0, now.wall_ns, now.mono_ns, payloads)])
        self._untold = []
        self.sync()


def _path(directory: Path, part: int) -> Path:
    return directory / f"{part:06}{PART_SUFFIX}"


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(f"{path} cannot be deleted: {error.strerror}") from None
