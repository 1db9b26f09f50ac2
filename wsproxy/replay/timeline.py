"""The timeline of a replay: which messages, and when each is due."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from wsproxy.model import Batch, Kind


class Due(NamedTuple):
    """Messages that are due together, ``after_ns`` after the beginning of the replay."""

    after_ns: int
    batch: Batch


def timeline(batches: Iterable[Batch], speed: float | None) -> Iterator[Due]:
    """The messages and gaps of a recording in order, each with its due time at this speed.

    What belongs to no stream (the venue's replies to the recorder) is left out. ``speed`` None
    is as fast as possible: everything is due at once. Due times are offsets from the first
    message and never go back, so that rounding cannot add up to a drift.
    """
    first_ns: int | None = None
    after_ns = 0
    for recorded in batches:
        batch = _with_streams(recorded, _PLAYED)
        if batch is None:
            continue
        if speed is not None:
            first_ns = batch.mono_ns if first_ns is None else first_ns
            after_ns = max(after_ns, int((batch.mono_ns - first_ns) / speed))
        yield Due(after_ns, batch)


def history(batches: Iterable[Batch], start: int | None) -> Iterator[Batch]:
    """What late-join states have to be fed before a replay begins, of the recording's ``batches``.

    Those before ``start`` (wall clock, ns), or without one the keyframes before the first message.
    """
    for recorded in batches:
        if start is None and recorded.kind is Kind.MESSAGE:
            return
        batch = _with_streams(recorded, _REMEMBERED)
        if batch is not None:
            yield batch


_PLAYED = frozenset({Kind.MESSAGE, Kind.GAP})
_REMEMBERED = frozenset({Kind.MESSAGE, Kind.GAP, Kind.KEYFRAME})


def _with_streams(batch: Batch, kinds: frozenset[Kind]) -> Batch | None:
    """Only what concerns a venue's stream; None if there is nothing, or it is of another kind."""
    if batch.kind not in kinds or not batch.connection:
        return None
    if all(batch.streams):
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
