from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.kit.traffic import BINANCE_MANY, load
from wsproxy.hub.capacity import REFERENCE
from wsproxy.hub.workloads import WORKLOADS, carried

SECOND = 1_000_000_000


def test_what_is_carried_is_carried_in_the_busiest_second() -> None:
    slow = {1: 100_000.0, 10: 1 / (1e-5 + 9e-6)}  # 10 us a message, and one a client
    machine = replace(REFERENCE, proxy={1: 400_000.0, 10: 400_000.0}, record=slow)
    tickers, pairs = carried(machine, limit=40)
    assert tickers.messages_per_s == pytest.approx(9_080)
    assert tickers.peak_messages_per_s == pytest.approx(38_800)
    assert (tickers.proxy, tickers.record) == (40, 16)  # 1 s / 38,800 = 25.8 us
    assert (pairs.proxy, pairs.record) == (40, 3)


def test_not_even_one() -> None:
    weak = {1: 1000.0, 10: 500.0}
    found = carried(replace(REFERENCE, proxy=weak, record=weak), limit=40)
    assert [(one.proxy, one.record) for one in found] == [(0, 0)] * len(WORKLOADS)


def test_recording_does_not_make_it_faster() -> None:
    odd = replace(REFERENCE, proxy=REFERENCE.record, record=REFERENCE.proxy)
    assert all(one.record <= one.proxy for one in carried(odd, limit=1000))


@pytest.mark.parametrize(
    ("number", "name", "part", "streams"),
    [(0, BINANCE_MANY, "@bookTicker", 10), (1, "binance__hftb-btcusdt_20240809", "", 3)],
)
def test_the_traffic_is_what_was_recorded(number: int, name: str, part: str, streams: int) -> None:
    times = [line.t for line in load(name) if line.dir == "in" and part in line.m]
    busiest = max(Counter(at // SECOND for at in times).values())
    rate = len(times) * SECOND / (times[-1] - times[0])
    workload = WORKLOADS[number]
    assert workload.messages_per_s == pytest.approx(rate / streams, rel=0.01)
    assert workload.peak_messages_per_s == pytest.approx(busiest / streams, rel=0.01)
