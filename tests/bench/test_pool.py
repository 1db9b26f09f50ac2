"""The bench of the pool measures what it says; how long anything takes is not for tests."""

from __future__ import annotations

from tests.bench.pool import Stretch, delays, memory, redundancy, rotating, subscribing


def test_streams_are_granted_no_sooner_than_the_limits_allow() -> None:
    what, connections, requests, venue, margin, took, _ = subscribing(1, 1_000)
    assert (what, connections, requests) == ("1,000 streams", "1", "6")
    assert float(venue.removesuffix(" s")) < float(margin.removesuffix(" s"))
    assert float(margin.removesuffix(" s")) <= float(took.removesuffix(" s"))


def test_connections_are_replaced_in_every_other_stretch_only() -> None:
    quiet, busy = rotating(1, 2.0, streams=20, rate=400, every=0.4)
    assert [one.rotations for one in quiet] == [0]
    assert all(one.rotations for one in busy)
    for one in quiet + busy:
        assert 0 < one.median <= one.p99 <= one.most


def test_costs_are_differences_within_a_round() -> None:
    quiet = [Stretch(0, 100, 1_000, 2_000, 0), Stretch(0, 300, 5_000, 6_000, 0)]
    busy = [Stretch(4, 150, 1_500, 2_500, 40 << 20), Stretch(5, 350, 5_500, 9_000, 41 << 20)]
    assert delays(quiet, busy)[1:] == [
        ["lasting", "0", "200 us", "3,000 us", "1,000 to 5,000", "6,000 us"],
        ["replaced", "9", "250 us", "3,500 us", "1,500 to 5,500", "9,000 us"],
        ["added", "", "+50 us", "+500 us", "", ""],
    ]
    assert memory(busy) == ("Memory of the proxy: 40.0 MiB after 4 rotations, 41.0 MiB after 9.")


def test_a_second_connection_is_compared_with_one() -> None:
    head, one, two, ratio = redundancy(1, {1: 2_000, 2: 1_000})
    assert [row[0] for row in (one, two, ratio)] == ["1", "2", "2 to 1"]
    assert len({len(row) for row in (head, one, two, ratio)}) == 1
