"""Pictures of a recording as SVG, by matplotlib. Only this module needs it.

No text from a recording gets in: names stand beside the pictures.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from io import StringIO
from math import isnan, nan

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from wsproxy.replay.health.chart import BUCKETS, Chart, Lane
from wsproxy.replay.health.words import span

INK, FAINT, BLUE, RED, VIOLET = "#4a5568", "#e2e8f0", "#3b82c4", "#e5484d", "#7c5cbf"

_WIDTH, _HEIGHT, _AXIS = 9.4, 0.78, 0.3
"""Inches: the picture's width, its height, and what the time axis adds to that."""


def picture(chart: Chart, lane: Lane, salt: str, *, has_axis: bool) -> str:
    """One lane as an ``<svg>`` element: messages a second on the left, latency on the right.

    With different ``salt``, pictures on the same page do not take each other's parts for theirs.
    """
    height = _HEIGHT + _AXIS * has_axis
    edges = _edges(chart)
    with _style(salt):
        figure = Figure(figsize=(_WIDTH, height))
        floor = (0.08 + _AXIS * has_axis) / height
        rates, latency = figure.subplots(1, 2, sharex=True, squeeze=True)
        figure.subplots_adjust(
            left=0.055, right=0.98, bottom=floor, top=1 - 0.06 / height, wspace=0.13
        )
        _draw_rates(rates, lane, edges, chart.duration / BUCKETS / 1e9)
        _draw_latency(latency, lane, edges)
        for axes in (rates, latency):
            for first, behind in lane.holes:
                axes.axvspan(edges[first], edges[behind], color=RED, alpha=0.8, lw=0, zorder=3)
            axes.set_xlim(edges[0], edges[-1])
            axes.tick_params(axis="x", labelbottom=has_axis)
        written = StringIO()
        figure.savefig(written, format="svg", transparent=True, metadata=_NO_METADATA)
    text = written.getvalue()
    return _shorter(r"\1", text[text.index("<svg") :])


_NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


_shorter = re.compile(r"(\.\d)\d+").sub
"""A tenth of a point is finer than any screen."""

Times = NDArray[np.datetime64]


def _style(salt: str) -> AbstractContextManager[None]:
    return mpl.rc_context(
        {
            "font.family": "sans-serif",
            "font.size": 8,
            "svg.fonttype": "none",
            "svg.hashsalt": salt,
            "date.converter": "concise",
            "timezone": "UTC",
            "axes.edgecolor": FAINT,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": FAINT,
            "grid.linewidth": 0.6,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "ytick.minor.size": 0,
        }
    )


def _edges(chart: Chart) -> Times:
    """The buckets' borders."""
    steps = (chart.duration * number // BUCKETS for number in range(BUCKETS + 1))
    return np.array([chart.start.wall_ns + step for step in steps], "datetime64[ns]")


def _draw_rates(axes: Axes, lane: Lane, edges: Times, seconds: float) -> None:
    rates = [count / seconds for count in lane.messages]
    axes.stairs(rates, edges, fill=True, color=BLUE, alpha=0.85)
    axes.set_ylim(0, max(rates) * 1.08 or 1)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}"))


def _draw_latency(axes: Axes, lane: Lane, edges: Times) -> None:
    def column(share: float) -> list[float]:
        values = (one.quantile(share) for one in lane.latency)
        return [nan if value is None else float(value) for value in values]

    if not any(one.count for one in lane.latency):
        axes.set_yticks([])
        axes.text(
            *(0.5, 0.5, "these messages do not say when they were sent"),
            transform=axes.transAxes,
            ha="center",
            va="center",
            color=INK,
            alpha=0.7,
            zorder=4,
        )
        return
    low, quarter, half, three, high = map(column, (0.05, 0.25, 0.5, 0.75, 0.95))
    axes.stairs(high, edges, baseline=low, fill=True, color=VIOLET, alpha=0.25)
    axes.stairs(three, edges, baseline=quarter, fill=True, color=VIOLET, alpha=0.4)
    axes.stairs(half, edges, baseline=None, color=VIOLET, lw=1.1)
    smallest = min(value for value in low if not isnan(value))
    largest = max(value for value in high if not isnan(value))
    if smallest > 0 and largest > 30 * smallest:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=4))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        margin = 0.08 * (largest - smallest) or abs(largest) * 0.1 or 1
        axes.set_ylim(smallest - margin, largest + margin)
        axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: span(value, digits=4)))
