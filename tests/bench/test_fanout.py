"""The bench counts right; how fast anything is, is not for tests."""

from __future__ import annotations

import sys
from array import array
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import fanout, measure, plots, report
from tests.bench.fanout import FULL, SHORT, Plan, run
from tests.bench.measure import DIRECT, Flood, Pace, Setting, running
from tests.bench.relays import RELAYS
from tests.bench.results import Results, paced
from tests.bench.tables import markdown, plain, put
from tests.bench.targets import TARGETS, below_floors, verdicts

OURS = ("proxy", "record", "copy", "picows", "websockets", "plain")
"""What needs nothing to be installed."""


def test_every_relay_brings_every_client_every_byte(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fanout, "RELAYS", {name: RELAYS[name] for name in OURS})
    direct = Setting(DIRECT, 1, "futures")
    settings = [direct, *(paced(name, 2) for name in OURS)]
    results = run(Plan(1, 1e-6, (direct,), tuple((one, (1_000,)) for one in settings)))
    ((flood,),) = results.floods.values()
    assert (flood.messages, flood.deliveries) == (250, 250)
    assert list(results.paces) == [(one, 1_000) for one in settings]
    for (pace,) in results.paces.values():
        assert 0 < pace.delays[0] <= pace.delays[1] <= pace.delays[2]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "setting",
    [
        Setting("proxy", 2, streams=1_100),
        Setting("record", 1, tls=True),
        Setting("picows", 1, tls=True),
        Setting("copy", 1, tls=True),
    ],
    ids=["many streams", "TLS", "TLS, a peer", "TLS, the ceiling"],
)
def test_variants_bring_every_byte(setting: Setting) -> None:
    with running(setting) as bench:
        assert bench.flood(2_500).deliveries == 2_500 * setting.clients


def test_a_relay_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["-c", "raise SystemExit('no luck')"]
    broken = replace(RELAYS["plain"], command=lambda _: [sys.executable, *command])
    monkeypatch.setattr(measure, "RELAYS", {"plain": broken})
    with pytest.raises(RuntimeError, match="no luck"), running(Setting("plain", 1)):
        pass


def test_a_relay_that_is_missing_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(RELAYS["plain"], missing=lambda: "it is not there")
    monkeypatch.setattr(fanout, "RELAYS", {"plain": absent})
    results = run(Plan(1, 1, (Setting("plain", 1),), ()))
    assert results.missing == {"plain": "it is not there"}
    assert not results.floods


def test_delays_are_from_a_message_being_due_to_its_last_byte() -> None:
    client = [1_000_000, 608, 3_000_000, 0]  # the second and third came together
    sent = array("q", [900_000, 1_500_000, 2_000_000]).tobytes()
    received = array("q", [len(client), *client] * 2).tobytes()
    assert list(measure.delays("300", sent, received)) == [100, 1_500, 1_000] * 2


def _results(rates: dict[str, float], delays: dict[str, float]) -> Results:
    """The same in all settings of the full plan, in three rounds."""
    results = Results(rounds=3)
    for setting in (*FULL.floods, *SHORT.floods):
        if rate := rates.get(setting.relay):
            results.floods[setting] = [Flood(1_000, 50_000, 1_000 / rate, 1, 10**7)] * 3
    for setting, paces in FULL.paces:
        if delay := delays.get(setting.relay):
            for rate in paces:
                results.paces[setting, rate] = [Pace((delay, 2 * delay, 3 * delay), 5)] * 3
    return results


GOOD = _results(
    {"proxy": 1_000, "record": 900, "copy": 5_000, "picows": 40, "ws": 45, "plain": 4},
    {DIRECT: 10, "proxy": 15, "record": 15.2, "copy": 12, "picows": 100, "ws": 200},
)
BAD = _results(
    {"proxy": 1_000, "record": 300, "picows": 2_000, "plain": 300},
    {DIRECT: 10, "proxy": 100, "record": 1_000, "picows": 15},
)


def test_targets_are_ratios_to_the_best_peer_which_a_mere_copy_is_not() -> None:
    head, first, second, *_ = verdicts(GOOD)
    assert head[1:] == ["aim", "median", "min to max", "met", "found / aim"]
    assert first[1:] == ["≥ 20", "20.00", "20.00 to 20.00", "yes", "1.00"]
    assert second[1:3] == ["≥ 200", "225.00"]
    by_name = {row[0]: row for row in verdicts(GOOD)}
    row = by_name["1,000/s, 10 clients: p50 added, of the best peer's"]
    assert row[2] == f"{5.2 / 90:.2f}"
    assert {row[4] for row in verdicts(GOOD)[1:]} == {"yes"}


def test_what_was_not_measured_meets_nothing_and_breaks_nothing() -> None:
    empty = Results(rounds=1)
    assert {row[2] for row in verdicts(empty)[1:]} == {"not measured"}
    assert below_floors(empty) == []


def test_floors_name_what_is_too_slow() -> None:
    assert below_floors(GOOD) == []
    slow = below_floors(BAD)
    assert "saturated, 300 bytes, 1 client: times the best peer: 0.15, the floor is 0.2" in slow
    assert len(slow) == len(TARGETS) - 2  # all but the rate with many streams


def test_a_pace_that_a_relay_missed_once_does_not_count() -> None:
    results = _results({}, {DIRECT: 10, "picows": 30})
    assert results.added("picows", 10, 1_000, 0) == [20, 20, 20]
    results.paces[paced("picows", 10), 1_000].pop()
    assert results.added("picows", 10, 1_000, 0) == []


def test_every_table_is_complete_and_has_its_place(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "performance.md"
    copy = tmp_path / "performance.md"
    copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    for name, tables in report.sections(GOOD):
        for table in tables:
            assert len({len(row) for row in table}) == 1, name
            assert len(plain(table).splitlines()) == len(table) > 1
            put(copy, name, markdown(table))


def test_equal_results_give_equal_plots(tmp_path: Path) -> None:
    for place in ("one", "two"):
        plots.draw(GOOD, tmp_path / place)
    first, second = (sorted((tmp_path / place).iterdir()) for place in ("one", "two"))
    assert [path.name for path in first] == ["fanout-paced.svg", "fanout.svg"]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert "picows" in first[0].read_text(encoding="utf-8")


def test_a_table_is_put_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- t -->\nold\n<!-- /t -->\nb\n")
    put(page, "t", markdown([["", "n"], ["x", "10"]]))
    put(page, "t", markdown([["", "n"], ["x", "10"]]))
    assert page.read_text() == (
        "a\n<!-- t -->\n|   |  n |\n| - | -: |\n| x | 10 |\n<!-- /t -->\nb\n"
    )
    with pytest.raises(ValueError, match="other"):
        put(page, "other", "")
