"""The timeline of a replay: which records, in which order, and how far apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wsproxy.model import Batch, Kind

PLAYED = frozenset({Kind.MESSAGE, Kind.GAP})
FAITHFUL = PLAYED | {Kind.ACKNOWLEDGED, Kind.CLOSED}
"""What is played if connections end as they ended then."""


class Due(NamedTuple):
    """Records that are due together, at this position of the timeline: ns since its first."""

    position: int
    batch: Batch


def timeline(
    batches: Iterable[Batch], *, kinds: frozenset[Kind] = PLAYED, max_idle_ns: int | None = None
) -> Iterator[Due]:
    """The records of these kinds in order, each with its position.

    What belongs to no connection is left out, and of the messages and gaps what belongs to no
    stream (the venue's replies to the recorder). Positions never go back. Where nothing comes for
    longer than ``max_idle_ns``, the next comes after so long.
    """
    last_ns: int | None = None
    position = 0
    for recorded in batches:
        batch = with_streams(recorded, kinds)
        if batch is None:
            continue
        if last_ns is None:
            last_ns = batch.mono_ns
        passed = batch.mono_ns - last_ns
        if passed > 0:
            last_ns = batch.mono_ns
            position += passed if max_idle_ns is None else min(passed, max_idle_ns)
        yield Due(position, batch)


def with_streams(batch: Batch, kinds: frozenset[Kind]) -> Batch | None:
    """Only what concerns a venue's stream; None if there is nothing, or it is of another kind."""
    if batch.kind not in kinds or not batch.connection:
        return None
    if batch.kind not in PLAYED or all(batch.streams):
        return batch
    kept = [(p, s) for p, s in zip(batch.payloads, batch.streams, strict=True) if s]
    if not kept:
        return None
    payloads, streams = zip(*kept, strict=True)
    return Batch(
        batch.kind,
        batch.connection,
        batch.wall_ns,
        batch.mono_ns,
        list(payloads),
        None,
        list(streams),
    )
