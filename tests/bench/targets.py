"""What the bench demands of wsproxy, as ratios within one run.

The aim is what a machine that has nothing else to do should show; the floor is what
``make bench-check`` demands of any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from tests.bench.load import SIZES
from tests.bench.measure import Setting
from tests.bench.results import Results, ratios
from tests.bench.tables import Rows, spread


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio that is to be large, or small."""

    what: str
    aim: float
    floor: float
    """Above the aim, if the ratio is to be small."""
    found: Callable[[Results], list[float]]
    """Of each round; none where it was not measured."""

    @property
    def small(self) -> bool:
        """Whether the ratio is to be at most the aim."""
        return self.floor > self.aim

    def reach(self, value: float, limit: float) -> float:
        """How well the value does by that limit: 1 meets it, more is better."""
        return limit / max(value, 1e-9) if self.small else value / limit


def _peer(clients: int, sizes: str) -> Callable[[Results], list[float]]:
    setting = Setting("record", clients, sizes)
    return lambda results: ratios(results.rates(setting), results.best_rates(setting))


def _plain(clients: int, sizes: str) -> Callable[[Results], list[float]]:
    ours, plain = Setting("record", clients, sizes), Setting("plain", clients, sizes)
    return lambda results: ratios(results.rates(ours), results.rates(plain))


def _late(clients: int, rate: int, percentile: int) -> Callable[[Results], list[float]]:
    return lambda results: ratios(
        results.added("record", clients, rate, percentile),
        results.best_added(clients, rate, percentile),
    )


def _recording(clients: int) -> Callable[[Results], list[float]]:
    ours = Setting("record", clients), Setting("proxy", clients)
    return lambda results: ratios(*map(results.rates, ours))


def _recording_late(clients: int, rate: int) -> Callable[[Results], list[float]]:
    return lambda results: ratios(
        results.added("record", clients, rate, 0), results.added("proxy", clients, rate, 0)
    )


def _streams(relay: str) -> Callable[[Results], list[float]]:
    many, few = Setting(relay, 10, streams=10_000), Setting(relay, 10)
    return lambda results: ratios(results.rates(many), results.rates(few))


def _saturated(sizes: str) -> list[Target]:
    which = f"saturated, {sizes} messages" if sizes != "300" else "saturated, 300 bytes"
    return [
        Target(f"{which}, 50 clients: times the best peer", 20, 4, _peer(50, sizes)),
        Target(f"{which}, 50 clients: times plain", 200, 50, _plain(50, sizes)),
        Target(f"{which}, 1 client: times the best peer", 3, 0.2, _peer(1, sizes)),
    ]


TARGETS = (
    *(target for sizes in SIZES for target in _saturated(sizes)),
    Target("1,000/s, 10 clients: p50 added, of the best peer's", 1.2, 5, _late(10, 1_000, 0)),
    Target("1,000/s, 10 clients: p99 added, of the best peer's", 1, 10, _late(10, 1_000, 1)),
    Target("5,000/s, 50 clients: p99 added, of the best peer's", 0.1, 1.5, _late(50, 5_000, 1)),
    Target("recording, saturated, 1 client: rate left", 0.85, 0.35, _recording(1)),
    Target("recording, saturated, 50 clients: rate left", 0.85, 0.5, _recording(50)),
    Target("recording, 1,000/s, 10 clients: p50 added", 1.1, 3, _recording_late(10, 1_000)),
    Target("10,000 streams, routed, 10 clients: rate of 10's", 0.8, 0.3, _streams("proxy")),
    Target("10,000 streams, recorded, 10 clients: rate of 10's", 0.8, 0.2, _streams("record")),
)


def verdicts(results: Results) -> Rows:
    """Each target, what was found, whether that meets it, and by how much."""
    rows = [["", "aim", "median", "min to max", "met", "found / aim"]]
    for target in TARGETS:
        aim = f"{'≤' if target.small else '≥'} {target.aim:g}"
        if not (found := target.found(results)):
            rows.append([target.what, aim, "not measured", "", "", ""])
            continue
        value = median(found)
        met = "yes" if target.reach(value, target.aim) >= 1 else "no"
        rows.append([target.what, aim, *spread(found, 2), met, f"{value / target.aim:.2f}"])
    return rows


def below_floors(results: Results) -> list[str]:
    """The targets whose floor these results do not reach."""
    return [
        f"{target.what}: {median(found):.2f}, the floor is {target.floor:g}"
        for target in TARGETS
        if (found := target.found(results)) and target.reach(median(found), target.floor) < 1
    ]
