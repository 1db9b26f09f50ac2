"""The tape: everything that crosses an upstream connection, on its way to the disk.

``append`` never waits. A task hands blocks to a worker thread, which encodes, compresses and
writes them. What the disk cannot take in time is lost to the recording, never to clients, and
the recording says so in a gap record as soon as it can.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter, deque
from collections.abc import Iterable
from functools import partial

import trio

from wsproxy.app import clock
from wsproxy.config import SECOND_NS, Recording
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo, Instant, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer

log = logging.getLogger("wsproxy.tape")

_SYNC_NS = SECOND_NS
_DRAIN_SECONDS = 30.0
_DISPENSABLE = frozenset({Kind.KEYFRAME, Kind.ATTACHMENT, Kind.CLOCK, Kind.MARKER, Kind.STATISTICS})
"""Records without which no message is missing: that they are lost makes no gap."""
_BLOCKS_AT_ONCE = 16
"""How many blocks the thread is handed at most: between two of its turns the event loop has one."""


class _Loss:
    """What the recording lacks, by connection, until gap records say so."""

    def __init__(self) -> None:
        self.since_ns = sys.maxsize
        self.messages: Counter[int] = Counter()
        self.streams: dict[int, set[str]] = {}

    def add(self, batches: Iterable[Batch]) -> None:
        """Count batches in; gap records that were lost tell of streams, too."""
        for batch in batches:
            if batch.kind in _DISPENSABLE:
                continue
            self.since_ns = min(self.since_ns, batch.wall_ns)
            streams = self.streams.setdefault(batch.connection, set())
            if batch.kind in (Kind.MESSAGE, Kind.GAP):
                streams.update(name for names in batch.streams for name in names)
            self.messages[batch.connection] += _messages(batch)

    def merge(self, other: _Loss) -> None:
        """Count in what another says."""
        self.since_ns = min(self.since_ns, other.since_ns)
        self.messages.update(other.messages)
        for connection, streams in other.streams.items():
            self.streams.setdefault(connection, set()).update(streams)

    def __bool__(self) -> bool:
        return self.since_ns < sys.maxsize

    def gaps(self) -> list[Batch]:
        """The records that tell of it: one a connection, because streams are a connection's."""
        at, why = clock.now(), "the disk was full or too slow"
        gaps = []
        for connection, names in self.streams.items():
            streams, missed = tuple(sorted(names)), self.messages[connection]
            payload = record.gap(streams, why, self.since_ns, missed)
            gaps.append(
                Batch(Kind.GAP, connection, at.wall_ns, at.mono_ns, [payload], None, [streams])
            )
        return gaps


def _messages(batch: Batch) -> int:
    return len(batch.payloads) if batch.kind is Kind.MESSAGE else 0


class Tape:
    """A bounded queue of batches before a recording's writer.

    Leave the ``with`` block to say that nothing more will come: ``run`` then writes the rest,
    closes the recording and returns.
    """

    def __init__(self, writer: Writer, settings: Recording) -> None:
        self.writer = writer
        self.lost = 0
        """Messages that the recording lacks."""
        self.settings = settings
        self._batches: deque[tuple[Batch, int]] = deque()
        self._bytes = 0
        self._unnamed: Batch | None = None
        self._loss = _Loss()
        self._complained = False
        self._synced_ns = 0
        self._retained_ns = 0
        self._closing = False
        self._wake = trio.Event()
        self._limiter = trio.CapacityLimiter(1)
        self._scope = trio.CancelScope(shield=True)

    def __enter__(self) -> Tape:
        return self

    def __exit__(self, *exc: object) -> None:
        self._closing = True
        self._scope.deadline = trio.current_time() + _DRAIN_SECONDS
        self._wake.set()

    def connection(self, info: ConnectionInfo) -> None:
        """Say who a connection number is, before its first record."""
        self.writer.add_connection(info)

    def append(self, batch: Batch) -> None:
        """Take a batch; whoever routes it may name its streams until the next await.

        Raises RecordingError if the disk is too slow and the settings want the proxy to stop then.
        """
        size = sum(map(len, batch.payloads))
        if self._bytes + size > self.settings.backlog_bytes:
            self._overrun(batch)
            return
        self._batches.append((batch, size))
        self._bytes += size
        if self._bytes >= self.settings.block_bytes:
            self._wake.set()

    def note(self, kind: Kind, connection: int, streams: tuple[str, ...], payload: bytes) -> None:
        """Record an event."""
        at = clock.now()
        self.append(Batch(kind, connection, at.wall_ns, at.mono_ns, [payload], None, [streams]))

    async def run(self) -> None:
        """Write until the ``with`` block is left and nothing is pending.

        Shielded: whatever stops the proxy, what was taken in is written, unless the disk takes too
        long for it. Raises RecordingError if the disk fails and the settings want the proxy to
        stop then.
        """
        with self._scope:
            await self._run()
        if self._scope.cancelled_caught:
            self.lost += sum(_messages(batch) for batch, _ in self._batches)
            log.error("gave up on the disk after %.0f s", _DRAIN_SECONDS)

    async def _run(self) -> None:
        while self._batches or not self._closing:
            if self._bytes < self.settings.block_bytes and not self._closing:
                with trio.move_on_after(self.settings.block_seconds):
                    await self._wake.wait()
                self._wake = trio.Event()
            await self._write_block()
            await self._retain()
        self._settle_names()
        if self._loss:
            await self._write_block()
        try:
            await trio.to_thread.run_sync(self.writer.close, limiter=self._limiter)
        except RecordingError as error:
            self._failed(error)

    async def _write_block(self) -> None:
        # The last chance to give up at the deadline: no block is in hand.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._settle_names()
        told = _Loss()
        if self._closing or self._bytes < self.settings.backlog_bytes // 2:
            told, self._loss = self._loss, told
        block = told.gaps()
        block += self._take()
        records = self.writer.records
        write = partial(self._write, block, clock.now())
        try:
            await trio.to_thread.run_sync(write, limiter=self._limiter)
        except RecordingError as error:
            written = self.writer.records - records
            told = _Loss() if written else told
            while written:
                written -= len(block.pop(0).payloads)
            told.add(block)
            told.merge(self._loss)
            self._loss = told
            self.lost += sum(map(_messages, block))
            self._failed(error)
        else:
            self._complained &= bool(self._loss)

    async def _retain(self) -> None:
        """Delete the parts that may not stay, now and then."""
        now = clock.now()
        if not self.writer.may_delete or now.mono_ns - self._retained_ns < _SYNC_NS:
            return
        self._retained_ns = now.mono_ns
        retain = partial(self.writer.retain, now)
        try:
            surplus = await trio.to_thread.run_sync(retain, limiter=self._limiter)
        except RecordingError as error:
            if self.settings.stop_on_error:
                raise
            self._complain(f"{error}; the proxy goes on")
        else:
            for part, why in surplus:
                log.info("deleted %s: %s", part.path, why)

    def _take(self) -> list[Batch]:
        block: list[Batch] = []
        taken = 0
        while self._batches and taken < self.settings.block_bytes * _BLOCKS_AT_ONCE:
            batch, size = self._batches.popleft()
            taken += size
            block.append(batch)
        self._bytes -= taken
        return block

    def _write(self, block: list[Batch], now: Instant) -> None:
        """Runs in the worker thread."""
        if block:
            self.writer.write(block)
        if now.mono_ns - self._synced_ns >= _SYNC_NS:
            self.writer.sync()
            self._synced_ns = now.mono_ns

    def _overrun(self, batch: Batch) -> None:
        waiting = f"more than {self.settings.backlog_bytes >> 20} MB wait for the disk"
        if self.settings.stop_on_error and batch.kind is Kind.MESSAGE:
            raise RecordingError(f"{self.writer.path} cannot be written in time: {waiting}")
        self._complain(f"{waiting}: messages are being lost to the recording")
        if batch.kind is not Kind.MESSAGE:
            self._loss.add([batch])
            return
        self.lost += len(batch.payloads)
        self._settle_names()
        self._unnamed = batch

    def _settle_names(self) -> None:
        """Count in a batch that was lost when it came: its streams are named by now."""
        if self._unnamed is not None:
            self._loss.add([self._unnamed])
            self._unnamed = None

    def _failed(self, error: RecordingError) -> None:
        if self.settings.stop_on_error:
            raise error
        self._complain(f"{error}; the proxy goes on, the recording has a gap")

    def _complain(self, sentence: str) -> None:
        """Once, until the recording is whole again."""
        if not self._complained:
            self._complained = True
            log.error("%s", sentence)
