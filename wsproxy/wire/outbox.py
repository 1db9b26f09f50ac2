"""What waits for one client's socket, and the order in which it goes.

Data is handed in as runs of whole frames and written at once, without a task switch, as far as the
kernel takes it. Control frames overtake every run that has not begun.
"""

from __future__ import annotations

import os
import time
from collections import deque
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from trio.socket import SocketType


class _Run:
    """Bytes that nothing may come between: frames of data, or one control frame."""

    __slots__ = ("data", "out", "since_ns")

    def __init__(self, data: bytes | memoryview, since_ns: int, out: trio.Event | None) -> None:
        self.data = data
        self.since_ns = since_ns
        self.out = out  # only control frames have it: set when they are out


class Outbox:
    """Write to a connected socket; ``run`` must run as long as it is used.

    ``handed_bytes`` is how much data has been handed in, ``pending_bytes`` how much of that has not
    been taken by the kernel.
    """

    def __init__(self, socket: SocketType) -> None:
        self._socket = socket
        self._fd = socket.fileno()
        # In this order: what has begun (if `_begun`), control frames, data.
        self._queue: deque[_Run] = deque()
        self._begun = False
        self._sealed = False
        self._dead = False
        self._work = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self.handed_bytes = 0
        self.pending_bytes = 0

    @property
    def pending_since_ns(self) -> int | None:
        """Monotonic time, ns, at which the oldest pending data was handed in; None if none is."""
        return next((run.since_ns for run in self._queue if run.out is None), None)

    def write_nowait(self, frames: bytes) -> int:
        """Write whole frames of data, or queue what the kernel does not take.

        Ignored behind the last control frame and when the connection is gone. Gives
        ``pending_bytes``.
        """
        self.handed_bytes += len(frames)
        if self._sealed:
            return self.pending_bytes
        taken = 0 if self._queue else self._write(frames)
        if taken < len(frames):
            self.pending_bytes += len(frames) - taken
            self._begun = self._begun or taken > 0
            rest = memoryview(frames)[taken:] if taken else frames
            self._append(len(self._queue), _Run(rest, time.monotonic_ns(), None))
        return self.pending_bytes

    async def write_urgent(self, frame: bytes, *, last: bool = False) -> None:
        """Write a control frame at the next boundary between runs; return when it is out.

        The ``last`` one drops the data that has not begun, and nothing goes behind it. Raises
        trio.BrokenResourceError when the connection is gone.
        """
        if last:
            self._sealed = True
            self._drop_data()
        if not self._dead:
            out = trio.Event()
            place = 1 if self._begun else 0
            while place < len(self._queue) and self._queue[place].out is not None:
                place += 1
            self._append(place, _Run(frame, time.monotonic_ns(), out))
            self._flush()
            await out.wait()
        if self._dead:
            raise trio.BrokenResourceError

    async def drain(self) -> None:
        """Wait until nothing is pending, or the connection is gone."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write what the kernel did not take at once, until the connection is gone."""
        try:
            while not self._dead:
                await self._work.wait()
                self._work = trio.Event()
                while self._queue:
                    try:
                        await self._socket.wait_writable()
                    except trio.ClosedResourceError:
                        self.abandon()
                    self._flush()
        finally:
            self.abandon()  # the number of a socket that is closed next may become another's

    def abandon(self) -> None:
        """Drop everything: the connection is gone."""
        self._dead = self._sealed = True
        self._begun = False
        self.pending_bytes = 0
        for run in self._queue:
            if run.out is not None:
                run.out.set()
        self._queue.clear()
        self._idle.set()
        self._work.set()

    def _append(self, place: int, run: _Run) -> None:
        if not self._queue:
            self._idle = trio.Event()
            self._work.set()
        self._queue.insert(place, run)

    def _drop_data(self) -> None:
        """Drop the data that has not begun."""
        queue = self._queue
        while len(queue) > self._begun and queue[-1].out is None:
            self.pending_bytes -= len(queue.pop().data)

    def _flush(self) -> None:
        """Write until nothing is left or the kernel takes no more."""
        queue = self._queue
        while queue:
            run = queue[0]
            taken = self._write(run.data)
            if self._dead:
                return
            if run.out is None:
                self.pending_bytes -= taken
            if taken < len(run.data):
                if taken:
                    run.data = memoryview(run.data)[taken:]
                    self._begun = True
                return
            self._begun = False
            queue.popleft()
            if run.out is not None:
                run.out.set()
        self._idle.set()

    def _write(self, data: bytes | memoryview) -> int:
        """Give how much the kernel took; a dead connection takes everything."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # the reader notices too, and ends the connection
            self.abandon()
            return len(data)
