"""The processes of a bench, and what they say on their output, line by line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.load import STALL_SECONDS

NUMBER = r"(\d+)"
SERVES = r".* clients connect to ws://127\.0\.0\.1:(\d+)/.*"
"""Where wsproxy listens."""


@contextmanager
def process(
    *command: str, program: str = sys.executable, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process, of Python or another program, which is told to stop when the block is left.

    ``env`` is added to the environment.
    """
    with subprocess.Popen(
        [program, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **(env or {})},
    ) as running:
        try:
            yield running
        except Exception as error:
            error.add_note(f"{_shown(command)} said:\n{_stopped(running)}")
            raise
        else:
            _stopped(running)


def _stopped(running: subprocess.Popen[str]) -> str:
    """Stop a process; give what it had still to say."""
    running.terminate()
    try:
        return running.communicate(timeout=STALL_SECONDS)[0]
    finally:
        running.kill()


def said(running: subprocess.Popen[str], pattern: str) -> str:
    """The group of the pattern in the first line that it matches wholly.

    Raises RuntimeError, with all that the process said, where it ends before.
    """
    lines = []
    assert running.stdout is not None
    for line in running.stdout:
        if found := re.fullmatch(pattern, line.rstrip()):
            return found[1]
        lines.append(line)
    assert isinstance(running.args, list)
    raise RuntimeError(f"{_shown(running.args[1:])} failed:\n{''.join(lines)}")


def tell(running: subprocess.Popen[str], *words: object) -> None:
    """Write a line to the process."""
    assert running.stdin is not None
    print(*words, file=running.stdin, flush=True)


def _shown(command: Sequence[str]) -> str:
    return textwrap.shorten(" ".join(command), 200)


def cpu_ns(pid: int) -> int:
    """CPU time that a process has used, ns; Linux only."""
    clock = ~pid << 3 | 2  # as clock_getcpuclockid(3) makes it there
    return time.clock_gettime_ns(clock)


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had resident so far; Linux only."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    assert found is not None
    return int(found[1]) * 1024


def progress(text: str) -> None:
    """Say on a terminal how far a bench is; nothing ends it."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()
