"""wsproxy as its users run it: a process of its own, seen from outside.

::

    with wsproxy("record", f"binance={url}", "--out", str(out)) as proxy:
        floor.strategy(f"{proxy.url}/binance/ws/btcusdt@trade")
        ...
        ended = proxy.stop()
    assert ended.code == 0

Python's warnings are errors in it, and whatever a user must never see (a traceback, an exception
that was ignored) fails the test.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE_S = 30.0
"""How long anything may take on a machine that is busy."""

_NEVER_SHOWN = ("Traceback", "Exception ignored", "Warning:")
_LISTENS = "clients connect to "


class Ended(NamedTuple):
    """What a process left behind."""

    code: int
    """Exit code; negative if a signal killed it."""
    out: str
    err: str


class Process:
    """A running wsproxy command. Methods that wait raise TimeoutError."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        module: str = "wsproxy",
    ) -> None:
        self._out = tempfile.TemporaryFile()  # noqa: SIM115  closed when the process has ended
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.PIPE,
            env=environment(env),
            cwd=cwd or tempfile.gettempdir(),
            text=True,
        )
        self._said: list[str] = []
        self._silent = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._ended: Ended | None = None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def err(self) -> str:
        """Everything that it has said on stderr so far."""
        return "".join(self._said)

    @property
    def url(self) -> str:
        """Where it listens: scheme, host and port. Waits until it does."""
        line = self.wait_for(_LISTENS)
        address = line.partition(_LISTENS)[2].split()[0]
        return "/".join(address.split("/")[:3])

    def wait_for(self, text: str) -> str:
        """Wait until it says this on stderr; gives the first line with it.

        Raises AssertionError if it ends before.
        """

        def found() -> str | None:
            return next((line for line in self._said if text in line), None)

        with self._changed:
            if not self._changed.wait_for(lambda: found() or self._silent, PATIENCE_S):
                raise TimeoutError(f"wsproxy did not say {text!r}, but:\n{self.err}")
        line = found()
        assert line is not None, f"wsproxy ended without saying {text!r}, but:\n{self.err}"
        return line

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Send it a signal and wait for its end."""
        self.send(number)
        return self.wait()

    def wait(self) -> Ended:
        """Wait for its end."""
        if self._ended is None:
            try:
                code = self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"wsproxy did not end; it said:\n{self.err}") from None
            self._reader.join(PATIENCE_S)
            self._out.seek(0)
            out = self._out.read().decode()
            self._out.close()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._ended = Ended(code, out, self.err)
            assert_presentable(self.err)
        return self._ended

    def kill(self) -> None:
        """End it at once, as an accident would."""
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            with self._changed:
                self._said.append(line)
                self._changed.notify_all()
        with self._changed:
            self._silent = True
            self._changed.notify_all()


@contextmanager
def wsproxy(
    *arguments: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    module: str = "wsproxy",
) -> Iterator[Process]:
    """Run a command that serves, on a free port; the block begins when it listens.

    What still runs at the end is stopped with SIGTERM, and killed if an error ends the block.
    """
    process = Process((*arguments, "--listen", "127.0.0.1:0"), env, cwd, module)
    try:
        _ = process.url
        yield process
        if process._ended is None:
            process.stop()
    finally:
        process.kill()
        process.wait()


def run(*arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Ended:
    """Run a command to its end."""
    return Process(arguments, env, cwd).wait()


def status(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """What ``wsproxy status --json`` says."""
    ended = run("status", "--json", *arguments, env=env)
    assert ended.code == 0, ended.err
    said: dict[str, Any] = json.loads(ended.out)
    return said


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of wsproxy, and ``extra``."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith("WSPROXY_")}
    return {**mine, **(extra or {})}


def assert_presentable(err: str) -> None:
    """What a command says on stderr is fit for a user."""
    for text in _NEVER_SHOWN:
        assert text not in err, f"wsproxy said:\n{err}"
