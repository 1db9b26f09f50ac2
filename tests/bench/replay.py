"""How fast a replay is: ``python -m tests.bench.replay`` (``make bench-replay``).

- As fast as clients read (``--speed max``): 300-byte Binance messages of ten streams, each recorded
  in a moment of its own, to 1, 10 and 50 clients; beside the library's iterator, and beside a plain
  trio-websocket server that has the same messages in memory. The time runs from the moment the
  timeline begins until every client has as many bytes as were recorded.
- From the command to the first message, with a client that waits for the port.
- A seek: from the HTTP request until a paused client has the first byte of what it is told there.
  Real order books of Coinbase, again and again with shifted time.
- At the pace of the recording: how late each message comes, beside the most punctual one.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from statistics import median, quantiles
from subprocess import Popen
from urllib.request import Request, urlopen

import wsproxy
from tests.bench import load, seeking
from tests.bench.processes import NUMBER, SERVES, process, progress, said
from tests.bench.sinks import connect, handshake
from tests.bench.tables import AIMS, Rows, aim, machine, publish, spread
from tests.kit import traffic
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.writer import Writer
from wsproxy.venues.base import Numbered
from wsproxy.venues.naming import Naming
from wsproxy.venues.registry import venue

CLIENTS = (1, 10, 50)
SECOND_NS = 10**9
_BEGAN_NS = 1_723_161_255 * SECOND_NS
_PLAYS = r".*(playing to) \d+ client.*"
_BOOKS = ("level2:BTC-USD", "level2:ETH-USD")
_SIZES_GB = (0.1, 1.0, 10.0)


def record(out: Path, messages: int, apart_ns: int) -> Path:
    """A recording of so many messages, each so long after the one before."""
    dice = Random(1)
    with Writer.create(out, venues=["binance"], wall_ns=_BEGAN_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "wss://bench"))
        writer.write(
            Batch(
                Kind.MESSAGE,
                1,
                _BEGAN_NS + number * apart_ns,
                number * apart_ns,
                [load.message(stream, number, dice)],
                None,
                [(stream,)],
            )
            for number, stream in zip(range(messages), _streams(), strict=False)
        )
    return out


def _streams() -> Iterator[str]:
    while True:
        yield from load.STREAMS


# --- as fast as clients read -------------------------------------------------------------------


def replayed(recording: Path, clients: int, *options: str, arrivals: Path | None = None) -> float:
    """Seconds from the begin of the timeline to the last byte of the last client."""
    command = ["-m", "wsproxy", "replay", str(recording), "--clients", str(clients)]
    command += ["--listen", "127.0.0.1:0", "--admin", "off", "--settle", "0.1", *options]
    path = "/binance/stream?streams=" + "/".join(load.STREAMS)
    return _watched(command, SERVES, path, recording, clients, arrivals)


def served_plainly(recording: Path, clients: int) -> float:
    """The same with the plain server."""
    command = ["-m", "tests.bench.plain_server", str(recording), str(clients)]
    return _watched(command, NUMBER, "/", recording, clients, None)


def _watched(
    command: Sequence[str],
    port: str,
    path: str,
    recording: Path,
    clients: int,
    arrivals: Path | None,
) -> float:
    with process(*command) as server:
        url = f"ws://127.0.0.1:{said(server, port)}{path}"
        size = wsproxy.open(recording).info.records * load.FRAME_BYTES
        into = [] if arrivals is None else [str(arrivals)]
        with process("-m", "tests.bench.viewers", url, str(clients), str(size), *into) as viewers:
            said(viewers, "(ready)")
            said(server, _PLAYS)
            began_ns = time.monotonic_ns()
            end_ns = int(said(viewers, NUMBER))
            viewers.wait()
    return (end_ns - began_ns) / SECOND_NS


def iterated(recording: Path) -> float:
    """Seconds that the library's iterator takes."""
    began = time.perf_counter()
    for _ in wsproxy.open(recording).messages():
        pass
    return time.perf_counter() - began


def throughput(rounds: int, messages: int) -> tuple[Rows, dict[str, list[float]]]:
    """The table, and the ratios that were aimed at, round by round."""
    runs: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        whole = record(Path(place, "whole"), messages, 200_000)
        few = {n: record(Path(place, f"few{n}"), messages // 25 // n, 200_000) for n in CLIENTS}
        for number in range(rounds):
            progress(f"as fast as clients read: round {number + 1} of {rounds}")
            runs.setdefault(("iterator", ""), []).append(messages / iterated(whole))
            for n in CLIENTS:
                rate = messages / replayed(whole, n, "--speed", "max")
                runs.setdefault(("replay", str(n)), []).append(rate)
                count = wsproxy.open(few[n]).info.records
                rate = count / served_plainly(few[n], n)
                runs.setdefault(("plain server", str(n)), []).append(rate)
    rows = [["", "clients", "messages/s", "min to max", "deliveries/s", "times plain"]]
    for (name, clients), rates in runs.items():
        base = runs.get(("plain server", clients))
        times = f"{median(a / b for a, b in zip(rates, base, strict=True)):.0f}" if base else ""
        deliveries = f"{median(rates) * int(clients):,.0f}" if clients else ""
        rows.append([name, clients, *spread(rates), deliveries, times])
    pairs = zip(runs["replay", "1"], runs["plain server", "1"], strict=True)
    return rows, {"rate": runs["replay", "1"], "times": [ours / theirs for ours, theirs in pairs]}


# --- the first message -------------------------------------------------------------------------


def first_message(rounds: int) -> list[float]:
    """Seconds from the command to a client's first message, each time in a new process."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        recording = record(Path(place, "r"), 10_000, 200_000)
        for _ in range(rounds):
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            began = time.perf_counter()
            command = ["-m", "wsproxy", "replay", str(recording), "--settle", "0"]
            with process(*command, "--listen", f"127.0.0.1:{port}", "--admin", "off"):
                url = f"ws://127.0.0.1:{port}/binance/ws/{load.STREAMS[0]}"
                with _as_soon_as_possible(url) as connection:
                    _wait_for_bytes(connection)
                    found.append(time.perf_counter() - began)
    return found


def _as_soon_as_possible(url: str) -> socket.socket:
    while True:
        try:
            return connect(url, ())[0]
        except ConnectionRefusedError:
            time.sleep(0.001)


def _wait_for_bytes(connection: socket.socket) -> None:
    """Until something comes; takes all of it that is there."""
    with selectors.DefaultSelector() as ready:
        ready.register(connection, selectors.EVENT_READ)
        if not ready.select(load.STALL_SECONDS):
            raise TimeoutError("nothing came for too long")
    connection.recv(1 << 20)


# --- seeking -----------------------------------------------------------------------------------


def books() -> list[list[Batch]]:
    """Blocks of real messages of order books, which begin with keyframes."""
    lines = [line for line in traffic.load(traffic.COINBASE) if line.dir == "in"]
    payloads = [line.m.encode() for line in lines]
    named = Naming("coinbase")(payloads, "")
    states = {stream: venue("coinbase").state(stream) for stream in _BOOKS}
    batches = []
    for line, payload, names in zip(lines, payloads, named, strict=True):
        if not set(names) & set(_BOOKS):
            continue
        if b'"snapshot"' not in payload[:300]:
            batches.append(Batch(Kind.MESSAGE, 1, line.t, line.t, [payload], None, [names]))
        elif state := states[names[0]]:
            state.feed(payload)
    began = batches[0].wall_ns - 1
    keyframes = []
    for stream, state in states.items():
        body = state.snapshot() if state is not None else None
        if isinstance(body, Numbered):
            keyframe = [body.first()]
            keyframes.append(Batch(Kind.KEYFRAME, 1, began, began, keyframe, None, [(stream,)]))
    return [keyframes, *seeking.blocks(batches)]


def seeks(size_gb: float, times: int) -> list[float]:
    """Seconds for each of so many seeks in a recording of so many GB."""
    with tempfile.TemporaryDirectory() as place:
        recording = Path(place, "big")
        targets = seeking.make(
            recording,
            books(),
            ConnectionInfo(1, "coinbase", "wss://bench"),
            size=int(size_gb * 1e9),
            part_bytes=4 << 30,
            targets=times,
            lead_in=True,
        )
        command = ["-m", "wsproxy", "replay", str(recording), "--listen", "127.0.0.1:0"]
        with process(*command, "--admin", "127.0.0.1:0") as server:
            return list(_seek(server, targets))


def _seek(server: Popen[str], targets: Sequence[seeking.Target]) -> Iterator[float]:
    """With a client of all these books, while the replay stands still."""
    admin = f"http://{said(server, r'.* admin on (.*)')}/replay"
    url = f"ws://127.0.0.1:{said(server, SERVES)}/coinbase"
    products = [book.partition(":")[2] for book in _BOOKS]
    wanted = json.dumps({"type": "subscribe", "channel": "level2", "product_ids": products})
    _order(f"{admin}/pause")
    client, protocol = handshake(url)
    protocol.send_text(wanted.encode())
    client.sendall(b"".join(protocol.data_to_send()))
    said(server, _PLAYS)
    with client:
        _read_all(client)
        for target in targets:
            began = time.perf_counter()
            _order(f"{admin}/seek", {"to": target.time})
            _wait_for_bytes(client)
            yield time.perf_counter() - began
            _read_all(client)


def _order(url: str, body: object = None) -> None:
    data = b"" if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, method="POST"), timeout=load.STALL_SECONDS) as answer:
        answer.read()


def _read_all(connection: socket.socket) -> None:
    """Until nothing has come for a while."""
    with selectors.DefaultSelector() as ready:
        ready.register(connection, selectors.EVENT_READ)
        while ready.select(0.5):
            if not connection.recv(1 << 20):
                raise ConnectionError("the replay closed its client")


# --- the pace of the recording -----------------------------------------------------------------


def lateness(seconds: int) -> list[float]:
    """How late each message comes, ms, beside the most punctual one; 200 a second."""
    apart_ns = SECOND_NS // 200
    with tempfile.TemporaryDirectory() as place:
        recording = record(Path(place, "r"), seconds * 200, apart_ns)
        replayed(recording, 1, "--speed", "1", arrivals=Path(place, "arrivals"))
        pairs = array("q", Path(place, "arrivals").read_bytes())
    late, done = [], 0
    for at_ns, size in zip(pairs[::2], pairs[1::2], strict=True):
        while done < min(size // load.FRAME_BYTES, seconds * 200):
            late.append(at_ns - done * apart_ns)
            done += 1
    return [(one - min(late)) / 1e6 for one in late]


# --- tables ------------------------------------------------------------------------------------


def report(rounds: int, messages: int, seconds: int) -> Iterator[tuple[str, Rows]]:
    """Each table with its title."""
    rows, ratios = throughput(rounds, messages)
    yield f"As fast as clients read, {messages:,} messages of 300 bytes.", rows
    rates = [rate / 1e6 for rate in ratios["rate"]]
    aims: list[Sequence[str]] = [
        AIMS,
        aim("max, to one client, million messages/s", "≥ 0.5", rates),
        aim("max, to one client, times the plain server", "≥ 30", ratios["times"]),
        aim("from the command to the first message, s", "≤ 1", first_message(rounds)),
    ]
    if traffic.TRAFFIC.is_dir():
        for size in _SIZES_GB:
            progress(f"seeking in {size:g} GB")
            times = [one * 1e3 for one in seeks(size, 10)]
            aims.append(aim(f"a seek in {size:g} GB, ms", "≤ 200", times))
    progress("the pace of the recording")
    late = lateness(seconds)
    hundredths = quantiles(late, n=100)
    aims.append(aim("late at 1x, median, ms", "≤ 2", [hundredths[49]]))
    aims.append(["late at 1x, 99th percentile, ms", "", f"{hundredths[98]:.2f}", "", ""])
    progress("")
    yield "Aims.", aims


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.replay")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=500_000)
    parser.add_argument("--seconds", type=int, default=30, help="at the pace of the recording")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    where = f"Median of {options.rounds} rounds, {machine()}."
    tables = report(options.rounds, options.messages, options.seconds)
    publish(where, tables, options.markdown, "replay")


if __name__ == "__main__":
    main()
