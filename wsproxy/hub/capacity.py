"""Capacity planning: what a demand needs, and which limit it meets first. Arithmetic only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import pairwise, takewhile
from typing import Annotated

import msgspec

from wsproxy.config import SECOND_NS
from wsproxy.hub.limits import Limiter, Urgency, Window
from wsproxy.venues.profile import Profile

NAME_CHARACTERS = 20
"""Of a stream's name, where no recording says how long they are."""
_PUNCTUATION = 3
"""Quotes and a comma: what a name in a request costs besides itself."""


_Speed = Annotated[float, msgspec.Meta(gt=0)]
_Speeds = Annotated[Mapping[int, _Speed], msgspec.Meta(min_length=2)]


@dataclass(frozen=True, slots=True)
class Reference:
    """What one core did in a bench, messages/s, by the number of clients that got all of them."""

    source: str
    splitting: _Speed
    """Messages/s of the splitter alone, the yardstick by which machines are compared."""
    proxy: _Speeds
    record: _Speeds


REFERENCE = Reference(
    source="docs/performance.md: 300-byte messages, 2 cores (AMD EPYC), 2026-11-22",
    splitting=3_263_094,
    proxy={1: 766_178, 10: 410_818, 50: 171_523, 200: 43_005},
    record={1: 486_549, 10: 340_649, 50: 86_485, 200: 45_080},
)


def throughput(figures: Mapping[int, float], clients: int) -> float:
    """Messages/s to so many clients: the time for a message is a line between two figures.

    Beyond the last figure the line goes on; below the first the first holds. More clients never
    make it faster: where figures say so, that is noise.
    """
    points = sorted(figures.items())
    if clients <= points[0][0]:
        return points[0][1]
    (low, fast), (high, slow) = next(
        (pair for pair in pairwise(points) if clients <= pair[1][0]), (points[-2], points[-1])
    )
    slope = max(0.0, 1 / slow - 1 / fast) / (high - low)
    return 1 / (1 / fast + slope * (clients - low))


def most_clients(figures: Mapping[int, float], messages_per_s: float, limit: int) -> int:
    """How many clients can get so many messages/s, but no more than the limit."""
    enough = (throughput(figures, count) >= messages_per_s for count in range(1, limit + 1))
    return sum(takewhile(bool, enough))


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked for."""

    streams: int
    clients: int
    redundancy: int
    cap: int
    """Connections that the proxy may have (``--max-connections``)."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a recording says of a venue's streams, a stream of the average."""

    streams: int
    """So many were recorded."""
    seconds: float
    messages_per_s: float
    bytes_per_s: float
    """Of payloads."""
    peak_messages_per_s: float
    """In the second with the most messages, all streams together, by the number of streams."""
    peak_bytes_per_s: float
    disk_ratio: float
    """Bytes on disk for a byte of payload."""
    name_characters: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What the machine has."""

    speed: float
    """Times the reference machine."""
    disk_free: int


@dataclass(frozen=True, slots=True)
class Need:
    """What the venue's limits make of the demand."""

    connections: int
    connections_most: int
    """The venue's own limit or the cap, whichever is less."""
    requests: int
    """Subscribe requests on the fullest connection."""
    streams_per_request: int
    subscribe_seconds: float
    """From the first connection attempt to the last request, round trips not counted."""


@dataclass(frozen=True, slots=True)
class Load:
    """The traffic of all streams, as it comes in."""

    messages_per_s: float
    bytes_per_s: float
    peak_messages_per_s: float
    peak_bytes_per_s: float
    disk_bytes_per_s: float


@dataclass(frozen=True, slots=True)
class Use:
    """How much of something the demand takes; above 1 it is not enough."""

    what: str
    share: float


@dataclass(frozen=True, slots=True)
class Forecast:
    """What to expect. Without a recording, what depends on traffic is None."""

    need: Need
    proxy_messages_per_s: float
    """What this machine can pass on to so many clients, without recording."""
    record_messages_per_s: float
    load: Load | None
    disk_seconds: float | None
    """Until the disk is full."""
    uses: tuple[Use, ...]
    """The scarcest first."""


def forecast(
    profile: Profile,
    demand: Demand,
    traffic: Traffic | None,
    machine: Machine,
    reference: Reference = REFERENCE,
) -> Forecast:
    """Work out everything, from figures of the reference machine."""
    characters = NAME_CHARACTERS if traffic is None else traffic.name_characters
    need = _need(profile, demand, characters)
    record = throughput(reference.record, demand.clients) * machine.speed
    uses = [Use("connections", need.connections / need.connections_most)]
    load = disk_seconds = None
    if traffic is not None:
        load = _load(demand, traffic)
        uses.append(Use("CPU in the busiest second", load.peak_messages_per_s / record))
        if load.disk_bytes_per_s:
            disk_seconds = machine.disk_free / load.disk_bytes_per_s
            uses.append(Use("disk space for a day", 86_400 / disk_seconds if disk_seconds else 2.0))
    return Forecast(
        need=need,
        proxy_messages_per_s=throughput(reference.proxy, demand.clients) * machine.speed,
        record_messages_per_s=record,
        load=load,
        disk_seconds=disk_seconds,
        uses=tuple(sorted(uses, key=lambda use: -use.share)),
    )


def _load(demand: Demand, traffic: Traffic) -> Load:
    copies = demand.streams * demand.redundancy
    return Load(
        messages_per_s=traffic.messages_per_s * copies,
        bytes_per_s=traffic.bytes_per_s * copies,
        peak_messages_per_s=traffic.peak_messages_per_s * copies,
        peak_bytes_per_s=traffic.peak_bytes_per_s * copies,
        disk_bytes_per_s=traffic.bytes_per_s * copies * traffic.disk_ratio,
    )


def _need(profile: Profile, demand: Demand, name_characters: float) -> Need:
    room = demand.streams
    if profile.streams_per_connection is not None:
        room = min(room, profile.streams_per_connection)
    if profile.characters_per_connection is not None:
        room = min(room, int(profile.characters_per_connection / name_characters))
    per_request = profile.streams_per_request
    if profile.bytes_per_request is not None:
        fitting = int(profile.bytes_per_request / (name_characters + _PUNCTUATION))
        per_request = max(1, min(per_request, fitting))
    lines = _ceil(demand.streams, max(1, room))
    connections = lines * demand.redundancy
    most = demand.cap if profile.connections is None else min(demand.cap, profile.connections)
    # The fullest connections first: they have the most to ask for.
    requests = [
        _ceil(min(room, demand.streams - line * room), per_request) for line in range(lines)
    ]
    return Need(
        connections=connections,
        connections_most=most,
        requests=requests[0],
        streams_per_request=per_request,
        subscribe_seconds=_last_request_ns(profile, requests * demand.redundancy) / SECOND_NS,
    )


def _last_request_ns(profile: Profile, requests: list[int]) -> int:
    """When the last request leaves, with so many on each connection, everything else at once."""
    attempts = Window(profile.connects)
    per_ip = None if profile.requests_per_ip is None else Window(profile.requests_per_ip)
    now_ns = 0
    due: list[tuple[int, int]] = []
    limiters = [Limiter(profile, per_ip) for _ in requests]
    for number in range(len(requests)):
        now_ns = attempts.ready_at(now_ns)
        attempts.record(now_ns)
        due.append((now_ns, number))
    left = list(requests)
    heapify(due)
    while due:
        now_ns, number = heappop(due)
        ready_ns = limiters[number].ready_at(now_ns, Urgency.SUBSCRIBE)
        if ready_ns == now_ns:
            limiters[number].begin(Urgency.SUBSCRIBE)
            limiters[number].sent(now_ns, control=False)
            left[number] -= 1
        if left[number]:
            heappush(due, (ready_ns, number))
    return now_ns


def _ceil(whole: int, part: int) -> int:
    return -(-whole // part)
