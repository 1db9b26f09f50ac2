"""Signals: the first asks to stop, the second leaves at once."""

from __future__ import annotations

import signal

import trio


async def wait_for_stop() -> str:
    """Return the name of the first SIGINT or SIGTERM; a second one then kills the process."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        async for number in received:
            name = signal.Signals(number).name
            break
    # With Python's own handler a second SIGINT would wait for a hung disk.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return name
