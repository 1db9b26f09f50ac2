"""What was measured, round by round, and what follows from it: medians, ratios, the best peer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.bench.measure import DIRECT, Flood, Pace, Setting
from tests.bench.relays import PEERS

PACED_SIZES = "futures"


@dataclass(frozen=True, slots=True)
class Results:
    """Of one run."""

    floods: dict[Setting, list[Flood]] = field(default_factory=dict)
    paces: dict[tuple[Setting, int], list[Pace]] = field(default_factory=dict)
    """By setting and messages/s; shorter where a relay was too slow for that in some round."""
    missing: dict[str, str] = field(default_factory=dict)
    """Relays that could not be measured, and why."""
    rounds: int = 0

    def rates(self, setting: Setting) -> list[float]:
        """Messages/s of each round; none where it was not measured."""
        return [one.rate for one in self.floods.get(setting, ())]

    def added(self, relay: str, clients: int, rate: int, percentile: int) -> list[float]:
        """What a relay adds to the direct connection's delay, us, at this percentile of ``Pace``.

        Of each round; none where it was not measured, or could not keep up in each of them.
        """
        runs = self.paces.get((paced(relay, clients), rate), [])
        direct = self.paces.get((paced(DIRECT, 1), rate), [])
        if len(runs) != self.rounds:
            return []
        return [
            one.delays[percentile] - floor.delays[percentile]
            for one, floor in zip(runs, direct, strict=True)
        ]

    def best_rates(self, setting: Setting) -> list[float]:
        """Of the fastest peer in this setting."""
        return _best(map(self.rates, peers(setting)), max)

    def best_added(self, clients: int, rate: int, percentile: int) -> list[float]:
        """Of the peer that adds least."""
        return _best((self.added(peer, clients, rate, percentile) for peer in PEERS), min)


def paced(relay: str, clients: int) -> Setting:
    """The setting of a relay whose messages come one by one."""
    return Setting(relay, clients, PACED_SIZES)


def peers(setting: Setting) -> list[Setting]:
    """The same for each peer."""
    return [setting._replace(relay=peer) for peer in PEERS]


def _best(found: Iterable[list[float]], choose: Callable[..., list[float]]) -> list[float]:
    return choose((values for values in found if values), key=median, default=[])


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round, because both were measured in the same minute; none if one is missing.

    What was divided by is at least a millionth of a second, or a message a second.
    """
    if not above or not below:
        return []
    return [a / max(b, 1.0) for a, b in zip(above, below, strict=True)]
