"""What `wsproxy bench` measures: how much passes, how late it comes, and what recording costs.

Sources, proxies and clients are processes of their own and share the machine's cores, on loopback.
A measurement counts only if every client got every byte.
"""

from __future__ import annotations

import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import msgspec

from wsproxy.app.bench.load import MESSAGE_BYTES, STREAMS
from wsproxy.app.bench.processes import Worker, worker
from wsproxy.app.bench.sinks import Report
from wsproxy.app.measuring import splitting_rate
from wsproxy.hub.capacity import Reference
from wsproxy.hub.workloads import Carried, carried

FLOODED = (1, 10, 50)
"""So many clients, each of which takes everything, as fast as it comes."""
RATES = (100, 1_000, 5_000)
PACED = 10
"""So many clients at each of these messages/s."""
CLAIMED = 100
"""To more clients nothing is said to be carried: it is too far from what was measured."""
_ROUNDS = 3
"""Each flood is measured so often; the median counts."""
_SPARE_SECONDS = 60
"""A proxy ends by itself so long after the bench should have."""


Rates = Sequence[tuple[float, float]]
"""Messages/s through the proxy, and while recording, measured in turn."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Of all deliveries, from the source's socket to the client's."""

    p50_us: float
    p99_us: float

    def minus(self, other: Delay) -> Delay:
        """What is added to the other."""
        return Delay(self.p50_us - other.p50_us, self.p99_us - other.p99_us)


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages that came one by one, evenly."""

    messages_per_s: int
    clients: int
    direct: Delay
    """One client, connected to the source."""
    proxy: Delay
    """What the proxy adds to that."""
    record: Delay
    """The same, while it records."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was measured."""

    reference: Reference
    """Throughput, as capacity planning takes it."""
    recording_costs: Mapping[int, float]
    """The share of throughput that recording takes, by the number of clients."""
    paces: tuple[Pace, ...]
    carried: tuple[Carried, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """A source, and where its clients connect: a proxy, or itself."""

    source: Worker
    port: str
    path: str

    def clients(self, count: int, how: str) -> AbstractContextManager[Worker]:
        words = (self.port, self.path, str(count), how)
        return worker("the clients' process", "wsproxy.app.bench.sinks", *words)

    def flood(self, clients: Worker, seconds: float) -> float:
        """Messages/s, from the first byte sent until the last client's last."""
        self.source.tell("flood", seconds)
        begin_ns, sent = self._sent()
        clients.tell(sent)
        return sent * 1e9 / (_reported(clients).end_ns - begin_ns)

    def pace(self, count: int, seconds: float, rate: int) -> Delay:
        with self.clients(count, "pace") as clients:
            clients.said("ready")
            self.source.tell("pace", seconds, rate)
            clients.tell(self._sent()[1])
            report = _reported(clients)
        return Delay(report.p50_ns / 1e3, report.p99_ns / 1e3)

    def _sent(self) -> tuple[int, int]:
        begin_ns, sent = self.source.said(r"(\d+) (\d+)")
        return int(begin_ns), int(sent)


def _reported(clients: Worker) -> Report:
    (text,) = clients.said(r"(\{.*\})")
    return msgspec.json.decode(text, type=Report)


def measure(
    seconds: float, directory: Path | None = None, progress: Callable[[str], None] = lambda _: None
) -> Outcome:
    """Measure for about so long; starting processes comes on top.

    A temporary recording is made in the directory, and removed. Raises BenchFailed.
    """
    share = seconds / 2
    with ExitStack() as stack:
        temporary = tempfile.TemporaryDirectory(prefix="wsproxy-bench-", dir=directory)
        place = Path(stack.enter_context(temporary))
        progress("starting")
        direct = stack.enter_context(_direct())
        limit = seconds + _SPARE_SECONDS
        proxy = stack.enter_context(_relaying("proxy", limit, place))
        record = stack.enter_context(_relaying("record", limit, place, f"--out={place / 'made'}"))
        progress("the splitter")
        splitting = splitting_rate()
        rates = {}
        for clients in FLOODED:
            progress(f"saturated, {clients} client(s)")
            slice_ = share / (len(FLOODED) * _ROUNDS * 2)
            rates[clients] = _flood(proxy, record, clients, slice_)
        paces = []
        for rate in RATES:
            progress(f"{rate:,} messages/s, {PACED} clients")
            slice_ = share / (len(RATES) * 3)
            at = direct.pace(1, slice_, rate)
            added = [line.pace(PACED, slice_, rate).minus(at) for line in (proxy, record)]
            paces.append(Pace(rate, PACED, at, *added))
        progress("stopping")
    return concluded(splitting, rates, paces)


def concluded(splitting: float, rates: Mapping[int, Rates], paces: Sequence[Pace]) -> Outcome:
    """The outcome of these measurements."""
    reference = Reference(
        source=_description(),
        splitting=splitting,
        proxy={clients: median(one for one, _ in found) for clients, found in rates.items()},
        record={clients: median(one for _, one in found) for clients, found in rates.items()},
    )
    costs = {
        clients: median(1 - record / proxy for proxy, record in found)
        for clients, found in rates.items()
    }
    return Outcome(reference, costs, tuple(paces), carried(reference, CLAIMED))


def _flood(proxy: _Line, record: _Line, count: int, seconds: float) -> Rates:
    with proxy.clients(count, "flood") as ours, record.clients(count, "flood") as theirs:
        ours.said("ready")
        theirs.said("ready")
        return [(proxy.flood(ours, seconds), record.flood(theirs, seconds)) for _ in range(_ROUNDS)]


@contextmanager
def _direct() -> Iterator[_Line]:
    with worker("the source's process", "wsproxy.app.bench.source") as source:
        (port,) = source.said(r"(\d+)")
        yield _Line(source, port, "/stream")


@contextmanager
def _relaying(command: str, seconds: float, place: Path, *options: str) -> Iterator[_Line]:
    """A source and ``wsproxy proxy`` or ``record``; raises BenchFailed if that loses something."""
    with _direct() as origin:
        arguments = (
            *(command, f"binance=ws://127.0.0.1:{origin.port}", "--listen=127.0.0.1:0"),
            *("--admin=off", f"--duration={seconds}"),
            # A hot connection would get help from another, and streams nobody has would be left.
            *("--max-connections=1", f"--linger={seconds}", "--outbox-mb=4000"),
        )
        # Processes of wsproxy count connection attempts together; these are not to be counted.
        env = {"XDG_RUNTIME_DIR": str(place)}
        with worker(f"wsproxy {command}", "wsproxy", *arguments, *options, env=env) as relay:
            listens = r".* clients connect to ws://127\.0\.0\.1:(\d+)/binance.*"
            (port,) = relay.said(listens)
            yield _Line(origin.source, port, "/binance/stream")
            relay.finish()


def _description() -> str:
    cores = os.cpu_count()
    today = datetime.now(UTC).date()
    return (
        f"wsproxy bench: {MESSAGE_BYTES}-byte messages of {len(STREAMS)} streams, {cores} cores "
        f"({platform.machine()}), CPython {platform.python_version()}, {today}"
    )
