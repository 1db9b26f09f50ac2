"""How fast planning is: a part of ``python -m tests.bench.pool``.

10,000 streams on few and on many connections: from nothing; when all of them are looked at and
nothing has changed; when a client wants one stream more; and when one connection is hot and one
of its streams is to leave it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from statistics import median

from tests.bench.tables import Rows
from wsproxy.hub.lines import Line, Open, Rules, Step, Subscribe, Want
from wsproxy.hub.plan import plan
from wsproxy.hub.rebalance import rebalance

_HOT = 5_000.0
_MORE = [Want("another@trade", "/stream")]


class Scene:
    """So many streams on as many lines as they take, of which one is hot."""

    def __init__(self, streams: int, rules: Rules) -> None:
        self.wants = {
            f"s{each}@trade": Want(f"s{each}@trade", "/stream") for each in range(streams)
        }
        self.carriers: dict[str, list[int]] = {}
        self.lines: dict[int, Line] = {}
        self._rules = rules
        held: dict[int, set[str]] = {}
        for step in self.from_nothing():
            match step:
                case Open(key, endpoint, mirror):
                    held[key] = set()
                    self.lines[key] = Line(endpoint, mirror, held[key])
                case Subscribe(key, stream):
                    held[key].add(stream)
                    self.carriers[stream] = [key]
        self.lines[0].rate = 2 * _HOT
        self._rates = dict.fromkeys(self.wants, 1.0)

    def from_nothing(self) -> list[Step]:
        """Every stream, on no lines yet."""
        return self._plan(list(self.wants.values()), {}, {})

    def unchanged(self) -> list[Step]:
        """Every stream, carried already."""
        return self._plan(list(self.wants.values()), self.carriers, self.lines)

    def one_more(self) -> list[Step]:
        """One stream beside the others."""
        return self._plan(_MORE, self.carriers, self.lines)

    def one_hot_line(self) -> list[Step]:
        """A stream away from the hot line."""
        return rebalance(
            self.wants.__getitem__,
            self._rates,
            self.lines,
            self._rules,
            free=1,
            mirrors=(1,),
            keys=count(len(self.lines)),
        )

    def _plan(
        self,
        wants: Sequence[Want],
        carriers: Mapping[str, Sequence[int]],
        lines: Mapping[int, Line],
    ) -> list[Step]:
        keys = count(len(lines))
        return plan(
            wants, carriers, lines, self._rules, free=len(wants), mirrors=(1,), keys=keys
        ).steps


def planning(rounds: int, streams: int, rules: Rules) -> Rows:
    """How long each takes, in ms."""
    scene = Scene(streams, rules)
    how = "packed" if rules.spread_over == 1 else "spread"
    where = f"{how} on {len(scene.lines):,} connections"
    return [
        _row(f"from nothing, {where}", scene.from_nothing, rounds),
        _row(f"unchanged, {where}", scene.unchanged, rounds),
        _row(f"one more, {where}", scene.one_more, rounds),
        _row(f"one hot line, {where}", scene.one_hot_line, rounds),
    ]


def _row(what: str, work: Callable[[], list[Step]], rounds: int) -> list[str]:
    times = []
    for _ in range(rounds):
        begin_ns = time.perf_counter_ns()
        steps = work()
        times.append((time.perf_counter_ns() - begin_ns) / 1e6)
    return [
        what,
        f"{len(steps):,}",
        f"{median(times):.3f} ms",
        f"{min(times):.3f} to {max(times):.3f}",
    ]


def rows(rounds: int, streams: int = 10_000) -> Rows:
    """All of it, as a table."""
    return [
        [f"planning {streams:,} streams", "steps", "median", "min to max"],
        *planning(rounds, streams, Rules(1_024, hot_rate=_HOT)),
        *planning(rounds, streams, Rules(1_024, spread_over=20, hot_rate=_HOT)),
        *planning(rounds, streams, Rules(25, hot_rate=_HOT)),
    ]
