"""The bench of bad clients measures what it says; how long anything takes is not for tests."""

from __future__ import annotations

from tests.bench.slow import NOBODY, Crowd, Delays, Pair, measure, table


def test_good_clients_get_everything_beside_every_kind() -> None:
    crowds: list[tuple[Crowd, Crowd]] = [
        (NOBODY, ("deaf", 2)),
        (("slow", 1), ("mute", 1)),
        (("good", 2), ("rude", 2)),
    ]
    found = measure(1, crowds, seconds=0.25)
    assert [compared for compared, pairs in found.items() if len(pairs) == 1] == crowds
    for (pair,) in found.values():
        assert 0 < pair.before.p50 <= pair.before.p99
        assert 0 < pair.beside.p50 <= pair.beside.p99
        assert pair.resident_bytes > 1 << 20


def test_ratios_are_of_stretches_that_followed_each_other() -> None:
    pairs = [
        Pair(Delays(100, 1_000), Delays(110, 1_500), 40 << 20),
        Pair(Delays(200, 2_000), Delays(260, 2_000), 41 << 20),
        Pair(Delays(300, 3_000), Delays(300, 3_300), 39 << 20),
    ]
    assert table({(NOBODY, ("deaf", 1)): pairs})[1] == [
        "1 deaf",
        "nobody",
        "260 us",
        "1.10",
        "1.00 to 1.30",
        "2,000 us",
        "1.10",
        "1.00 to 1.50",
        "41 MiB",
    ]
