"""The keyboard of whoever started a replay in a terminal."""

from __future__ import annotations

import logging
import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from wsproxy.app.transport import Transport

log = logging.getLogger("wsproxy")

_SKIP_SECONDS = 10.0
_MOST_BYTES = 64
_RIGHT, _LEFT = b"\x1b[C", b"\x1b[D"


async def listen_to_keys(transport: Transport) -> None:
    """Obey keys until cancelled; does nothing where there is no terminal."""
    if not sys.stdin.isatty() or os.getpgrp() != os.tcgetpgrp(sys.stdin.fileno()):
        return
    with key_by_key(sys.stdin.fileno()) as keyboard:
        log.info("keys: space pauses, s steps, + and - change the speed, left and right skip 10 s")
        while True:
            await trio.lowlevel.wait_readable(keyboard)
            typed = os.read(keyboard, _MOST_BYTES)
            if not typed:
                return
            obey(transport, typed)


def obey(transport: Transport, typed: bytes) -> None:
    """Do what these keys mean; others mean nothing."""
    for arrow, seconds in ((_RIGHT, _SKIP_SECONDS), (_LEFT, -_SKIP_SECONDS)):
        for _ in range(typed.count(arrow)):
            transport.skip(seconds)
        typed = typed.replace(arrow, b"")
    for key in typed.decode("ascii", "replace"):
        match key:
            case " ":
                transport.toggle()
            case "s":
                transport.step()
            case "+":
                transport.faster(2)
            case "-":
                transport.faster(0.5)


@contextmanager
def key_by_key(keyboard: int) -> Iterator[int]:
    """Keys come at once and are not shown; Ctrl-C stays a signal."""
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard, termios.TCSADRAIN)
    try:
        yield keyboard
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
