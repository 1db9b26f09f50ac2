"""What users of a venue typically ask for, and how many clients a machine can carry it to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from wsproxy.hub.capacity import Reference, most_clients


class Workload(NamedTuple):
    """So many streams of a venue, each as busy as the average of those that were recorded."""

    title: str
    streams: int
    messages_per_s: float
    """Of a stream."""
    peak_messages_per_s: float
    """In the second with the most messages, all recorded streams together, by their number."""
    source: str
    """Where the traffic was recorded, and when; and what is assumed beyond."""


WORKLOADS = (
    Workload(
        "all Binance spot book tickers",
        streams=2_000,
        messages_per_s=4.54,
        peak_messages_per_s=19.4,
        source="if there are 2,000 pairs, each like the average of ten that cryptofeed recorded on "
        "2021-04-05, all of them with their busiest second at once",
    ),
    Workload(
        "100 pairs like Binance's BTCUSDT",
        streams=300,
        messages_per_s=63.8,
        peak_messages_per_s=273,
        source="book ticker, trades and book differences (100 ms), each pair like BTCUSDT as "
        "hftbacktest recorded it on 2024-08-09, all of them with their busiest second at once",
    ),
)


@dataclass(frozen=True, slots=True)
class Carried:
    """A workload on a machine."""

    title: str
    source: str
    messages_per_s: float
    peak_messages_per_s: float
    proxy: int
    """Clients that can get all of it in the busiest second, at most; 0 if not even one."""
    record: int
    """The same, while it is recorded; no more than without, whatever noise says."""


def carried(reference: Reference, limit: int) -> tuple[Carried, ...]:
    """What a machine with these figures carries, to no more clients than the limit."""
    return tuple(_carried(workload, reference, limit) for workload in WORKLOADS)


def _carried(workload: Workload, reference: Reference, limit: int) -> Carried:
    peak = workload.peak_messages_per_s * workload.streams
    proxy = most_clients(reference.proxy, peak, limit)
    return Carried(
        title=workload.title,
        source=workload.source,
        messages_per_s=workload.messages_per_s * workload.streams,
        peak_messages_per_s=peak,
        proxy=proxy,
        record=most_clients(reference.record, peak, proxy),
    )
