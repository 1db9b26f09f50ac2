"""The only place that reads the machine's clocks for records and deadlines."""

from __future__ import annotations

import time

import trio

from wsproxy.config import SECOND_NS
from wsproxy.model import Instant


def now() -> Instant:
    """This moment on the wall clock and on the monotonic clock, in ns."""
    return Instant(time.time_ns(), time.monotonic_ns())


def loop_ns() -> int:
    """This moment on the event loop's clock, ns."""
    return int(trio.current_time() * SECOND_NS)


def loop_seconds(time_ns: int) -> float:
    """A time of ``loop_ns`` as Trio wants it; rounding does not make it too early."""
    return (time_ns + 1) / SECOND_NS


def monotonic_offset() -> tuple[int, int]:
    """How far the monotonic clock is ahead of the wall clock, and how far off that may be, ns."""
    before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
    return (before + after) // 2 - wall, (after - before + 1) // 2
