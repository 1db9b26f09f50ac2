"""What an operator sees while the proxy runs: a live line, or a log line now and then."""

from __future__ import annotations

import logging
import sys

import trio

from wsproxy.app.live import Live
from wsproxy.app.status import Status

log = logging.getLogger("wsproxy")

_LINE_SECONDS = 0.5
_LOG_SECONDS = 30.0


def sentence(status: Status, rate: float) -> str:
    """The proxy's state in one line; ``rate`` in messages/s."""
    parts = [
        f"{status.clients} clients",
        f"{status.streams} streams",
        f"{status.connections}/{status.cap} connections",
        f"{rate:,.0f} messages/s",
        f"{status.messages:,} messages",
    ]
    if status.bytes_on_disk is not None:
        parts.append(f"{status.bytes_on_disk / 1e6:,.1f} MB on disk")
    if status.gaps:
        parts.append(f"{status.gaps} gaps")
    if status.lost:
        parts.append(f"{status.lost:,} messages LOST to the recording")
    return "  ".join(parts)


async def report(live: Live) -> None:
    """Show the state on stderr until cancelled."""
    on_terminal = sys.stderr.isatty()
    every = _LINE_SECONDS if on_terminal else _LOG_SECONDS
    before, then = live.status().messages, trio.current_time()
    while True:
        await trio.sleep(every)
        status, now = live.status(), trio.current_time()
        text = sentence(status, (status.messages - before) / (now - then))
        before, then = status.messages, now
        if on_terminal:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
        else:
            log.info("%s", text)
