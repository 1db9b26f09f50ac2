"""A model of lines that performs steps and objects to every one that breaks a rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import count

from wsproxy.hub.lines import (
    Close,
    Line,
    Move,
    Open,
    Rules,
    Step,
    Subscribe,
    Unsubscribe,
    Want,
)
from wsproxy.hub.plan import Plan, plan
from wsproxy.hub.rebalance import rebalance


class Model:
    """Lines, what they carry, and what they may; ``wants`` are all streams that there can be."""

    def __init__(
        self, wants: Mapping[str, Want], rules: Rules, cap: int, mirrors: Sequence[float]
    ) -> None:
        self.wants = dict(wants)
        self.rules = rules
        self.cap = cap
        self.mirrors = mirrors
        self.lines: dict[int, Line] = {}
        self.rates: dict[str, float] = {}
        self.closing = 0
        """Connections that are closed but not gone, and so count."""
        self._next_key = 0

    @property
    def free(self) -> int:
        return self.cap - len(self.lines) - self.closing

    def carriers(self) -> dict[str, set[int]]:
        carriers: dict[str, set[int]] = {}
        for key, line in self.lines.items():
            for stream in self.placed(line):
                carriers.setdefault(stream, set()).add(key)
        return carriers

    def ask(self, wants: Iterable[Want]) -> Plan:
        """What ``plan`` says, in whatever order it is told of the lines."""
        return self._ask(list(wants), self.lines)

    def ask_backwards(self, wants: Iterable[Want]) -> Plan:
        return self._ask(list(wants), dict(reversed(self.lines.items())))

    def _ask(self, wants: list[Want], lines: Mapping[int, Line]) -> Plan:
        return plan(
            wants,
            self.carriers(),
            lines,
            self.rules,
            free=self.free,
            mirrors=self.mirrors,
            keys=count(self._next_key),
        )

    def ask_to_rebalance(self) -> list[Step]:
        return rebalance(
            self.wants.__getitem__,
            self.rates,
            self.lines,
            self.rules,
            free=self.free,
            mirrors=self.mirrors,
            keys=count(self._next_key),
        )

    def perform(self, steps: Iterable[Step]) -> None:
        """Do the steps; no rule is broken after any of them."""
        for step in steps:
            match step:
                case Open(key, endpoint, mirror):
                    assert key == self._next_key, "keys are taken in order"
                    self._next_key += 1
                    assert self.free > 0
                    usable = [weight > 0 for weight in self.mirrors]
                    assert usable[mirror] or not any(usable)
                    own = {self.rules.keepalive} if self.rules.keepalive else set()
                    self.lines[key] = Line(endpoint, mirror, own, 0, set())
                case Subscribe(key, stream):
                    self._add(key, stream)
                case Unsubscribe(key, stream):
                    self._remove(key, stream)
                case Close(key):
                    assert self.lines.pop(key).is_open_to_more
                    self.closing += 1
                case Move(stream, source, target):
                    self._add(target, stream)
                    self._remove(source, stream)

    def die(self, key: int) -> None:
        """A line breaks and is not mended."""
        del self.lines[key]

    def empty(self, key: int) -> None:
        """A line that will be closed carries nothing that is wanted."""
        for stream in self.placed(self.lines[key]):
            self._remove(key, stream)

    def placed(self, line: Line) -> set[str]:
        """What the line carries besides the keepalive."""
        return {stream for stream in line.streams if stream != self.rules.keepalive}

    def measure(self) -> None:
        """The lines' rates are known a while after a change, not during a plan."""
        for line in self.lines.values():
            line.rate = sum(self.rates.get(stream, 0) for stream in line.streams)

    def fits(self, key: int, want: Want) -> bool:
        """Whether a line can take a stream, said in other words than those of the planner."""
        line = self.lines[key]
        if (
            line.endpoint != want.endpoint
            or not line.is_open_to_more
            or want.stream in line.streams
        ):
            return False
        wants = [self.wants[stream] for stream in self.placed(line)] + [want]
        groups = [each.group for each in wants if each.group is not None]
        return (
            len(line.streams) < (self.rules.streams_per_connection or 1 << 30)
            and sum(each.characters for each in wants)
            <= (self.rules.characters_per_connection or 1 << 30)
            and len(set(groups)) == len(groups)
        )

    def is_hot(self, key: int) -> bool:
        return self.rules.hot_rate is not None and self.lines[key].rate > self.rules.hot_rate

    def _add(self, key: int, stream: str) -> None:
        assert self.fits(key, self.wants[stream])
        line = self.lines[key]
        line.streams = {*line.streams, stream}
        self._count(line)

    def _remove(self, key: int, stream: str) -> None:
        line = self.lines[key]
        assert stream in line.streams
        line.streams = {*line.streams} - {stream}
        self._count(line)

    def _count(self, line: Line) -> None:
        wants = [self.wants[stream] for stream in self.placed(line)]
        line.characters = sum(want.characters for want in wants)
        line.groups = {want.group for want in wants if want.group is not None}
