from __future__ import annotations

from tests.bench.plan import Scene, planning, rows
from wsproxy.hub.lines import Move, Open, Rules, Subscribe


def test_what_is_measured_is_what_it_says() -> None:
    scene = Scene(10, Rules(4, hot_rate=5_000))
    assert [len(line.streams) for line in scene.lines.values()] == [4, 4, 2]
    assert len(scene.from_nothing()) == 13
    assert scene.unchanged() == []
    assert [type(step) for step in scene.one_more()] == [Subscribe]
    assert [type(step) for step in scene.one_hot_line()] == [Move]
    assert [type(step) for step in Scene(4, Rules(4, hot_rate=1)).one_more()] == [Open, Subscribe]


def test_every_row_is_complete() -> None:
    found = planning(1, 10, Rules(4, spread_over=5, hot_rate=5_000))
    assert found[0][:2] == ["from nothing, spread on 5 connections", "15"]
    assert [len(row) for row in rows(1, 100)] == [4] * 13
