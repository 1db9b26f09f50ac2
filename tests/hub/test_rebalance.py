from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.line_model import Model
from wsproxy.hub.lines import Line, Move, Open, Rules, Step, Want
from wsproxy.hub.rebalance import rebalance

RULES = Rules(3, hot_rate=10)
RATES = {"a": 8, "b": 5, "c": 3, "d": 2, "e": 0, "k": 4, "x": 12}


def line(streams: str, *, mirror: int = 0, endpoint: str = "/", is_open: bool = True) -> Line:
    rate = sum(RATES[stream] for stream in streams)
    return Line(endpoint, mirror, set(streams), rate=rate, is_open_to_more=is_open)


def rebalanced(
    lines: Mapping[int, Line],
    rules: Rules = RULES,
    *,
    free: int = 0,
    mirrors: Sequence[float] = (1,),
    groups: Mapping[str, str] | None = None,
) -> list[Step]:
    def want(stream: str) -> Want:
        return Want(stream, "/", group=(groups or {}).get(stream))

    return rebalance(want, RATES, lines, rules, free=free, mirrors=mirrors, keys=count(10))


@pytest.mark.parametrize(
    ("lines", "free", "steps"),
    [
        pytest.param({1: line("ad"), 2: line("")}, 1, [], id="not hot"),
        pytest.param({1: line("ab"), 2: line("d")}, 1, [Move("a", 1, 2)], id="the heaviest"),
        pytest.param({1: line("ab"), 2: line("c")}, 1, [Move("b", 1, 2)], id="that can go"),
        pytest.param({1: line("ab"), 2: line("d"), 3: line("e")}, 1, [Move("a", 1, 3)], id="cool"),
        pytest.param(
            {1: line("ac"), 2: line("ab"), 3: line("d")}, 1, [Move("a", 2, 3)], id="the hottest"
        ),
        pytest.param(
            {1: line("ab"), 2: line("ac")}, 1, [Open(10, "/", 0), Move("a", 1, 10)], id="a new one"
        ),
        pytest.param({1: line("ab"), 2: line("ac")}, 0, [], id="no room"),
        pytest.param({1: Line("/", 0, {"a"}, rate=11), 2: line("")}, 1, [], id="alone"),
        pytest.param(
            {1: line("xe")},
            1,
            [],
            id="too heavy, and silent",
        ),
        pytest.param({1: line("xde")}, 1, [Open(10, "/", 0), Move("d", 1, 10)], id="apart"),
        pytest.param({1: line("ab"), 2: line("", endpoint="/x")}, 0, [], id="another endpoint"),
        pytest.param({1: line("ab"), 2: line("", is_open=False)}, 0, [], id="closing"),
        pytest.param({1: line("ab", is_open=False), 2: line("")}, 0, [], id="leaving anyway"),
        pytest.param({1: line("ab"), 2: Line("/", 0, set("fgh"))}, 0, [], id="full"),
        pytest.param(
            {1: line("bcx"), 2: line("b")}, 0, [Move("c", 1, 2)], id="not beside its copy"
        ),
    ],
)
def test_one_move(lines: dict[int, Line], free: int, steps: list[Step]) -> None:
    assert rebalanced(lines, free=free) == steps


def test_without_a_limit_nothing_is_hot() -> None:
    assert rebalanced({1: line("abx")}, Rules(), free=1) == []


def test_the_keepalive_stays() -> None:
    rules = Rules(4, hot_rate=10, keepalive="k")
    assert rebalanced({1: line("xk"), 2: line("k")}, rules, free=1) == []
    assert rebalanced({1: line("akc"), 2: line("kcd")}, rules) == []
    assert rebalanced({1: line("kcad"), 2: line("cb")}, rules, free=1) == [Move("d", 1, 2)]


def test_variants_stay_apart() -> None:
    lines = {1: line("ab"), 2: Line("/", 0, {"v"}, groups={"g"})}
    assert rebalanced(lines, groups={"a": "g"}) == [Move("b", 1, 2)]


def test_copies_stay_on_different_mirrors() -> None:
    lines = {1: line("ab"), 2: line("a", mirror=1), 3: line("e", mirror=1)}
    assert rebalanced(lines) == [Move("b", 1, 3)]
    lines = {1: line("ab"), 2: line("a"), 3: line("e", mirror=1)}
    assert rebalanced(lines) == [Move("a", 1, 3)]
    lines = {1: line("ab"), 2: line("a", mirror=1)}
    assert rebalanced(lines, Rules(1, hot_rate=10), free=1, mirrors=(1, 1)) == [
        Open(10, "/", 0),
        Move("a", 1, 10),
    ]


WANTS = {
    name: Want(name, "/", 1 + position % 2, 1 + position % 3, "g" if position % 3 == 0 else None)
    for position, name in enumerate("abcdefghijkl")
}


@settings(max_examples=1_000)
@given(
    st.builds(
        Rules,
        st.none() | st.integers(3, 8),
        st.none() | st.integers(6, 15),
        st.integers(1, 3),
        st.integers(1, 40),
        st.none() | st.just("keepalive"),
    ),
    st.lists(st.integers(0, 20), min_size=12, max_size=12),
    st.integers(1, 8),
    st.sampled_from([(1,), (1, 1), (1, 0), (1, 2)]),
)
def test_it_comes_to_an_end(
    rules: Rules, rates: list[int], cap: int, mirrors: Sequence[float]
) -> None:
    model = Model(WANTS, rules, cap, mirrors)
    model.perform(model.ask(WANTS.values()).steps)
    model.rates = dict(zip(WANTS, rates, strict=True))
    model.measure()
    while steps := model.ask_to_rebalance():
        copies = {stream: len(keys) for stream, keys in model.carriers().items()}
        mirrored = mirrors_of(model)
        highest = max(each.rate for each in model.lines.values())
        squares = sum(each.rate**2 for each in model.lines.values())
        *opened, move = steps
        assert isinstance(move, Move)
        assert model.is_hot(move.source)
        assert [type(step) for step in opened] in ([], [Open])
        model.perform(steps)
        model.measure()
        assert sum(each.rate**2 for each in model.lines.values()) < squares
        assert max(each.rate for each in model.lines.values()) <= highest
        assert copies == {stream: len(keys) for stream, keys in model.carriers().items()}
        assert all(len(mirrors_of(model)[name]) >= len(mirrored[name]) for name in mirrored)
    for key in filter(model.is_hot, model.lines):
        streams = model.placed(model.lines[key])
        for stream in streams if len(streams) > 1 else ():
            assert not any(could_go(model, stream, key, other) for other in model.lines)
            assert model.free == 0 or not 0 < model.rates[stream] <= (rules.hot_rate or 0)


def mirrors_of(model: Model) -> dict[str, set[int]]:
    return {
        stream: {model.lines[key].mirror for key in keys}
        for stream, keys in model.carriers().items()
    }


def could_go(model: Model, stream: str, source: int, target: int) -> bool:
    rate, most = model.rates[stream], model.rules.hot_rate
    if most is None or rate == 0 or model.lines[target].rate + rate > most:
        return False
    beside = {
        line.mirror for key, line in model.lines.items() if key != source and stream in line.streams
    }
    keeps_apart = len(beside | {model.lines[target].mirror}) >= len(mirrors_of(model)[stream])
    return keeps_apart and model.fits(target, WANTS[stream])
