"""One measurement: a source, what is measured, and its clients, each a process of its own.

A measurement counts only if every client got exactly the bytes that were sent.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import NamedTuple

import numpy as np
import trustme
from numpy.typing import NDArray

import wsproxy
from tests.bench import load, nats
from tests.bench.load import PIECE, STALL_SECONDS
from tests.bench.processes import NUMBER, cpu_ns, peak_bytes, process, said, tell
from tests.bench.relays import RELAYS, Relay, Upstream, recording
from tests.bench.sinks import arrivals

DIRECT = "direct"
"""No relay: the one client is the source's own."""


PERCENTILES = (50, 99, 99.9)


class Setting(NamedTuple):
    """What is measured."""

    relay: str
    clients: int
    sizes: str = "300"
    streams: int = 10
    tls: bool = False
    """To the source; clients have none."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How a relay got through messages that came as fast as it read them."""

    messages: int
    deliveries: int
    seconds: float
    """From the source's first byte to the last client's last."""
    cpu_seconds: float
    """Of the relay."""
    peak_bytes: int
    """Of the relay's memory."""
    disk_seconds: float | None = None
    """Until all was on disk; None where nothing is recorded."""

    @property
    def rate(self) -> float:
        """Messages/s in."""
        return self.messages / self.seconds

    @property
    def delivery_cost(self) -> float:
        """CPU seconds for a million deliveries."""
        return self.cpu_seconds * 1e6 / self.deliveries


@dataclass(frozen=True, slots=True)
class Pace:
    """How late messages were that came one by one."""

    delays: tuple[float, float, float]
    """From source to client, us: 50th, 99th and 99.9th percentile of all deliveries."""
    delivery_cost: float
    """CPU seconds for a million deliveries."""


def running(setting: Setting) -> AbstractContextManager[Bench]:
    """The processes; all clients have their subscriptions.

    Raises RuntimeError, with what the process said, where one fails.
    """
    relay = RELAYS.get(setting.relay)
    if relay is not None and relay.published:
        return _publishing(setting, relay)
    return _relaying(setting)


@contextmanager
def _relaying(setting: Setting) -> Iterator[Bench]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificate, authority = _certificate(directory) if setting.tls else ((), None)
        words = (str(setting.streams), setting.sizes, *certificate)
        source = stack.enter_context(process("-m", "tests.bench.source", *words))
        port = said(source, NUMBER)
        url = f"wss://localhost:{port}" if setting.tls else f"ws://127.0.0.1:{port}"
        server = None
        if setting.relay != DIRECT:
            relay = RELAYS[setting.relay]
            server = stack.enter_context(
                _server(relay, Upstream(url, authority, directory, setting.streams))
            )
            port = said(server, relay.port)
        sinks = stack.enter_context(_sinks(setting, port, str(setting.streams)))
        yield Bench(setting, directory, source, server, sinks)


@contextmanager
def _publishing(setting: Setting, relay: Relay) -> Iterator[Bench]:
    """The same, where the source connects to the relay."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(_server(relay, Upstream("", None, directory, setting.streams)))
        clients_port, source_port = said(server, relay.port), said(server, nats.LISTENS)
        words = (source_port, str(setting.streams), setting.sizes)
        source = stack.enter_context(process("-m", "tests.bench.nats", *words))
        said(source, "(ready)")
        sinks = stack.enter_context(_sinks(setting, clients_port, "nats"))
        yield Bench(setting, directory, source, server, sinks)


def _server(relay: Relay, upstream: Upstream) -> AbstractContextManager[Popen[str]]:
    program, *arguments = relay.command(upstream)
    # wsproxy counts connection attempts there, those of all processes together.
    env = {"XDG_RUNTIME_DIR": str(upstream.directory)}
    return process(*arguments, program=program, env=env)


@contextmanager
def _sinks(setting: Setting, port: str, streams: str) -> Iterator[Popen[str]]:
    words = (f"ws://127.0.0.1:{port}/stream", str(setting.clients), streams)
    with process("-m", "tests.bench.sinks", *words) as sinks:
        said(sinks, "(ready)")
        yield sinks


def _certificate(directory: Path) -> tuple[tuple[str], str]:
    """A certificate for localhost with its key, and the authority that signed it: files."""
    authority = trustme.CA()
    own, trusted = directory / "own.pem", directory / "authority.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(own))
    authority.cert_pem.write_to_path(str(trusted))
    return (str(own),), str(trusted)


class Bench:
    """What is measured, while it runs."""

    def __init__(
        self,
        setting: Setting,
        directory: Path,
        source: Popen[str],
        server: Popen[str] | None,
        sinks: Popen[str],
    ) -> None:
        self._setting = setting
        self._directory = directory
        self._source = source
        self._server = server
        self._sinks = sinks
        self._sent = 0
        relay = RELAYS.get(setting.relay)
        self._frame_bytes = load.frame_bytes if relay is None else relay.frame_bytes

    def flood(self, messages: int) -> Flood:
        """So many messages, as fast as the sockets take them.

        Raises ValueError where messages are missing in the recording.
        """
        before_ns = self._cpu_ns()
        tell(self._sinks, self._wire_bytes(messages))
        tell(self._source, "flood", messages)
        begin_ns = int(said(self._source, NUMBER))
        end_ns = int(said(self._sinks, NUMBER))
        self._sent += messages
        disk_seconds = None
        if self._setting.relay == "record":
            disk_seconds = (self._recorded_ns() - begin_ns) / 1e9
        return Flood(
            messages,
            messages * self._setting.clients,
            (end_ns - begin_ns) / 1e9,
            (self._cpu_ns() - before_ns) / 1e9,
            0 if self._server is None else peak_bytes(self._server.pid),
            disk_seconds,
        )

    def pace(self, messages: int, rate: int) -> Pace:
        """So many messages, evenly, at so many a second."""
        sent, received = (self._directory / name for name in ("sent", "received"))
        before_ns = self._cpu_ns()
        tell(self._sinks, self._wire_bytes(messages), received)
        tell(self._source, "pace", messages, rate, sent)
        said(self._source, NUMBER)
        said(self._sinks, NUMBER)
        used_ns = self._cpu_ns() - before_ns
        self._sent += messages
        cost = used_ns / 1e3 / (messages * self._setting.clients)
        said(self._sinks, "(written)")
        written = sent.read_bytes(), received.read_bytes()
        late = delays(self._setting.sizes, *written, self._frame_bytes)
        p50, p99, p999 = map(float, np.percentile(late, PERCENTILES))
        return Pace((p50, p99, p999), cost)

    def _wire_bytes(self, messages: int) -> int:
        return load.wire_bytes(self._setting.sizes, messages, self._frame_bytes)

    def _cpu_ns(self) -> int:
        return 0 if self._server is None else cpu_ns(self._server.pid)

    def _recorded_ns(self) -> int:
        """The monotonic time, ns, at which the recording holds all messages."""
        deadline_ns = time.monotonic_ns() + int(STALL_SECONDS * 1e9)
        while True:
            streams = wsproxy.open(recording(self._directory)).streams
            held = sum(info.messages for info in streams.values())
            now_ns = time.monotonic_ns()
            if held == self._sent:
                return now_ns
            if now_ns > deadline_ns or held > self._sent:
                raise ValueError(f"{held} of {self._sent} messages are in the recording")
            time.sleep(0.01)


def delays(
    sizes: str,
    sent: bytes,
    received: bytes,
    frame_bytes: Callable[[int], int] = load.frame_bytes,
) -> NDArray[np.float64]:
    """Of each delivery, us, from what source and clients wrote down."""
    times = np.frombuffer(sent, np.int64)
    ends = np.resize([frame_bytes(size) for size in load.SIZES[sizes]], times.size).cumsum()
    found = []
    for client in arrivals(received):
        moments, missing = np.asarray(client).reshape(-1, 2).T
        first = np.searchsorted(ends[-1] - missing, ends)
        found.append((moments[first] - times) / 1e3)
    return np.concatenate(found)


def pieces(messages: float) -> int:
    """About so many messages, in whole pieces, at least one."""
    return max(1, round(messages / PIECE)) * PIECE
