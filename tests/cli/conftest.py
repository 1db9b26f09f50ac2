from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from trio.lowlevel import checkpoint

from wsproxy.app import program
from wsproxy.cli.main import main
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer

WALL_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside; the log as before afterwards."""
    for name in [name for name in os.environ if name.startswith("WSPROXY_")]:
        monkeypatch.delenv(name)
    logger = logging.getLogger("wsproxy")
    before = logger.handlers[:], logger.level
    yield
    logger.handlers[:], level = before
    logger.setLevel(level)


@pytest.fixture
def run() -> Run:
    """Run a command; gives what it printed and its exit code."""

    def run_it(*arguments: object, env: Mapping[str, str] | None = None) -> Result:
        result = CliRunner().invoke(main, [str(word) for word in arguments], env=env)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run_it


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the programs behind ``record``, ``proxy`` and ``replay`` were called with."""
    calls: list[tuple[Any, ...]] = []

    def stand_in(code: int) -> Callable[..., Awaitable[int]]:
        async def program_(*arguments: Any, **named: Any) -> int:
            await checkpoint()
            calls.append((*arguments, named) if named else arguments)
            return code

        return program_

    monkeypatch.setattr(program, "run_live", stand_in(3))
    monkeypatch.setattr(program, "run_replay", stand_in(0))
    monkeypatch.setattr(program, "run_then_live", stand_in(0))
    return calls


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two messages and two events, over two seconds."""
    path = tmp_path / "recording"
    trade = json.dumps({"p": "1"}, separators=(",", ":")).encode()
    with Writer.create(path, venues=["binance"], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "wss://venue/stream"))
        for second, kind, payload, streams in [
            (0, Kind.OPENED, record.opened(), ()),
            (0, Kind.MESSAGE, trade, ("a@trade",)),
            (1, Kind.MESSAGE, b"\xff", ("b@trade", "c@trade")),
            (2, Kind.CLOSED, record.closed(1006, "", "network"), ()),
        ]:
            at_ns = second * SECOND
            batch = Batch(kind, 1, WALL_NS + at_ns, at_ns, [payload], None, [streams])
            writer.write([batch])
    return path
