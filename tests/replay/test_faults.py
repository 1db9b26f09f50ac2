"""Files of faults: what they may say, and when the faults strike."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from wsproxy.errors import ConfigError
from wsproxy.replay.faults import Fault, FaultFile, chance, plan, read_faults

SECOND = 1_000_000_000


def read(tmp_path: Path, text: str) -> FaultFile:
    path = tmp_path / "faults.toml"
    path.write_text(text)
    return read_faults(path)


def test_a_file(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        """
        seed = 7
        [[fault]]
        kind = "disconnect"
        at = "+10s"
        code = 1001
        reason = "maintenance"
        clients = [1, 2]
        [[fault]]
        kind = "latency"
        every = 60
        seconds = 2
        delay = 0.25
        streams = ["*@trade"]
        """,
    )
    assert found == FaultFile(
        7,
        (
            Fault("disconnect", "+10s", code=1001, reason="maintenance", clients=(1, 2)),
            Fault("latency", every=60, seconds=2, delay=0.25, streams=("*@trade",)),
        ),
    )


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('kind = "explode"', "Invalid enum value 'explode'"),
        ('kind = "gap"\nat = 0\nsecond = 1', "unknown field `second`"),
        ('kind = "gap"\nseconds = 1', "a gap, needs at or every, and not both"),
        ('kind = "gap"\nat = 0\nevery = 1\nseconds = 1', "needs at or every, and not both"),
        ('kind = "gap"\nevery = 0\nseconds = 1', "has to have an every above 0"),
        ('kind = "gap"\nat = 0', "a gap, needs seconds"),
        ('kind = "gap"\nat = 0\nseconds = -1', "seconds and a delay of at least 0"),
        ('kind = "gap"\nat = 0\nseconds = 1\nclients = [1]', "can have no clients"),
        ('kind = "gap"\nat = 0\nseconds = 1\ncode = 1001', "cannot have the code 1001"),
        ('kind = "jitter"\nat = 0\nseconds = 1', "a jitter, needs a delay"),
        ('kind = "disconnect"\nat = 0\ncode = 99', "cannot have the code 99"),
        ('kind = "refuse"\nat = 0\nseconds = 1\ncode = 200', "cannot have the code 200"),
    ],
)
def test_an_entry_that_makes_no_sense(tmp_path: Path, entry: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        read(tmp_path, f"[[fault]]\n{entry}\n")


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        read_faults(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="--faults"):
        read(tmp_path, "[[fault]")


def test_streams_are_chosen_by_patterns() -> None:
    fault = Fault("gap", streams=("btc*@trade", "x"))
    assert fault.hits(("btcusdt@trade",))
    assert fault.hits(("y", "x"))
    assert not fault.hits(("btcusdt@depth",))
    assert Fault("gap").hits(("anything",))


def test_times() -> None:
    faults = FaultFile(0, (Fault("disconnect", "+10s"), Fault("gap", 3 * SECOND, seconds=2.0)))
    found = plan(faults, SECOND, 100 * SECOND)
    assert [(strike.begin, strike.end, strike.number) for strike in found] == [
        (3 * SECOND, 5 * SECOND, 1),
        (11 * SECOND, 11 * SECOND, 0),
    ]
    with pytest.raises(ConfigError, match="'noon' is not a time"):
        plan(FaultFile(0, (Fault("disconnect", "noon"),)), 0, 1)


def test_by_chance_is_the_same_for_the_same_seed_only() -> None:
    def times(seed: int) -> list[int]:
        return [s.begin for s in plan(FaultFile(seed, (Fault("disconnect", every=10.0),)), 0, end)]

    end = 10_000 * SECOND
    assert times(1) == times(1)
    assert times(1) != times(2)
    assert 900 < len(times(1)) < 1100
    waits = [after - before for before, after in pairwise(times(1))]
    assert min(waits) < SECOND
    assert max(waits) > 30 * SECOND
    assert max(times(1)) <= end


def test_chance_is_spread_evenly() -> None:
    found = [chance(1, number) for number in range(10_000)]
    assert all(0 <= value < 1 for value in found)
    assert sum(found) / len(found) == pytest.approx(0.5, abs=0.02)
    assert chance(1, 2) == chance(1, 2) != chance(2, 2)
