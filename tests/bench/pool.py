"""What the upstream pool costs: ``python -m tests.bench.pool`` (``make bench-pool``).

- subscribing: how long a client waits for so many streams, beside what the limits allow;
- rotating: what connections that are replaced all the time add to the delay of messages, and
  whether the memory grows with them;
- redundancy: throughput and CPU time when every stream is taken over two connections;
- planning: see ``tests.bench.plan``.

``wsproxy proxy`` and the clients are processes of their own. The stand-in exchange, here, enforces
Binance's limits: a limit that is broken, a message that is missing, doubled or out of order ends
the bench with an error.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from random import Random
from statistics import median

from tests.bench import plan
from tests.bench.load import (
    CHUNK_BYTES,
    FRAME_BYTES,
    STALL_SECONDS,
    STREAMS,
    frames,
    message,
    names,
)
from tests.bench.processes import NUMBER, cpu_ns, process, progress, said, tell
from tests.bench.tables import Rows, machine, markdown, plain, put, spread
from tests.kit import campaign
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import Process, wsproxy
from tests.kit.strategy import trading_floor
from tests.kit.wishes import request
from wsproxy.hub.capacity import Demand, Machine, Need, forecast
from wsproxy.venues.binance import PROFILE

_CONNECTIONS = 16
_PER_BURST = 4
_FLOODS = {1: 100_000, 2: 30_000}
"""Messages a connection, for each redundancy."""
_DELAYS = r"([\d.]+ [\d.]+ [\d.]+)"
_PLANS = 5
"""Rounds of planning in a round: it is over in no time."""
_PING = b"\x89\x00"
"""A whole frame without content (RFC 6455, section 5.5.2)."""


@contextmanager
def _proxy(url: str, *options: str) -> Iterator[Process]:
    """A proxy that shares its count of connection attempts with nobody."""
    with tempfile.TemporaryDirectory() as directory:
        env = {"XDG_RUNTIME_DIR": directory}
        arguments = ("proxy", f"binance={url}", f"--max-connections={_CONNECTIONS}", *options)
        with wsproxy(*arguments, env=env) as proxy:
            yield proxy


def _check(exchange: Exchange) -> None:
    if exchange.violations or exchange.refused:
        raise ValueError(f"limits were broken: {exchange.violations} {exchange.refused}")


# --- subscribing ---


def subscribing(rounds: int, streams: int) -> list[str]:
    """How long until so many streams are granted, as a row."""
    times = [_subscribe(names(streams)) for _ in range(rounds)]
    need = _need(streams)
    return [
        f"{streams:,} streams",
        str(need.connections),
        str(need.requests),
        f"{_venue_seconds(need):.2f} s",
        f"{need.subscribe_seconds:.2f} s",
        f"{median(times):.2f} s",
        f"{min(times):.2f} to {max(times):.2f}",
    ]


def _subscribe(streams: Sequence[str]) -> float:
    """Seconds from a client's request until the answer, which comes when all are granted."""
    exchange = BinanceExchange()
    with running(exchange) as url, _proxy(url) as proxy, trading_floor() as floor:
        client = floor.strategy(f"{proxy.url}/stream")
        client.wait_open()
        begin = time.monotonic()
        client.send(request("SUBSCRIBE", *streams))
        (answer,) = client.wait_for(1, STALL_SECONDS)
        seconds = time.monotonic() - begin
        if '"result":null' not in str(answer) or exchange.subscribed != set(streams):
            raise ValueError(f"not all is granted: {answer!r}")
    _check(exchange)
    return seconds


def _need(streams: int) -> Need:
    """What ``wsproxy plan`` says."""
    demand = Demand(streams, clients=1, redundancy=1, cap=_CONNECTIONS)
    return forecast(PROFILE, demand, None, Machine(speed=1.0, disk_free=0)).need


def _venue_seconds(need: Need) -> float:
    """What the venue's window alone allows, without any margin: connections do not share it."""
    assert PROFILE.requests is not None
    return (need.requests - 1) // PROFILE.requests.most * PROFILE.requests.period_ns / 1e9


# --- rotating ---


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some seconds of traffic; delays from source to client in us."""

    rotations: int
    median: float
    p99: float
    most: float
    resident_bytes: int
    """Memory of the proxy at its end."""


def rotating(
    rounds: int, seconds: float, *, streams: int = 200, rate: int = 2_000, every: float = 0.35
) -> tuple[list[Stretch], list[Stretch]]:
    """Traffic at this rate, in turn on a lasting connection and with a new one so often.

    None begins in the last second of a stretch: a stream is handed over at its messages.
    """
    quiet: list[Stretch] = []
    busy: list[Stretch] = []
    wanted = names(streams)
    pace = rate / _PER_BURST
    bursts, step = int(seconds * pace), int(every * pace)
    exchange = BinanceExchange(keep_log=False)
    with running(exchange) as url, _proxy(url) as proxy:
        place = f"{proxy.url}/stream?streams={'/'.join(wanted)}"
        sizes = (str(bursts * _PER_BURST), str(2 * rounds))
        with process("-m", "tests.bench.stopwatch", place, *sizes) as stopwatch:
            said(stopwatch, "(ready)")
            exchange.wait_for(lambda: len(exchange.subscribed) == streams, STALL_SECONDS)
            source = _bursts(wanted)
            for number in range(1, rounds + 1):
                for stretches, hangups in (
                    (quiet, range(0)),
                    (busy, range(step, bursts - int(pace), step)),
                ):
                    progress(f"rotating: round {number} of {rounds}")
                    before = len(exchange.peers)
                    _play(exchange, islice(source, bursts), pace, proxy, hangups)
                    middle, p99, most = map(float, said(stopwatch, _DELAYS).split())
                    exchange.wait_for(lambda: len(exchange.open_peers) == 1, STALL_SECONDS)
                    rotations = len(exchange.peers) - before
                    resident = campaign.resident_bytes(proxy.pid)
                    stretches.append(Stretch(rotations, middle, p99, most, resident))
    _check(exchange)
    return quiet, busy


def _bursts(streams: Sequence[str]) -> Iterator[list[Cue]]:
    """Messages without end, the streams in turn; the event time is to be filled in."""
    dice, turn = Random(1), enumerate(cycle(streams))
    while True:
        yield [
            Cue((stream,), message(stream, index // len(streams), dice, _UNTIMED).decode())
            for index, stream in islice(turn, _PER_BURST)
        ]


_UNTIMED = 10**18
"""Nanoseconds: no machine runs for so long."""


def _play(
    exchange: Exchange, bursts: Iterable[list[Cue]], rate: float, proxy: Process, hangups: range
) -> None:
    """Play so many bursts a second; before those of these indexes the connection is replaced."""
    begin = time.monotonic()
    for index, burst in enumerate(bursts):
        time.sleep(max(0.0, begin + index / rate - time.monotonic()))
        if index in hangups:
            proxy.send(signal.SIGHUP)
        now = str(time.monotonic_ns())
        playing = exchange.play(Cue(c.streams, c.text.replace(str(_UNTIMED), now)) for c in burst)
    playing.result(STALL_SECONDS)


def delays(quiet: Sequence[Stretch], busy: Sequence[Stretch]) -> Rows:
    """What replacing connections adds; each figure is the median of the stretches."""
    rows = [["connection", "rotations", "p50", "p99", "p99, min to max", "maximum"]]
    for what, stretches in (("lasting", quiet), ("replaced", busy)):
        p99 = [one.p99 for one in stretches]
        rows.append(
            [
                what,
                str(sum(one.rotations for one in stretches)),
                _us(median(one.median for one in stretches)),
                _us(median(p99)),
                f"{min(p99):,.0f} to {max(p99):,.0f}",
                _us(max(one.most for one in stretches)),
            ]
        )
    pairs = list(zip(quiet, busy, strict=True))
    added = [median(b.median - q.median for q, b in pairs), median(b.p99 - q.p99 for q, b in pairs)]
    return [*rows, ["added", "", *(f"{one:+,.0f} us" for one in added), "", ""]]


def _us(value: float) -> str:
    return f"{value:,.0f} us"


def memory(busy: Sequence[Stretch]) -> str:
    """Whether the proxy grows, as a sentence; its first stretch has filled what is kept anyway."""
    first, last = (one.resident_bytes / 2**20 for one in (busy[0], busy[-1]))
    rotations = sum(one.rotations for one in busy)
    return (
        f"Memory of the proxy: {first:.1f} MiB after {busy[0].rotations} rotations, "
        f"{last:.1f} MiB after {rotations}."
    )


# --- redundancy ---


@dataclass(frozen=True, slots=True)
class Flood:
    """How a flood over so many connections went."""

    rate: float
    """Messages/s to the client."""
    cpu_us: float
    """Of the proxy, for each message that the client got."""


def flooding(lines: int, messages: int) -> Flood:
    """As fast as the sockets take them, over each of so many connections."""
    data = b"".join(islice(frames(), messages))
    exchange = BinanceExchange(keep_log=False)
    options = (f"--redundancy={lines}", "--outbox-mb=4000")
    with running(exchange) as url, _proxy(url, *options) as proxy:
        place = f"{proxy.url}/stream?streams={'/'.join(STREAMS)}"
        with process("-m", "tests.bench.sinks", place, "1", "0") as sinks:
            said(sinks, "(ready)")
            tell(sinks, messages * FRAME_BYTES)
            exchange.wait_for(lambda: all(len(exchange.holders(s)) == lines for s in STREAMS))
            before_ns, begin_ns = cpu_ns(proxy.pid), time.monotonic_ns()
            for start in range(0, len(data), CHUNK_BYTES):
                for peer in exchange.open_peers:
                    exchange.send_bytes(peer, data[start : start + CHUNK_BYTES])
            for peer in exchange.open_peers:
                exchange.send_bytes(peer, _PING)
            exchange.wait_for(lambda: _pongs(exchange) == lines, STALL_SECONDS)
            used_ns = cpu_ns(proxy.pid) - before_ns
            seconds = (int(said(sinks, NUMBER)) - begin_ns) / 1e9
    _check(exchange)
    return Flood(messages / seconds, used_ns / 1e3 / messages)


def _pongs(exchange: Exchange) -> int:
    return sum(frame.kind == "pong" for frame in exchange.frames)


def redundancy(rounds: int, messages: Mapping[int, int]) -> Rows:
    """One connection beside two, measured in turn; ``messages`` says how many are sent on each."""
    runs: dict[int, list[Flood]] = {lines: [] for lines in messages}
    for number in range(1, rounds + 1):
        for lines, floods in runs.items():
            progress(f"redundancy: round {number} of {rounds}, {lines}")
            floods.append(flooding(lines, messages[lines]))
    rows = [["redundancy", "messages/s", "min to max", "CPU a message", "min to max"]]
    for lines, floods in runs.items():
        rates, costs = [one.rate for one in floods], [one.cpu_us for one in floods]
        rows.append(
            [
                str(lines),
                *spread(rates),
                f"{median(costs):.2f} us",
                f"{min(costs):.2f} to {max(costs):.2f}",
            ]
        )
    pairs = list(zip(runs[1], runs[2], strict=True))
    slower = median(two.rate / one.rate for one, two in pairs)
    dearer = median(two.cpu_us / one.cpu_us for one, two in pairs)
    return [*rows, ["2 to 1", f"{slower:.2f}", "", f"{dearer:.2f}", ""]]


# --- all of it ---


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pool")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    rounds = options.rounds
    progress("subscribing")
    head = [
        "",
        "connections",
        "requests each",
        "venue's limit",
        "with margin",
        "took",
        "min to max",
    ]
    asked = [head, *(subscribing(rounds, streams) for streams in (1_000, 10_000))]
    quiet, busy = rotating(rounds, seconds=7)
    tables = asked, delays(quiet, busy), redundancy(rounds, _FLOODS)
    progress("planning")
    planned = plan.rows(_PLANS * rounds)
    progress("")
    where = f"Median of {rounds} rounds, {machine()}."
    said_so = memory(busy)
    print(where, *map(plain, tables), said_so, plain(planned), sep="\n\n")
    if options.markdown:
        put(options.markdown, "pool", "\n\n".join((where, *map(markdown, tables), said_so)))
        put(options.markdown, "plan", markdown(planned))


if __name__ == "__main__":
    main()
