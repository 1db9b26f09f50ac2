"""The processes of `wsproxy bench`, and what they say, line by line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress

from wsproxy.app.bench.load import STALL_SECONDS
from wsproxy.errors import WsproxyError


def say(*words: object) -> None:
    """Write a line, in such a process, to whoever runs the bench."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


class BenchFailed(WsproxyError):
    """A process of the bench did not do its part."""


class Worker:
    """A Python module that runs as a process of its own."""

    def __init__(self, name: str, running: subprocess.Popen[str]) -> None:
        self._name = name
        self._running = running
        self._last_line = "it said nothing"

    def tell(self, *words: object) -> None:
        """Write a line to it; if it has ended, ``said`` will say so."""
        assert self._running.stdin is not None
        with suppress(BrokenPipeError):
            # Past the file's buffer, in which it would wait for the next one to fail.
            os.write(self._running.stdin.fileno(), (" ".join(map(str, words)) + "\n").encode())

    def said(self, pattern: str) -> tuple[str, ...]:
        """The groups of the pattern in the first line that it matches wholly.

        Raises BenchFailed, with the last line, if the process ends before.
        """
        for line in self._lines():
            if found := re.fullmatch(pattern, line):
                return found.groups()
        raise BenchFailed(f"{self._name} ended too early: {self._last_line}")

    def finish(self) -> None:
        """Tell it to stop, and wait; raises BenchFailed, with the last line, if it fails."""
        self._running.terminate()
        for _ in self._lines():
            pass
        if code := self._running.wait():
            raise BenchFailed(f"{self._name} ended with exit code {code}: {self._last_line}")

    def _lines(self) -> Iterator[str]:
        assert self._running.stdout is not None
        for line in self._running.stdout:
            self._last_line = line.strip() or self._last_line
            yield line.rstrip()


@contextmanager
def worker(name: str, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Worker]:
    """``python -m`` with these arguments, which is stopped when the block is left.

    ``env`` is added to the environment, without the user's settings of wsproxy. Ctrl-C does not
    reach the process: whoever runs the bench ends it.
    """
    settings = {key: value for key, value in os.environ.items() if not key.startswith("WSPROXY_")}
    with ExitStack() as stack:
        with _uninterrupted():
            running = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    env={**settings, **(env or {})},
                    start_new_session=True,
                )
            )
            stack.callback(_end, running)
        yield Worker(name, running)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C has to wait: a process that is just being started would be lost sight of.

    The process inherits this; it is SIGTERM that ends it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(running: subprocess.Popen[str]) -> None:
    running.terminate()
    with suppress(subprocess.TimeoutExpired):
        running.wait(STALL_SECONDS)
    running.kill()
