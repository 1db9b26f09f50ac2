"""The plots of a run, as SVG: written anew, equal results give equal files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.bench.measure import Setting
from tests.bench.relays import RELAYS
from tests.bench.report import FLOODED, PACED, RATES
from tests.bench.results import Results

_COLOURS = dict(
    zip(
        RELAYS,
        ("#0b5fa5", "#d1495b", "#111111", "#2e8b57", "#8d6a9f", "#e0a030", "#30a0a0", "#777777"),
        strict=True,
    )
)


PLACES = {
    "fanout": "![deliveries/s by clients](images/fanout.svg)",
    "fanout-paced": "![added delay by clients](images/fanout-paced.svg)",
}
"""Where the page shows them: at the head of these tables."""


def draw(results: Results, directory: Path) -> None:
    """Write the plots into the directory."""
    directory.mkdir(exist_ok=True)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "wsproxy", "axes.grid": True}):
        _save(_saturated(results), directory / "fanout.svg")
        _save(_paced(results), directory / "fanout-paced.svg")


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, format="svg", metadata={"Date": None})


def _lines(
    axes: Axes, across: Sequence[int], values: Callable[[str, int], list[float]], unit: str
) -> None:
    """A line a relay, from minimum to maximum a band; both axes are logarithmic."""
    for relay, colour in _COLOURS.items():
        points = {at: found for at in across if (found := values(relay, at))}
        middles = [median(found) for found in points.values()]
        axes.plot(list(points), middles, marker="o", ms=3, color=colour, label=relay)
        lows, highs = (
            [min(found) for found in points.values()],
            [max(found) for found in points.values()],
        )
        axes.fill_between(list(points), lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", yscale="log", ylabel=unit, xlabel="clients")
    axes.set_xticks(across, [str(at) for at in across])
    axes.minorticks_off()


def _saturated(results: Results) -> Figure:
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()

    def deliveries(relay: str, clients: int) -> list[float]:
        return [rate * clients for rate in results.rates(Setting(relay, clients))]

    _lines(axes, FLOODED, deliveries, "deliveries/s")
    axes.set_title("saturated, 300-byte messages")
    figure.legend(loc="outside right center", frameon=False)
    return figure


def _paced(results: Results) -> Figure:
    """A row a percentile, a column a pace."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    grid = figure.subplots(2, len(RATES), sharex=True, sharey="row")
    for row, percentile in enumerate(("p50", "p99")):
        for column, rate in enumerate(RATES):
            axes = grid[row, column]

            def added(relay: str, clients: int, rate: int = rate, row: int = row) -> list[float]:
                return [max(1.0, one) for one in results.added(relay, clients, rate, row)]

            _lines(axes, PACED, added, f"{percentile} added, us")
            axes.set_title(f"{rate:,} messages/s")
            axes.label_outer()
    figure.legend(
        *grid[0, 0].get_legend_handles_labels(), loc="outside right center", frameon=False
    )
    return figure
