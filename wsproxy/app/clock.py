"""The only place that reads the machine's clocks for records and deadlines."""

from __future__ import annotations

import time

from wsproxy.model import Instant


def now() -> Instant:
    """This moment on the wall clock and on the monotonic clock, in ns."""
    return Instant(time.time_ns(), time.monotonic_ns())
