"""Signals: the first that asks to stop is obeyed in order, the second at once."""

from __future__ import annotations

import signal
from collections.abc import Callable

import trio


async def on_hangup(
    action: Callable[[], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Do this whenever SIGHUP comes."""
    with trio.open_signal_receiver(signal.SIGHUP) as received:
        task_status.started()
        async for _ in received:
            action()


async def on_stop(
    action: Callable[[str], None],
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Do this, given the name, on the first SIGINT or SIGTERM; a second one kills the process."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        task_status.started()
        async for number in received:
            name = signal.Signals(number).name
            break
    # With Python's own handler a second SIGINT would wait for a hung disk.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    action(name)
