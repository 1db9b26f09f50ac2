"""What the bench measures between source and clients: wsproxy, and others at their best.

The others send everything to all; they neither route nor record. Each stands in a file of its own.
``copy`` is none of them, but what a relay in Python can do at most.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.bench import load, nats
from tests.bench.processes import NUMBER, SERVES

WS = "ws@8.23.0"
_NODE_DIRECTORY = Path(__file__).parents[2] / "build" / "bench"
_WS_DIRECTORY = _NODE_DIRECTORY / "node_modules" / "ws"


class Upstream(NamedTuple):
    """Where a relay gets its messages from, and where it may keep something."""

    url: str
    authority: str | None
    """A file of certificates to trust, where the address is wss."""
    directory: Path
    streams: int

    @property
    def arguments(self) -> list[str]:
        """What the other relays are told."""
        return [self.url] if self.authority is None else [self.url, self.authority]


def recording(directory: Path) -> Path:
    """Where wsproxy records, of such a directory."""
    return directory / "recording"


class Cost(NamedTuple):
    """About what a relay takes, us; decides only how long a measurement lasts."""

    message: float
    delivery: float


@dataclass(frozen=True, slots=True)
class Relay:
    """One way from a source to many clients."""

    name: str
    cost: Cost
    command: Callable[[Upstream], list[str]]
    port: str = NUMBER
    """The pattern of what it says when it serves."""
    missing: Callable[[], str | None] = lambda: None
    """Why it cannot be measured here."""
    published: bool = False
    """It is a NATS server: the source connects to it."""
    frame_bytes: Callable[[int], int] = load.frame_bytes
    """What a client counts for a message of this size."""


def _python(module: str) -> Callable[[Upstream], list[str]]:
    return lambda upstream: [sys.executable, "-m", f"tests.bench.{module}", *upstream.arguments]


def _proxy(upstream: Upstream, command: str = "proxy") -> list[str]:
    words = [sys.executable, "-m", "wsproxy", command, f"binance={upstream.url}"]
    # No more connections than the streams need: a hot one would get help, from the same source.
    lines = -(-upstream.streams // _STREAMS_PER_CONNECTION)
    words += ["--listen=127.0.0.1:0", f"--max-connections={lines}", "--outbox-mb=4000"]
    return words if upstream.authority is None else [*words, f"--upstream-ca={upstream.authority}"]


_STREAMS_PER_CONNECTION = 1_000
"""wsproxy keeps a little below the venue's 1,024."""


def _record(upstream: Upstream) -> list[str]:
    return [
        *_proxy(upstream, "record"),
        f"--out={recording(upstream.directory)}",
        "--block-seconds=0.1",
    ]


def _ws(upstream: Upstream) -> list[str]:
    script = Path(__file__).with_name("ws_relay.mjs")
    return ["node", str(script), str(_WS_DIRECTORY), *upstream.arguments]


@cache
def _without_ws() -> str | None:
    """Install ws; why that cannot be done."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        return "node and npm are not on the PATH"
    if not _WS_DIRECTORY.exists():
        _NODE_DIRECTORY.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-save", "--prefix", str(_NODE_DIRECTORY), WS]
        if subprocess.run(install, capture_output=True, check=False).returncode:
            return f"npm cannot install {WS}"
    return None


def _nats(upstream: Upstream) -> list[str]:
    return ["nats-server", "-c", nats.configured(upstream.directory)]


def _without_nats() -> str | None:
    return None if shutil.which("nats-server") else "nats-server is not on the PATH"


_ALL = (
    Relay("proxy", Cost(2.5, 0.12), _proxy, SERVES),
    Relay("record", Cost(3.5, 0.15), _record, SERVES),
    Relay("copy", Cost(0.3, 0.08), _python("copy_relay")),
    Relay("picows", Cost(4, 2.5), _python("picows_relay")),
    Relay("ws", Cost(5, 3.5), _ws, missing=_without_ws),
    Relay("websockets", Cost(15, 5), _python("websockets_relay")),
    Relay(
        "nats",
        Cost(3, 1),
        _nats,
        nats.SERVES,
        missing=_without_nats,
        published=True,
        frame_bytes=nats.message_bytes,
    ),
    Relay("plain", Cost(60, 70), _python("plain_relay")),
)
RELAYS: Mapping[str, Relay] = {relay.name: relay for relay in _ALL}
PEERS = tuple(name for name in RELAYS if name not in ("proxy", "record", "copy"))
