"""wsproxy beside other relays: ``python -m tests.bench.fanout`` (``make bench``).

Source, relay and clients are processes of their own on the loopback interface; every client
subscribes to everything. Measured in turn, in several rounds:

- ``proxy``: wsproxy, which parses each message's stream and routes it by subscription;
- ``record``: the same, and everything is recorded to a file;
- other relays, which do neither (``relays.py``), a mere copy of bytes, and no relay at all.

Saturated, messages come as fast as the relay reads them: ``messages/s`` is what came in until the
last byte of the last message had reached the last client, ``deliveries/s`` that times the clients.
A wsproxy that takes in faster than its clients read queues for them, here without a practical
bound. Paced, they come one by one, and their delays are compared with those without a relay.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench import plots
from tests.bench.measure import DIRECT, Setting, pieces, running
from tests.bench.processes import progress
from tests.bench.relays import RELAYS, Cost
from tests.bench.report import FLOODED, PACED, RATES, sections
from tests.bench.results import Results, paced
from tests.bench.tables import machine, markdown, plain, put
from tests.bench.targets import below_floors


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure in a run."""

    rounds: int
    seconds: float
    """About how long a measurement lasts."""
    floods: tuple[Setting, ...]
    paces: tuple[tuple[Setting, tuple[int, ...]], ...]
    """With these messages/s."""


def _floods(sizes: str, *clients: int, tls: bool = False) -> Iterator[Setting]:
    for count in clients:
        for name, relay in RELAYS.items():
            if not (tls and relay.published):
                yield Setting(name, count, sizes, tls=tls)


def _many(*streams: int) -> Iterator[Setting]:
    for count in streams:
        for relay in ("proxy", "record"):
            yield Setting(relay, 10, streams=count)


def _paces(clients: int, *rates: int) -> Iterator[tuple[Setting, tuple[int, ...]]]:
    for relay in RELAYS:
        yield paced(relay, clients), rates


FULL = Plan(
    rounds=3,
    seconds=1.0,
    floods=(
        *(Setting(DIRECT, 1, sizes) for sizes in ("300", "futures")),
        *_floods("300", *FLOODED),
        *_many(1_000, 10_000),
        *_floods("futures", 1, 50),
        *_floods("300", 1, 50, tls=True),
    ),
    paces=(
        (paced(DIRECT, 1), RATES),
        *(one for clients in PACED for one in _paces(clients, *RATES)),
    ),
)
SHORT = Plan(
    rounds=1,
    seconds=0.5,
    floods=(*_floods("300", 1, 50), *_many(10, 10_000), *_floods("futures", 1, 50)),
    paces=((paced(DIRECT, 1), (1_000, 5_000)), *_paces(10, 1_000), *_paces(50, 5_000)),
)


def run(plan: Plan) -> Results:
    """Measure everything, in turn; says on stderr how far it is."""
    missing = {name: why for name, relay in RELAYS.items() if (why := relay.missing())}
    results = Results(missing=missing, rounds=plan.rounds)
    for number in range(1, plan.rounds + 1):
        for setting in plan.floods:
            if setting.relay not in missing:
                progress(f"round {number} of {plan.rounds}: {setting}")
                _flood(setting, plan.seconds, results)
        for setting, rates in plan.paces:
            if setting.relay not in missing:
                progress(f"round {number} of {plan.rounds}: {setting} {rates}")
                _pace(setting, rates, plan.seconds, results)
    progress("")
    return results


def _flood(setting: Setting, seconds: float, results: Results) -> None:
    with running(setting) as bench:
        bench.flood(max(_messages(setting, seconds / 8), pieces(setting.streams)))  # warms up
        flood = bench.flood(_messages(setting, seconds))
    results.floods.setdefault(setting, []).append(flood)


def _pace(setting: Setting, rates: tuple[int, ...], seconds: float, results: Results) -> None:
    """At each of the rates that the relay reaches; the others would only fill its queues."""
    with running(setting) as bench:
        most = bench.flood(_messages(setting, seconds / 4)).rate
        for rate in rates:
            if rate <= most:
                pace = bench.pace(pieces(rate * seconds), rate)
                results.paces.setdefault((setting, rate), []).append(pace)


def _messages(setting: Setting, seconds: float) -> int:
    """About so many as the relay takes in this time."""
    cost = Cost(0.5, 0) if setting.relay == DIRECT else RELAYS[setting.relay].cost
    return pieces(seconds * 1e6 / (cost.message + setting.clients * cost.delivery))


def main() -> None:
    """Measure and print; exits with 1 if ``--check`` finds a floor missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fanout")
    parser.add_argument("--rounds", type=int, help="so many instead of three, or of one")
    parser.add_argument("--quick", action="store_true", help="one round of what the targets need")
    parser.add_argument("--check", action="store_true", help="the same, and demand the floors")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write tables there, plots beside it"
    )
    options = parser.parse_args()
    plan = SHORT if options.quick or options.check else FULL
    plan = replace(plan, rounds=options.rounds or plan.rounds)
    results = run(plan)
    where = f"Median of {plan.rounds} rounds, {machine()}."
    absent = [f"{relay} was not measured: {why}." for relay, why in results.missing.items()]
    print(where, *absent, sep="\n")
    for name, tables in sections(results):
        print("", *map(plain, tables), sep="\n\n")
        if options.markdown:
            head = [where, *absent, *([plots.PLACES[name]] if name in plots.PLACES else [])]
            put(options.markdown, name, "\n\n".join((*head, *map(markdown, tables))))
    if options.markdown:
        plots.draw(results, options.markdown.parent / "images")
    if options.check and (missed := below_floors(results)):
        sys.exit("too slow: " + "; ".join(missed))


if __name__ == "__main__":
    main()
