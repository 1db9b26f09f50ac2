"""How fast messages reach 1, 10 and 50 clients: ``python -m tests.bench.fanout`` (``make bench``).

Four processes on the loopback interface: a source that sends 300-byte Binance messages of ten
streams as fast as it can, what is measured between them, and all clients, each subscribed to all
ten streams. Measured in turn, in several rounds:

- ``proxy``: wsproxy, which parses each message's stream and routes it by subscription;
- ``record``: the same, and everything is recorded to a file;
- ``plain``: a plain trio-websocket relay, which does neither.

The time runs from the source's first byte until the last byte of the last message has reached the
last client: ``messages/s`` is what came in over that time, ``deliveries/s`` that times the clients.
For ``record``, ``on disk`` is messages/s until the recording, read back, holds every message. A
measurement counts only if every client got exactly the bytes that were sent.

A wsproxy that is faster at taking in than its clients at reading queues for them (here without a
practical bound), where the plain relay makes the source wait.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import wsproxy
from tests.bench.load import STALL_SECONDS, STREAMS
from tests.bench.processes import NUMBER, process, progress, said
from tests.bench.tables import Rows, machine, markdown, plain, put

RELAYS = ("proxy", "record", "plain")

MESSAGES: Mapping[str, Mapping[int, int]] = {
    "proxy": {1: 1_000_000, 10: 600_000, 50: 300_000},
    "record": {1: 800_000, 10: 500_000, 50: 250_000},
    "plain": {1: 20_000, 10: 5_000, 50: 1_000},
}
"""So many for each number of clients: a measurement takes 1 to 3 s."""

SERVES = r".* clients connect to ws://127\.0\.0\.1:(\d+)/.*"
"""What wsproxy says on its output."""

FLOORS = {"times plain at 50 clients": 50.0, "share left with recording": 0.5}
"""What ``--quick`` demands: far below what is usual, for machines that have other things to do."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """How one relay served so many clients."""

    clients: int
    messages: int
    seconds: float
    disk_seconds: float | None
    """Until all was on disk; None where nothing is recorded."""

    @property
    def rate(self) -> float:
        """Messages/s in."""
        return self.messages / self.seconds


Rounds = dict[tuple[str, int], list[Measurement]]
"""The measurements of each relay and number of clients, round by round."""


def measure(relay: str, clients: int, messages: int) -> Measurement:
    """Run one measurement in processes of its own.

    Raises RuntimeError, with what the process said, where one fails; ValueError where messages are
    missing in the recording.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "recording"
        source = stack.enter_context(process("-m", "tests.bench.source"))
        url = f"ws://127.0.0.1:{said(source, NUMBER)}"
        server = stack.enter_context(process(*_command(relay, url, directory)))
        port = said(server, NUMBER if relay == "plain" else SERVES)
        place = f"ws://127.0.0.1:{port}/stream?streams={'/'.join(STREAMS)}"
        sinks = stack.enter_context(
            process("-m", "tests.bench.sinks", place, str(clients), str(messages))
        )
        said(sinks, "(ready)")
        assert source.stdin is not None
        source.stdin.write(f"{messages}\n")
        source.stdin.flush()
        begin_ns = int(said(source, NUMBER))
        end_ns = int(said(sinks, NUMBER))
        disk_ns = _recorded_ns(directory, messages) if relay == "record" else None
    disk_seconds = None if disk_ns is None else (disk_ns - begin_ns) / 1e9
    return Measurement(clients, messages, (end_ns - begin_ns) / 1e9, disk_seconds)


def _command(relay: str, url: str, directory: Path) -> list[str]:
    if relay == "plain":
        return ["-m", "tests.bench.plain_relay", url]
    command = ["-m", "wsproxy", relay, f"binance={url}", "--listen", "127.0.0.1:0"]
    command += ["--max-connections", "1", "--outbox-mb", "4000"]
    if relay == "record":
        command += ["--out", str(directory), "--block-seconds", "0.1"]
    return command


def _recorded_ns(directory: Path, messages: int) -> int:
    """The monotonic time, ns, at which the recording holds so many messages."""
    deadline_ns = time.monotonic_ns() + int(STALL_SECONDS * 1e9)
    while True:
        held = sum(info.messages for info in wsproxy.open(directory).streams.values())
        now_ns = time.monotonic_ns()
        if held == messages:
            return now_ns
        if now_ns > deadline_ns or held > messages:
            raise ValueError(f"{held} of {messages} messages are in the recording")
        time.sleep(0.01)


def run(rounds: int, messages: Mapping[str, Mapping[int, int]]) -> Rounds:
    """Measure everything, in turn, so many times; says on stderr how far it is."""
    results: Rounds = {}
    for number in range(1, rounds + 1):
        for clients in messages["plain"]:
            for relay in RELAYS:
                progress(f"round {number} of {rounds}: {relay}, {clients} clients")
                result = measure(relay, clients, messages[relay][clients])
                results.setdefault((relay, clients), []).append(result)
    progress("")
    return results


# --- tables ---


def _spread(values: Sequence[float]) -> list[str]:
    low, middle, high = min(values), median(values), max(values)
    return [f"{middle:,.0f}", f"{low:,.0f} to {high:,.0f}"]


def _ratios(above: Sequence[Measurement], below: Sequence[Measurement]) -> list[float]:
    """Of the rates, round by round: both were measured in the same minute."""
    return [a.rate / b.rate for a, b in zip(above, below, strict=True)]


def rates(results: Rounds) -> Rows:
    """Every relay and number of clients: median, minimum and maximum."""
    rows = [["", "clients", "messages/s", "min to max", "deliveries/s", "times plain", "on disk/s"]]
    for (relay, clients), runs in sorted(results.items(), key=lambda item: item[0][1]):
        per_second = [one.rate for one in runs]
        disk = [one.messages / one.disk_seconds for one in runs if one.disk_seconds]
        rows.append(
            [
                relay,
                str(clients),
                *_spread(per_second),
                f"{median(per_second) * clients:,.0f}",
                f"{median(_ratios(runs, results['plain', clients])):,.1f}",
                f"{median(disk):,.0f}" if disk else "",
            ]
        )
    return rows


def recording_cost(results: Rounds) -> Rows:
    """What recording costs, for each number of clients."""
    rows = [["recording costs", "clients", "median", "min to max"]]
    for relay, clients in results:
        if relay == "record":
            shares = _ratios(results["record", clients], results["proxy", clients])
            costs = sorted(100 * (1 - share) for share in shares)
            span = f"{costs[0]:.0f} to {costs[-1]:.0f} %"
            rows.append(["", str(clients), f"{median(costs):.0f} %", span])
    return rows


def too_slow(results: Rounds) -> list[str]:
    """The floors that these results fall below."""
    most = max(clients for _, clients in results)
    proxy, record, other = (results[relay, most] for relay in RELAYS)
    found = {
        "times plain at 50 clients": median(_ratios(proxy, other)),
        "share left with recording": median(_ratios(record, proxy)),
    }
    return [
        f"{what}: {value:.2f}, not {FLOORS[what]}"
        for what, value in found.items()
        if value < FLOORS[what]
    ]


def main() -> None:
    """Measure and print; exits with 1 if ``--quick`` finds a floor missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fanout")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one short round, and floors")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there too")
    options = parser.parse_args()
    messages = MESSAGES
    if options.quick:
        messages = {
            relay: {clients: number // 5 for clients, number in counts.items()}
            for relay, counts in MESSAGES.items()
        }
    results = run(1 if options.quick else options.rounds, messages)
    tables = rates(results), recording_cost(results)
    rounds = len(results["plain", 1])
    where = f"Median of {rounds} rounds, 300-byte messages, {machine()}."
    print(where, *map(plain, tables), sep="\n\n")
    if options.markdown:
        put(options.markdown, "fanout", "\n\n".join((where, *map(markdown, tables))))
    if options.quick and (missed := too_slow(results)):
        sys.exit("too slow: " + "; ".join(missed))


if __name__ == "__main__":
    main()
