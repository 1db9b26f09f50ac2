from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.line_model import Model
from wsproxy.hub.lines import (
    Close,
    Limit,
    Line,
    Open,
    Rules,
    Step,
    Subscribe,
    Unsubscribe,
    Want,
)
from wsproxy.hub.plan import Plan, Refused, plan


def look(steps: Iterable[Step]) -> list[tuple[str, ...]]:
    """Steps with their kinds: as tuples some are equal that are not the same."""
    return [(type(step).__name__, *map(str, step)) for step in steps]


def planned(
    wants: Iterable[Want],
    lines: dict[int, Line],
    rules: Rules,
    *,
    free: int = 0,
    mirrors: Sequence[float] = (1,),
) -> Plan:
    carriers: dict[str, list[int]] = {}
    for key, line in lines.items():
        for stream in line.streams:
            carriers.setdefault(stream, []).append(key)
    return plan(wants, carriers, lines, rules, free=free, mirrors=mirrors, keys=count(10))


def full(*streams: str, rate: float = 0, mirror: int = 0, endpoint: str = "/") -> Line:
    return Line(endpoint, mirror, set(streams), rate=rate)


@pytest.mark.parametrize(
    ("want", "lines", "rules", "free", "steps"),
    [
        pytest.param(
            Want("a", "/"), {}, Rules(), 1, [Open(10, "/", 0), Subscribe(10, "a")], id="1"
        ),
        pytest.param(Want("a", "/"), {1: full("a")}, Rules(), 1, [], id="carried"),
        pytest.param(Want("a", "/", 0), {1: full("b")}, Rules(), 1, [], id="not carried"),
        pytest.param(
            Want("a", "/", 0), {1: full("a", "b")}, Rules(), 1, [Unsubscribe(1, "a")], id="less"
        ),
        pytest.param(Want("a", "/", 0), {1: full("a")}, Rules(), 1, [Close(1)], id="the last"),
        pytest.param(
            Want("d", "/"),
            {1: full("a"), 2: full("b", "c"), 3: full("x", "y", "z")},
            Rules(3),
            1,
            [Subscribe(2, "d")],
            id="packs",
        ),
        pytest.param(
            Want("d", "/"),
            {1: full("a", "e"), 2: full("b")},
            Rules(3, spread_over=2),
            1,
            [Subscribe(2, "d")],
            id="spreads",
        ),
        pytest.param(
            Want("d", "/"),
            {1: full("a", "e"), 2: full("b")},
            Rules(3, spread_over=3),
            1,
            [Open(10, "/", 0), Subscribe(10, "d")],
            id="spreads over more",
        ),
        pytest.param(
            Want("d", "/"),
            {1: full("a", "b", rate=9), 2: full("c", rate=2)},
            Rules(3, hot_rate=8),
            1,
            [Subscribe(2, "d")],
            id="not to the hot",
        ),
        pytest.param(
            Want("d", "/"),
            {1: full("a", rate=9)},
            Rules(3, hot_rate=8),
            1,
            [Open(10, "/", 0), Subscribe(10, "d")],
            id="rather to a new line",
        ),
        pytest.param(
            Want("d", "/"),
            {1: full("a", rate=9)},
            Rules(3, hot_rate=8),
            0,
            [Subscribe(1, "d")],
            id="but if it must be",
        ),
        pytest.param(
            Want("a", "/"),
            {1: full("a", "b"), 2: full("a", "c", "d")},
            Rules(),
            1,
            [Unsubscribe(1, "a")],
            id="surplus leaves the emptier line",
        ),
        pytest.param(
            Want("a", "/", 2),
            {1: full("a", "b", "c"), 2: full("a", "d", "e", "f"), 3: full("a", "x", mirror=1)},
            Rules(),
            1,
            [Unsubscribe(1, "a")],
            id="surplus leaves the mirror that has two",
        ),
        pytest.param(
            Want("a", "/"),
            {1: full("a", "b"), 2: Line("/", 0, set("acde"), is_open_to_more=False)},
            Rules(),
            1,
            [Unsubscribe(2, "a")],
            id="surplus leaves the line that will end",
        ),
    ],
)
def test_one_change(
    want: Want, lines: dict[int, Line], rules: Rules, free: int, steps: list[Step]
) -> None:
    result = planned([want], lines, rules, free=free)
    assert look(result.steps) == look(steps)
    assert not result.refused


def test_copies_go_to_different_mirrors() -> None:
    lines = {1: full("x", "y"), 2: full("z", mirror=1)}
    want = Want("a", "/", 2)
    assert planned([want], lines, Rules(), mirrors=(1, 1)).steps == [(1, "a"), (2, "a")]
    result = planned([want], {1: full("x")}, Rules(), free=1, mirrors=(1, 1))
    assert result.steps == [(1, "a"), (10, "/", 1), (10, "a")]


def test_copies_share_a_mirror_if_they_must() -> None:
    lines = {1: full("a"), 2: full("x"), 3: full("y", "z")}
    assert planned([Want("a", "/", 2)], lines, Rules(), mirrors=(1, 1)).steps == [(3, "a")]


def test_copies_go_to_different_lines_where_there_is_one_mirror_in_use() -> None:
    lines = {1: full("x", "y"), 2: full("z")}
    assert planned([Want("a", "/", 2)], lines, Rules(), mirrors=(1, 0)).steps == [
        (1, "a"),
        (2, "a"),
    ]


@pytest.mark.parametrize(
    ("rules", "line"),
    [
        (Rules(1), full("a")),
        (Rules(spread_over=2), full("a")),
        (Rules(spread_over=2, keepalive="k"), full("a", "k")),
    ],
)
def test_a_line_that_becomes_empty_takes_what_is_new(rules: Rules, line: Line) -> None:
    wants = [Want("b", "/"), Want("a", "/", 0)]
    assert look(planned(wants, {1: line}, rules, free=1).steps) == [
        ("Unsubscribe", "1", "a"),
        ("Subscribe", "1", "b"),
    ]


def test_a_line_that_takes_no_more_is_left_alone() -> None:
    closing = Line("/", 0, {"a"}, is_open_to_more=False)
    result = planned([Want("b", "/")], {1: closing}, Rules(), free=1)
    assert result.steps == [Open(10, "/", 0), Subscribe(10, "b")]
    empty = Line("/", 0, is_open_to_more=False)
    assert planned([], {1: empty}, Rules()).steps == []


@pytest.mark.parametrize(
    ("want", "line", "limit", "why"),
    [
        (Want("d", "/x"), full("a"), Limit.CONNECTIONS, ""),
        (Want("d", "/"), full("a", "b", "c"), Limit.STREAMS, "those for it with 3 streams each"),
        (
            Want("d", "/", characters=5),
            Line("/", 0, {"a"}, 6),
            Limit.CHARACTERS,
            "those for it with 10 characters each",
        ),
        (
            Want("d", "/", group="g"),
            Line("/", 0, {"a"}, 1, {"g"}),
            Limit.GROUP,
            "those for it with a variant that the venue cannot tell apart from it",
        ),
    ],
)
def test_a_refusal_says_which_limit(want: Want, line: Line, limit: Limit, why: str) -> None:
    rules = Rules(3, 10)
    result = planned([want], {1: line}, rules)
    assert result == Plan([], [Refused("d", 0, limit)])
    assert result.refused[0].why(rules, 20) == (
        "d would need one more upstream connection, and all 20 (--max-connections) are taken"
        + (why and f", {why}")
    )


def test_of_several_reasons_the_one_nearest_to_success_is_told() -> None:
    lines = {1: Line("/", 0, {"a", "b"}, 2, {"g"}), 2: Line("/", 0, {"c"}, 10)}
    want = Want("d", "/", characters=5, group="g")
    assert planned([want], lines, Rules(3, 10)).refused == [Refused("d", 0, Limit.GROUP)]


def test_half_a_redundancy_is_told() -> None:
    [refused] = planned([Want("a", "/", 2)], {1: full("b")}, Rules()).refused
    assert refused == Refused("a", 1, Limit.COPIES)
    assert refused.why(Rules(), 1).endswith(" are taken, those for it with a copy of it already")


def test_what_no_line_could_carry_opens_none() -> None:
    rules = Rules(None, 21_000)
    result = planned([Want("a", "/", characters=21_001)], {}, rules, free=9)
    assert result == Plan([], [Refused("a", 0, Limit.LENGTH)])
    assert result.refused[0].why(rules, 9) == (
        "a is longer than the 21,000 characters of a connection"
    )


def test_new_lines_go_to_mirrors_by_weight() -> None:
    wants = [Want(f"{number}", "/") for number in range(8)]
    steps = planned(wants, {}, Rules(1), free=8, mirrors=(2, 1, 1)).steps
    mirrors = [step.mirror for step in steps if isinstance(step, Open)]
    assert sorted(mirrors) == [0, 0, 0, 0, 1, 1, 2, 2]


# --- histories ---------------------------------------------------------------------------------

WANTS = {
    name: Want(
        name,
        "/a" if number < 9 else "/b",
        characters=1 + number % 4,
        group="uvw"[number % 3] if number % 2 else None,
    )
    for number, name in enumerate("abcdefghijkl")
}
NAMES = st.sampled_from(sorted(WANTS))
RULES = st.builds(
    Rules,
    st.none() | st.integers(2, 4),
    st.none() | st.integers(3, 9),
    st.integers(1, 3),
    st.none() | st.integers(3, 12),
    st.none() | st.just("keepalive"),
)
MIRRORS = st.sampled_from([(1,), (1, 1), (2, 1), (1, 0), (0, 0), (1, 2, 1)])
CHANGES = st.dictionaries(NAMES, st.integers(0, 3), min_size=1, max_size=8)
EVENTS = st.one_of(
    st.tuples(st.just("want"), CHANGES),
    st.tuples(st.just("want"), CHANGES),
    st.tuples(st.just("cap"), st.integers(0, 7)),
    st.tuples(st.just("die"), st.integers(0, 6)),
    st.tuples(st.just("leave"), st.integers(0, 6)),
    st.tuples(st.just("rates"), st.dictionaries(NAMES, st.integers(0, 8))),
    st.tuples(st.just("weights"), st.tuples(*[st.integers(0, 2)] * 3)),
    st.tuples(st.just("settle"), st.just(0)),
)


@settings(max_examples=2_000)
@given(RULES, MIRRORS, st.integers(0, 6), st.lists(EVENTS, max_size=15))
def test_histories(
    rules: Rules, mirrors: Sequence[float], cap: int, events: list[tuple[str, object]]
) -> None:
    model = Model(WANTS, rules, cap, mirrors)
    wanted: dict[str, int] = {}
    for event in events:
        match event:
            case ("want", dict(copies)):
                wanted |= copies
                check(model, [WANTS[name]._replace(copies=copies[name]) for name in copies])
                continue
            case ("cap", int(number)):
                model.cap = number
            case ("die", int(number)) if number < len(model.lines):
                model.die(sorted(model.lines)[number])
            case ("leave", int(number)) if number < len(model.lines):
                model.lines[sorted(model.lines)[number]].is_open_to_more = False
            case ("rates", dict(rates)):
                model.rates = rates
            case ("weights", tuple(weights)):
                model.mirrors = weights[: len(mirrors)]
        model.closing = 0
        model.measure()
        check(model, [WANTS[name]._replace(copies=wanted[name]) for name in sorted(wanted)])
        for _ in range(100):
            steps = model.ask_to_rebalance()
            if not steps:
                break
            model.perform(steps)
            model.measure()
        else:
            pytest.fail("rebalancing does not end")


def check(model: Model, wants: list[Want]) -> None:
    """Plan for these, perform it, and hold everything against what it should have been."""
    before = model.carriers()
    result = model.ask(wants)
    assert look(result.steps) == look(model.ask_backwards(wants).steps)
    closed = {step.key for step in result.steps if isinstance(step, Close)}
    for key in closed:
        model.empty(key)
    fresh: set[int] = set()
    for step in result.steps:
        if isinstance(step, Open):
            fresh = {step.key}
        elif isinstance(step, Subscribe):
            assert step.key == best_line(model, model.wants[step.stream], fresh)
            fresh = set()
        model.perform([step])
    assert not fresh
    after = model.carriers()
    changed = {want.stream for want in wants}
    assert all(before.get(name) == after.get(name) for name in WANTS.keys() - changed)
    refused = {each.stream: each for each in result.refused}
    assert len(refused) == len(result.refused)
    for want in wants:
        held = after.get(want.stream, set())
        if want.stream in refused:
            assert refused[want.stream].held == len(held) < want.copies
            assert model.free <= 0 or refused[want.stream].limit is Limit.LENGTH
            assert not any(model.fits(key, want) for key in model.lines)
        else:
            assert len(held) == want.copies
        assert held <= before.get(want.stream, set()) or held >= before.get(want.stream, set())
    assert all(model.placed(line) or not line.is_open_to_more for line in model.lines.values())
    named = {step.key for step in result.steps if isinstance(step, Subscribe | Unsubscribe)}
    assert not closed & named
    again = model.ask(wants)
    assert again.steps == []
    assert [each[:2] for each in again.refused] == [each[:2] for each in result.refused]


def best_line(model: Model, want: Want, fresh: set[int]) -> int | None:
    """Where one more copy belongs, found by looking at all lines; ``fresh`` was opened for it."""
    used = {line.mirror for line in model.lines.values() if want.stream in line.streams}
    if all(weight <= 0 or mirror in used for mirror, weight in enumerate(model.mirrors)):
        used = set()
    spread = model.rules.spread_over > 1

    def rank(key: int) -> tuple[bool, bool, int, int]:
        count = len(model.lines[key].streams)
        apart = model.lines[key].mirror not in used
        return not apart, model.is_hot(key), count if spread else -count, key

    there = model.lines.keys() - fresh
    best = min((key for key in there if model.fits(key, want)), key=rank, default=None)
    if model.free + len(fresh) > 0:
        others = [
            key
            for key in there
            if model.lines[key].is_open_to_more and model.lines[key].endpoint == want.endpoint
        ]
        if (
            best is None
            or any(rank(best)[:2])
            or (model.placed(model.lines[best]) and len(others) < model.rules.spread_over)
        ):
            return max(fresh, default=None)
    return best


@given(RULES, MIRRORS, st.integers(0, 4), st.permutations(sorted(WANTS)), st.data())
def test_the_first_come_first(
    rules: Rules, mirrors: Sequence[float], cap: int, names: list[str], data: st.DataObject
) -> None:
    wants = [WANTS[name]._replace(copies=data.draw(st.integers(1, 2))) for name in names]
    few = wants[: data.draw(st.integers(0, len(wants)))]
    steps, refused = Model(WANTS, rules, cap, mirrors).ask(wants)
    first_steps, first_refused = Model(WANTS, rules, cap, mirrors).ask(few)
    assert look(steps)[: len(first_steps)] == look(first_steps)
    assert refused[: len(first_refused)] == first_refused
