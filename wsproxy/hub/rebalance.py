"""Rebalancing: a heavy stream leaves a line that runs hot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from wsproxy.hub.lines import Draft, Line, Move, Open, Rules, Step, Want, choose_mirror


def rebalance(
    want: Callable[[str], Want],
    rates: Mapping[str, float],
    lines: Mapping[int, Line],
    rules: Rules,
    *,
    free: int,
    mirrors: Sequence[float],
    keys: Iterator[int],
) -> list[Step]:
    """Take one stream off a hot line: no step, a Move, or an Open and the Move to it.

    It goes to a line that stays below ``hot_rate`` with it, the coolest; and it is the heaviest
    that can go so, of the hottest line first. Only where none can, a new line is opened, for the
    heaviest that leaves it below ``hot_rate``. So every move lowers the sum of the squares of the
    lines' rates: while the rates are constant, moving comes to an end and nothing moves back.

    ``rates`` are the streams' messages/s, ``want`` says what a stream takes of a line; the other
    arguments are those of ``plan``. How often to move is up to the caller.
    """
    most = rules.hot_rate
    if most is None:
        return []
    hot = [(-line.rate, key) for key, line in lines.items() if line.rate > most]
    for _, source in sorted(hot):
        line = lines[source]
        streams = [stream for stream in line.streams if stream != rules.keepalive]
        if not line.is_open_to_more or len(streams) < 2:
            continue
        ranked = sorted((-rates.get(stream, 0.0), stream) for stream in streams)
        heavy = [(-rate, stream) for rate, stream in ranked if -most <= rate < 0]
        targets = [
            Draft(key, other, rules)
            for key, other in lines.items()
            if other.is_open_to_more and other.endpoint == line.endpoint and other.rate < most
        ]
        targets.sort(key=lambda target: (target.line.rate, target.key))
        for rate, stream in heavy:
            for target in targets:
                if target.line.rate + rate > most:
                    break
                if _can_go(want(stream), line, target, lines):
                    return [Move(stream, source, target.key)]
        if free > 0 and heavy:
            stream = heavy[0][1]
            lines_on = Counter(other.mirror for other in lines.values())
            mirror = choose_mirror(mirrors, lines_on, _mirrors_beside(stream, line, lines))
            new = Open(next(keys), line.endpoint, mirror)
            return [new, Move(stream, source, new.key)]
    return []


def _can_go(want: Want, line: Line, target: Draft, lines: Mapping[int, Line]) -> bool:
    """Whether the target can take the stream, and its copies stay on as many mirrors."""
    if want.stream in target.line.streams or target.obstacle(want) is not None:
        return False
    beside = _mirrors_beside(want.stream, line, lines)
    return target.line.mirror not in beside or line.mirror in beside


def _mirrors_beside(stream: str, line: Line, lines: Mapping[int, Line]) -> set[int]:
    """Where the other copies are."""
    return {
        other.mirror for other in lines.values() if other is not line and stream in other.streams
    }
