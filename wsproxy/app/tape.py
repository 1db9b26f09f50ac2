"""The tape: everything that crosses an upstream connection, on its way to the disk.

``append`` never waits. A task hands blocks to a worker thread, which encodes, compresses and
writes them. What the disk cannot take in time is lost to the recording, never to clients, and
the recording says so in a gap record as soon as it can.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
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


class Tape:
    """A bounded queue of batches before a recording's writer.

    Leave the ``with`` block to say that nothing more will come: ``run`` then writes the rest,
    closes the recording and returns.
    """

    def __init__(self, writer: Writer, settings: Recording) -> None:
        self.writer = writer
        self.lost = 0
        """Messages that the recording lacks."""
        self._settings = settings
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._unnamed: Batch | None = None
        self._lost_streams: Counter[str] = Counter()
        self._lost_since: Instant | None = None
        self._synced_ns = 0
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
        """Take a batch; whoever routes it may name its streams until the next await."""
        self._settle_names()
        size = sum(map(len, batch.payloads))
        if self._bytes + size > self._settings.backlog_bytes:
            if not self.lost:
                log.error(
                    "the disk is too slow: more than %d MB wait for it, messages are being lost "
                    "to the recording",
                    self._settings.backlog_bytes >> 20,
                )
            self._unnamed = batch
            return
        self._batches.append(batch)
        self._bytes += size
        if self._bytes >= self._settings.block_bytes:
            self._wake.set()

    def note(self, kind: Kind, connection: int, streams: tuple[str, ...], payload: bytes) -> None:
        """Record an event."""
        at = clock.now()
        self.append(Batch(kind, connection, at.wall_ns, at.mono_ns, [payload], None, [streams]))

    async def run(self) -> None:
        """Write until the ``with`` block is left and nothing is pending.

        Shielded: whatever stops the proxy, what was taken in is written. Raises RecordingError if
        the disk fails and the settings want the proxy to stop then.
        """
        with self._scope:
            await self._run()

    async def _run(self) -> None:
        while self._batches or not self._closing:
            if self._bytes < self._settings.block_bytes and not self._closing:
                with trio.move_on_after(self._settings.block_seconds):
                    await self._wake.wait()
                self._wake = trio.Event()
            await self._write_block()
        if self._lost_since is not None:
            await self._write_block()
        try:
            await trio.to_thread.run_sync(self.writer.close, limiter=self._limiter)
        except RecordingError as error:
            self._failed([], error)

    async def _write_block(self) -> None:
        block = self._take()
        write = partial(self._write, block, clock.now())
        try:
            await trio.to_thread.run_sync(write, limiter=self._limiter)
        except RecordingError as error:
            self._failed(block, error)

    def _take(self) -> list[Batch]:
        self._settle_names()
        block: list[Batch] = []
        roomy = self._bytes < self._settings.backlog_bytes // 2
        if self._lost_since is not None and (roomy or self._closing):
            block.append(self._gap())
        size = 0
        while self._batches and size < self._settings.block_bytes:
            batch = self._batches.popleft()
            size += sum(map(len, batch.payloads))
            block.append(batch)
        self._bytes -= size
        return block

    def _write(self, block: list[Batch], now: Instant) -> None:
        """Runs in the worker thread."""
        if block:
            self.writer.write(block)
        if now.mono_ns - self._synced_ns >= _SYNC_NS:
            self.writer.sync()
            self._synced_ns = now.mono_ns

    def _settle_names(self) -> None:
        """Count a batch that was lost when it came: its streams are named by now."""
        if self._unnamed is not None:
            self._count_lost(self._unnamed)
            self._unnamed = None

    def _failed(self, block: list[Batch], error: RecordingError) -> None:
        if self._settings.stop_on_error:
            raise error
        if not self.lost:
            log.error("%s; the proxy goes on, the recording has a gap", error)
        for batch in block:
            self._count_lost(batch)

    def _count_lost(self, batch: Batch) -> None:
        if self._lost_since is None:
            self._lost_since = Instant(batch.wall_ns, batch.mono_ns)
        if batch.kind is Kind.MESSAGE:
            self.lost += len(batch.payloads)
            self._lost_streams.update(name for names in batch.streams for name in names)
        elif batch.kind is Kind.GAP:
            self._lost_streams.update(name for names in batch.streams for name in names)

    def _gap(self) -> Batch:
        assert self._lost_since is not None
        streams = tuple(sorted(self._lost_streams))
        missed = self._lost_streams.total()
        why = "the disk was full or too slow"
        payload = record.gap(streams, why, self._lost_since.wall_ns, missed)
        self._lost_streams.clear()
        self._lost_since = None
        at = clock.now()
        return Batch(Kind.GAP, 0, at.wall_ns, at.mono_ns, [payload], None, [streams])
