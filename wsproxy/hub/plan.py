"""Planning: which upstream connection carries which stream, inside every limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from wsproxy.hub.lines import (
    Close,
    Draft,
    Limit,
    Line,
    Open,
    Rules,
    Step,
    Subscribe,
    Unsubscribe,
    Want,
    choose_mirror,
)


class Refused(NamedTuple):
    """A stream that is carried only ``held`` times, less often than wanted."""

    stream: str
    held: int
    limit: Limit

    def why(self, rules: Rules, cap: int) -> str:
        """A sentence for the client's developer; ``cap`` is the most connections there may be."""
        match self.limit:
            case Limit.CONNECTIONS:
                detail = ""
            case Limit.STREAMS:
                detail = f", those for it with {rules.streams_per_connection:,} streams each"
            case Limit.CHARACTERS:
                detail = f", those for it with {rules.characters_per_connection:,} characters each"
            case Limit.GROUP:
                detail = ", those for it with a variant that the venue cannot tell apart from it"
            case Limit.COPIES:
                detail = ", those for it with a copy of it already"
            case Limit.LENGTH:
                most = rules.characters_per_connection
                return f"{self.stream} is longer than the {most:,} characters of a connection"
        return (
            f"{self.stream} would need one more upstream connection, and all {cap} "
            f"(--max-connections) are taken{detail}"
        )


class Plan(NamedTuple):
    """Steps, in an order that exceeds no limit on the way, and what cannot be had."""

    steps: list[Step]
    refused: list[Refused]


def plan(
    wants: Iterable[Want],
    carriers: Mapping[str, Collection[int]],
    lines: Mapping[int, Line],
    rules: Rules,
    *,
    free: int,
    mirrors: Sequence[float],
    keys: Iterator[int],
) -> Plan:
    """Have every stream carried as often as it is wanted, in as few steps as that takes.

    ``wants`` are those that changed, or all: the cost is that of what is passed and of the number
    of lines. Each stream is there once, the most important first: in this order they get what
    room there is. ``carriers`` are the keys of the lines that carry a stream. Streams that are
    carried as wanted stay where they are, and a line without streams is closed.

    ``free`` is how many lines may be opened; a line that the plan closes does not add to it, since
    closing takes time. ``mirrors`` are the weights of the venue's URLs, 0 for one that is not to
    be used now. ``keys`` gives the keys of new lines.
    """
    planner = _Planner(carriers, lines, rules, free, mirrors, keys)
    missing: list[Want] = []
    for want in wants:
        held = len(carriers.get(want.stream, ()))
        if held > want.copies:
            planner.drop(want)
        elif held < want.copies:
            missing.append(want)
    for want in missing:
        planner.carry(want)
    return planner.finish()


_Rank = tuple[bool, int, int]
"""Whether a line is hot, how full it is, its key: the least is filled first."""


class _Planner:
    """One plan in the making. First everything is dropped, then the rest is carried."""

    def __init__(
        self,
        carriers: Mapping[str, Collection[int]],
        lines: Mapping[int, Line],
        rules: Rules,
        free: int,
        mirrors: Sequence[float],
        keys: Iterator[int],
    ) -> None:
        self._carriers = carriers
        self._lines = lines
        self._rules = rules
        self._free = free
        self._mirrors = mirrors
        self._keys = keys
        self._lines_on = Counter(line.mirror for line in lines.values())
        self._lines_of: Counter[str] = Counter()
        self._drafts: dict[int, Draft] = {}
        self._roomy: dict[str, list[_Rank]] = {}
        """By endpoint, a heap of the lines that may have room."""
        self._unsubscribes: list[Unsubscribe] = []
        self._steps: list[Step] = []
        self._refused: list[Refused] = []

    def drop(self, want: Want) -> None:
        """Take away surplus copies."""
        held = [self._draft(key) for key in sorted(self._carriers[want.stream])]
        while len(held) > want.copies:
            surplus = max(held, key=lambda draft: self._surplus(draft, held))
            held.remove(surplus)
            surplus.change(want, -1)
            self._unsubscribes.append(Unsubscribe(surplus.key, want.stream))

    def carry(self, want: Want) -> None:
        """Add the copies that are missing."""
        held = [self._draft(key) for key in self._carriers.get(want.stream, ())]
        while len(held) < want.copies:
            found = self._find(want, held)
            if isinstance(found, Limit):
                self._refused.append(Refused(want.stream, len(held), found))
                return
            found.change(want, 1)
            heappush(self._roomy[want.endpoint], self._rank(found))
            held.append(found)
            self._steps.append(Subscribe(found.key, want.stream))

    def finish(self) -> Plan:
        """Close what is empty."""
        closing = {
            key
            for key, line in self._lines.items()
            if line.is_open_to_more and self._draft(key).is_empty
        }
        unsubscribes = [step for step in self._unsubscribes if step.key not in closing]
        return Plan([*unsubscribes, *self._steps, *map(Close, sorted(closing))], self._refused)

    def _find(self, want: Want, held: list[Draft]) -> Draft | Limit:
        """The line for one more copy, off the heap now; or why there is none."""
        most = self._rules.characters_per_connection
        if most is not None and want.characters > most:
            return Limit.LENGTH
        heap = self._heap(want.endpoint)
        limit = Limit.STREAMS if self._lines_of[want.endpoint] else Limit.CONNECTIONS
        avoided = self._mirrors_to_avoid(held)
        passed = []
        best = second = None
        while heap and best is None:
            rank = heappop(heap)
            draft = self._drafts[rank[2]]
            obstacle = Limit.COPIES if draft in held else draft.obstacle(want)
            if obstacle is Limit.STREAMS:
                continue  # and not put back: nothing is dropped any more
            passed.append(rank)
            if obstacle is not None:
                limit = max(limit, obstacle)
            elif draft.line.mirror in avoided:
                second = second or draft
            else:
                best = draft
        if self._free > 0 and (best is None or self._deserves_company(best)):
            chosen: Draft | None = self._open(want.endpoint, avoided)
        else:
            chosen = best or second
        for rank in passed:
            if chosen is None or rank[2] != chosen.key:
                heappush(heap, rank)
        return limit if chosen is None else chosen

    def _surplus(self, draft: Draft, held: list[Draft]) -> tuple[bool, int, _Rank]:
        """The greater, the better one of the copies leaves this line."""
        sharing = sum(other.line.mirror == draft.line.mirror for other in held)
        return not draft.line.is_open_to_more, sharing, self._rank(draft)

    def _deserves_company(self, draft: Draft) -> bool:
        """Whether a new line is better than one more stream on this one."""
        to_spread = self._lines_of[draft.line.endpoint] < self._rules.spread_over
        return self._is_hot(draft.line) or (to_spread and not draft.is_empty)

    def _open(self, endpoint: str, avoided: set[int]) -> Draft:
        mirror = choose_mirror(self._mirrors, self._lines_on, avoided)
        key = next(self._keys)
        self._steps.append(Open(key, endpoint, mirror))
        self._free -= 1
        self._lines_on[mirror] += 1
        self._lines_of[endpoint] += 1
        own = () if self._rules.keepalive is None else (self._rules.keepalive,)
        draft = self._drafts[key] = Draft(key, Line(endpoint, mirror, own), self._rules)
        return draft

    def _mirrors_to_avoid(self, held: list[Draft]) -> set[int]:
        """Those of the other copies, unless there are no others in use."""
        used = {draft.line.mirror for draft in held}
        others = (mirror for mirror, weight in enumerate(self._mirrors) if weight > 0)
        return used if any(mirror not in used for mirror in others) else set()

    def _heap(self, endpoint: str) -> list[_Rank]:
        if endpoint not in self._roomy:
            self._roomy[endpoint] = heap = [
                self._rank(self._draft(key))
                for key, line in self._lines.items()
                if line.endpoint == endpoint and line.is_open_to_more
            ]
            heapify(heap)
            self._lines_of[endpoint] = len(heap)
        return self._roomy[endpoint]

    def _draft(self, key: int) -> Draft:
        draft = self._drafts.get(key)
        if draft is None:
            draft = self._drafts[key] = Draft(key, self._lines[key], self._rules)
        return draft

    def _rank(self, draft: Draft) -> _Rank:
        spread = self._rules.spread_over > 1
        return self._is_hot(draft.line), draft.streams if spread else -draft.streams, draft.key

    def _is_hot(self, line: Line) -> bool:
        return self._rules.hot_rate is not None and line.rate > self._rules.hot_rate
