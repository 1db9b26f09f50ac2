"""The tables of a run."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.bench.measure import DIRECT, PERCENTILES, Flood, Setting
from tests.bench.relays import RELAYS
from tests.bench.results import Results, paced, ratios
from tests.bench.tables import Rows, spread
from tests.bench.targets import verdicts

RATES = (100, 1_000, 5_000)
"""Messages/s."""
FLOODED = (1, 10, 50, 200)
PACED = (1, 10, 50)
"""Clients."""


def saturated(results: Results, sizes: str) -> Rows:
    """Every relay and number of clients."""
    counts = ["messages/s", "min to max", "deliveries/s", "times plain"]
    rows = [["", "clients", *counts, "CPU s/M", "peak MB", "on disk/s"]]
    for clients in FLOODED:
        plain = results.rates(Setting("plain", clients, sizes))
        for relay in (*RELAYS, DIRECT):
            setting = Setting(relay, clients, sizes)
            if not (runs := results.floods.get(setting)):
                continue
            times = ratios(results.rates(setting), plain)
            rows.append(
                [
                    relay,
                    str(clients),
                    *spread(results.rates(setting)),
                    f"{median(results.rates(setting)) * clients:,.0f}",
                    f"{median(times):,.1f}" if times else "",
                    *_costs(relay, runs),
                ]
            )
    return rows


def _costs(relay: str, runs: list[Flood]) -> list[str]:
    """CPU, memory, disk."""
    if relay == DIRECT:
        return ["", "", ""]
    disk = [one.messages / one.disk_seconds for one in runs if one.disk_seconds]
    return [
        f"{median(one.delivery_cost for one in runs):.2f}",
        f"{median(one.peak_bytes for one in runs) / 1e6:,.0f}",
        f"{median(disk):,.0f}" if disk else "",
    ]


def variants(results: Results) -> Rows:
    """Many streams and TLS, beside ten streams without: messages/s."""
    rows = [["", "clients", "", "messages/s", "min to max", "of 10 streams, TCP", "CPU s/M"]]
    for setting, runs in results.floods.items():
        if setting.streams == 10 and not setting.tls:
            continue
        usual = results.rates(setting._replace(streams=10, tls=False))
        share = ratios(results.rates(setting), usual)
        rows.append(
            [
                setting.relay,
                str(setting.clients),
                "TLS" if setting.tls else f"{setting.streams:,} streams",
                *spread(results.rates(setting)),
                f"{median(share):.2f}" if share else "",
                f"{median(one.delivery_cost for one in runs):.2f}",
            ]
        )
    return rows


def delays(results: Results, percentile: int) -> Rows:
    """What each relay adds, us, at each pace; and what the direct connection takes itself."""
    head = f"p{PERCENTILES[percentile]:g}, us"
    rows = [[head, "clients", "messages/s", *RELAYS, DIRECT]]
    for clients in PACED:
        for rate in RATES:
            cells = [_cell(results.added(one, clients, rate, percentile)) for one in RELAYS]
            direct = results.paces.get((paced(DIRECT, 1), rate), [])
            if any(cells):
                itself = _cell([one.delays[percentile] for one in direct])
                rows.append(["", str(clients), f"{rate:,}", *(c or "-" for c in cells), itself])
    return rows


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    low, middle, high = min(values), median(values), max(values)
    return f"{middle:,.0f}" if low == high else f"{middle:,.0f} ({low:,.0f}-{high:,.0f})"


def paced_costs(results: Results) -> Rows:
    """CPU seconds for a million deliveries, at each pace."""
    rows = [["CPU s/M", "clients", "messages/s", *RELAYS]]
    for clients in PACED:
        for rate in RATES:
            runs = [results.paces.get((paced(one, clients), rate), []) for one in RELAYS]
            cells = [f"{median(p.delivery_cost for p in one):.1f}" if one else "-" for one in runs]
            if any(runs):
                rows.append(["", str(clients), f"{rate:,}", *cells])
    return rows


def sections(results: Results) -> Iterator[tuple[str, list[Rows]]]:
    """The tables, by the marks of the page between which they belong."""
    yield "fanout", [saturated(results, "300")]
    yield "fanout-futures", [saturated(results, "futures")]
    yield "fanout-variants", [variants(results)]
    yield "fanout-paced", [*(delays(results, n) for n in range(len(PERCENTILES)))]
    yield "fanout-paced-cpu", [paced_costs(results)]
    yield "fanout-targets", [verdicts(results)]
