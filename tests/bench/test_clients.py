"""The bench of many clients measures what it says; how long anything takes is not for tests."""

from __future__ import annotations

from tests.bench.clients import Size, blasting, control, joining, memory, sizes
from tests.bench.crowd import addresses

KINDS = {"ping", "subscription", "handshake"}


def test_clients_ask_for_neighbours_in_a_ring() -> None:
    streams = [path.partition("=")[2].split("/") for path in addresses(3, 20, 20)]
    assert {len(set(mine)) for mine in streams} == {10}
    assert streams[1][:9] == streams[0][1:]
    assert len({name for mine in streams for name in mine}) == 20


def test_clients_cost_memory() -> None:
    first, second = memory((210, 230), rate=400)
    assert (first.clients, second.clients) == (210, 230)
    assert second.resident_bytes > 0
    assert 0 < first.p50_ms <= first.p99_ms <= first.most_ms


def test_everything_is_asked_in_every_state() -> None:
    found = [*joining(10, 0.5, rate=20), blasting(2, 0.5)]
    for delays in found:
        assert delays.keys() == KINDS
        assert all(seconds for seconds in delays.values())
    head, *rows = control([("a", found[0]), ("b", found[2])])
    assert [row[0] for row in rows] == ["a", "b"]
    assert {len(row) for row in rows} == {len(head)}


def test_the_table_has_units() -> None:
    row = sizes([Size(2_000, 100 << 20, 40 * 1024, 1.0, 2.0, 3.0, 4.0)])[1]
    assert row == ["2,000", "100.0 MiB", "40.0 KiB", "1.00 ms", "2.0 ms", "3.0 ms", "4.0 ms"]
