"""How fast the parts are by themselves: ``python -m tests.bench.micro``.

- splitting: a chunk of 256 KiB off a socket into 300-byte messages;
- spreading: what becomes of messages between the splitter and the sockets of clients that want all
  of them: Binance's go on as they came, Coinbase's are numbered for each client;
- writing and reading: the generated traffic of both venues (a message a batch, as on a quiet
  connection) into a recording, and back as records;
- starting: ``wsproxy --help`` beside an empty Python program.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from statistics import median

import wsproxy
from tests.bench.load import chunks
from tests.bench.tables import Rows, machine, markdown, plain, put
from tests.kit.make_demo_recording import CONNECTIONS, batches
from wsproxy.hub.cohort import Member
from wsproxy.hub.routing import Route, Routing
from wsproxy.model import Kind
from wsproxy.recording.writer import Writer
from wsproxy.venues.base import Venue
from wsproxy.venues.registry import venue
from wsproxy.wire.frames import Splitter

_MAX_MESSAGE_BYTES = 1 << 24
_CHUNK = 500
"""Messages that are spread together."""


def _seconds(work: Callable[[], object], rounds: int) -> list[float]:
    """How long the work took, each time."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return times


def _split(runs: list[bytes]) -> int:
    splitter = Splitter(_MAX_MESSAGE_BYTES)
    return sum(len(splitter.feed(run).payloads) for run in runs)


def splitting(rounds: int) -> Rows:
    """Messages/s that come out of chunks."""
    runs = chunks() * 20
    return [_rate("splitting", _split(runs), _seconds(lambda: _split(runs), rounds))]


def spreading(rounds: int, times: int) -> Rows:
    """Messages/s from a venue's messages to what is written to its clients.

    They want them all; or, where they differ, a stream each.
    """
    rows = []
    for name, path in (("binance", "/stream"), ("coinbase", "/")):
        held = [batch for batch in batches() if batch.kind is Kind.MESSAGE and all(batch.streams)]
        mine = [batch for batch in held if batch.connection == CONNECTIONS[name].number] * times
        payloads = [payload for batch in mine for payload in batch.payloads]
        names = [streams for batch in mine for streams in batch.streams]
        streams = tuple(dict.fromkeys(chain.from_iterable(names)))
        apart = [(streams[number % len(streams)],) for number in range(50)]
        for whom, wanted in (("1", [streams]), ("50", [streams] * 50), ("50 that differ", apart)):
            spread = _spreading(venue(name), path, wanted, payloads, names)
            what = f"spreading {name} to {whom}"
            rows.append(_rate(what, len(payloads), _seconds(spread, rounds)))
    return rows


def _spreading(
    venue: Venue,
    path: str,
    wanted: Sequence[tuple[str, ...]],
    payloads: Sequence[bytes],
    names: Sequence[tuple[str, ...]],
) -> Callable[[], object]:
    routing = Routing(venue)
    view = venue.session(path, "").view
    for number, streams in enumerate(wanted):
        routing.place(Member(number), view, frozenset(streams))
    known: dict[tuple[str, ...], Route] = {}
    for carried in dict.fromkeys(names):
        routing.remember(known, carried, Route(carried, carried))
    routes = [known[carried] for carried in names]

    def spread() -> None:
        for start in range(0, len(payloads), _CHUNK):
            here = slice(start, start + _CHUNK)
            routing.spread(payloads[here], routes[here])
            served = sum(len(list(whom)) for _, whom in routing.deliveries())
            if served != len(wanted):
                raise ValueError(f"{served} of {len(wanted)} clients were served")

    return spread


def recording(rounds: int, times: int) -> Rows:
    """Records/s into a recording and out of it; its traffic is a minute, so many times over."""
    traffic = batches() * times
    count = len(traffic)
    raw = sum(len(batch.payloads[0]) for batch in traffic)
    with tempfile.TemporaryDirectory() as directory:
        places = (Path(directory, f"{number}") for number in range(rounds))

        def write() -> Path:
            with Writer.create(next(places), venues=list(CONNECTIONS), wall_ns=1, mono_ns=1) as it:
                for connection in CONNECTIONS.values():
                    it.add_connection(connection)
                it.write(traffic)
            return it.path.parent

        def read() -> None:
            read_back = sum(1 for _ in wsproxy.open(place).messages(kinds=None))
            if read_back != count:
                raise ValueError(f"{read_back} of {count} records came back")

        writing = _seconds(write, rounds)
        place = Path(directory, "0")
        size = sum(part.stat().st_size for part in place.iterdir())
        return [
            _rate("writing a recording", count, writing),
            _rate("reading it", count, _seconds(read, rounds)),
            [f"its size: {raw / 1e6:.1f} MB raw", f"{size / 1e6:.1f} MB", f"{raw / size:.1f} : 1"],
        ]


def _rate(what: str, count: int, seconds: list[float]) -> list[str]:
    low, high = (f"{count / time:,.0f}" for time in (max(seconds), min(seconds)))
    return [what, f"{count / median(seconds):,.0f} /s", f"{low} to {high}"]


def starting(rounds: int) -> Rows:
    """How long ``wsproxy --help`` takes, in ms; the last row is the ratio."""

    def run(*command: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, *command], check=True, capture_output=True)

    empty = _seconds(run("-c", "pass"), rounds)
    helped = _seconds(run("-m", "wsproxy", "--help"), rounds)
    return [
        *(
            [what, f"{median(t) * 1e3:.0f} ms", f"{min(t) * 1e3:.0f} to {max(t) * 1e3:.0f}"]
            for what, t in (("python -c pass", empty), ("wsproxy --help", helped))
        ),
        ["ratio", f"{median(helped) / median(empty):.1f}", ""],
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.micro")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table there too")
    options = parser.parse_args()
    rounds = options.rounds
    rows = [
        ["", "median", "min to max"],
        *splitting(rounds),
        *spreading(rounds, 10),
        *recording(rounds, times=10),
        *starting(rounds),
    ]
    where = f"Median of {rounds} rounds, one process, {machine()}."
    print(where, plain(rows), sep="\n\n")
    if options.markdown:
        put(options.markdown, "micro", f"{where}\n\n{markdown(rows)}")


if __name__ == "__main__":
    main()
