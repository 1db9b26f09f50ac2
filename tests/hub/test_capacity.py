from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from wsproxy.hub.capacity import (
    REFERENCE,
    Demand,
    Machine,
    Need,
    Traffic,
    forecast,
    most_clients,
    throughput,
)
from wsproxy.venues.profile import Profile, Rate

SECOND = 1_000_000_000

PROFILE = Profile(
    name="fake",
    title="Fake",
    url="ws://fake",
    streams_per_connection=1000,
    streams_per_request=100,
    requests=Rate(5, SECOND),
    connects=Rate(10, 60 * SECOND),
    silence_ns=60 * SECOND,
    keepalive=None,
    max_message_bytes=1000,
    facts=(),
)
DEMAND = Demand(streams=1000, clients=50, redundancy=1, cap=8)
MACHINE = Machine(speed=1.0, disk_free=10**12)
TRAFFIC = Traffic(
    streams=10,
    seconds=60,
    messages_per_s=20,
    bytes_per_s=4000,
    peak_messages_per_s=50,
    peak_bytes_per_s=9000,
    disk_ratio=0.25,
    name_characters=20,
)


def need(profile: Profile, demand: Demand, traffic: Traffic | None = None) -> Need:
    return forecast(profile, demand, traffic, MACHINE).need


@pytest.mark.parametrize(
    ("streams", "redundancy", "connections"),
    [(1, 1, 1), (1000, 1, 1), (1001, 1, 2), (1001, 2, 4), (3000, 3, 9)],
)
def test_connections(streams: int, redundancy: int, connections: int) -> None:
    demand = replace(DEMAND, streams=streams, redundancy=redundancy)
    assert need(PROFILE, demand).connections == connections


def test_characters_limit_a_connection_too() -> None:
    profile = replace(PROFILE, characters_per_connection=2000)
    assert need(profile, DEMAND).connections == 10  # 20 characters a name
    assert need(profile, DEMAND, replace(TRAFFIC, name_characters=40)).connections == 20


def test_bytes_limit_a_request_too() -> None:
    profile = replace(PROFILE, bytes_per_request=460)
    found = need(profile, DEMAND)
    assert (found.streams_per_request, found.requests) == (20, 50)


def test_without_limits_one_connection_and_no_time() -> None:
    profile = replace(PROFILE, streams_per_connection=None, requests=None)
    found = need(profile, replace(DEMAND, streams=50_000))
    assert (found.connections, found.requests, found.subscribe_seconds) == (1, 500, 0)


@pytest.mark.parametrize(
    ("requests", "seconds"),
    [(1, 0), (4, 0), (5, 1.1), (8, 1.1), (9, 2.2), (10, 2.2)],
)
def test_requests_wait_for_their_window(requests: int, seconds: float) -> None:
    # 5 a second, one of them kept for a pong, the window stretched by a tenth.
    found = need(PROFILE, replace(DEMAND, streams=100 * requests))
    assert found.requests == requests
    assert found.subscribe_seconds == pytest.approx(seconds)


def test_connections_ask_at_the_same_time_once_they_may_connect() -> None:
    found = need(PROFILE, replace(DEMAND, streams=10_000))
    assert found.subscribe_seconds == pytest.approx(2.2)
    found = need(PROFILE, replace(DEMAND, streams=11_000))  # the eleventh waits for a minute
    assert found.subscribe_seconds == pytest.approx(66 + 2.2)


def test_a_window_of_the_ip_address_is_shared() -> None:
    profile = replace(PROFILE, requests=None, requests_per_ip=Rate(10, SECOND))
    found = need(profile, replace(DEMAND, streams=5000))
    assert found.subscribe_seconds == pytest.approx(4 * 1.1)  # 50 requests, 10 at a time


def test_operations_an_hour() -> None:
    profile = replace(PROFILE, requests=None, operations=Rate(4, 3600 * SECOND))
    assert need(profile, DEMAND).subscribe_seconds == pytest.approx(2 * 3960)


@pytest.mark.parametrize(("venue", "most"), [(None, 8), (5, 5), (300, 8)])
def test_the_lesser_of_the_cap_and_the_venues_own(venue: int | None, most: int) -> None:
    assert need(replace(PROFILE, connections=venue), DEMAND).connections_most == most


@pytest.mark.parametrize("figures", [REFERENCE.proxy, REFERENCE.record])
def test_throughput_goes_through_the_figures(figures: dict[int, float]) -> None:
    for clients, rate in figures.items():
        assert throughput(figures, clients) == pytest.approx(rate)
    rates = [throughput(figures, clients) for clients in range(1, 200)]
    assert rates == sorted(rates, reverse=True)


def test_throughput_between_and_beyond() -> None:
    figures = {10: 1 / 2e-6, 20: 1 / 3e-6}  # a tenth of a µs a client
    assert throughput(figures, 15) == pytest.approx(1 / 2.5e-6)
    assert throughput(figures, 120) == pytest.approx(1 / 13e-6)
    assert throughput(figures, 1) == 1 / 2e-6


def test_more_clients_never_make_it_faster() -> None:
    assert throughput({10: 1000.0, 20: 1100.0}, 500) == 1000


@pytest.mark.parametrize(("rate", "clients"), [(600_000, 0), (500_000, 10), (400_000, 15), (1, 99)])
def test_the_most_clients(rate: float, clients: int) -> None:
    assert most_clients({10: 1 / 2e-6, 20: 1 / 3e-6}, rate, limit=99) == clients


def test_another_bench_than_the_projects() -> None:
    own = replace(REFERENCE, record={1: 2000.0, 10: 1000.0}, proxy={1: 6000.0, 10: 3000.0})
    found = forecast(PROFILE, replace(DEMAND, clients=10), None, Machine(0.5, 10**12), own)
    assert (found.record_messages_per_s, found.proxy_messages_per_s) == (500, 1500)


def test_traffic_is_scaled_to_streams_and_copies() -> None:
    found = forecast(PROFILE, replace(DEMAND, redundancy=2), TRAFFIC, MACHINE)
    assert found.load is not None
    assert found.load.messages_per_s == 40_000
    assert found.load.bytes_per_s == 8_000_000
    assert found.load.peak_messages_per_s == 100_000
    assert found.load.disk_bytes_per_s == 2_000_000
    assert found.disk_seconds == 500_000


@pytest.mark.parametrize(
    ("demand", "machine", "scarcest"),
    [
        (replace(DEMAND, streams=8000, cap=8), Machine(20, 10**15), "connections"),
        (DEMAND, Machine(0.1, 10**15), "CPU in the busiest second"),
        (DEMAND, Machine(20, 10**9), "disk space for a day"),
        (DEMAND, Machine(20, 0), "disk space for a day"),
    ],
)
def test_the_scarcest_comes_first(demand: Demand, machine: Machine, scarcest: str) -> None:
    uses = forecast(PROFILE, demand, TRAFFIC, machine).uses
    assert uses[0].what == scarcest
    assert uses[0].share >= uses[1].share >= uses[2].share


def test_without_a_recording_traffic_is_unknown() -> None:
    found = forecast(PROFILE, DEMAND, None, Machine(0.5, 10**12))
    assert (found.load, found.disk_seconds) == (None, None)
    assert [use.what for use in found.uses] == ["connections"]
    assert found.record_messages_per_s == pytest.approx(REFERENCE.record[50] / 2)
    assert found.proxy_messages_per_s == pytest.approx(REFERENCE.proxy[50] / 2)


def test_the_reference_is_what_the_documentation_says() -> None:
    page = Path(__file__).parents[2] / "docs" / "performance.md"
    text = page.read_text(encoding="utf-8")
    fanout = text.partition("<!-- fanout -->")[2].partition("<!-- /fanout -->")[0]
    for name, figures in (("proxy", REFERENCE.proxy), ("record", REFERENCE.record)):
        rows = re.findall(rf"^\| {name} +\| +(\d+) \| +([\d,]+) \|", fanout, re.MULTILINE)
        found = {int(clients): float(rate.replace(",", "")) for clients, rate in rows}
        assert figures == found
    (rate,) = re.findall(r"^\| splitting +\| ([\d,]+) /s \|", text, re.MULTILINE)
    assert float(rate.replace(",", "")) == REFERENCE.splitting
