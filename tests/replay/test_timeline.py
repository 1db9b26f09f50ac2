"""The timeline: order, positions, and what is left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.model import Batch, Kind
from wsproxy.replay.timeline import FAITHFUL, timeline

SECOND = 1_000_000_000


def message(mono_ns: int, *streams: tuple[str, ...], kind: Kind = Kind.MESSAGE) -> Batch:
    payloads = [str(index).encode() for index in range(len(streams))]
    return Batch(kind, 1, 5 * SECOND + mono_ns, mono_ns, payloads, None, list(streams))


def test_positions_are_offsets_from_the_first() -> None:
    batches = [message(7 * SECOND, ("a",)), message(8 * SECOND, ("a",))]

    assert [due.position for due in timeline(batches)] == [0, SECOND]


def test_long_silences_are_shortened() -> None:
    batches = [message(at * SECOND, ("a",)) for at in (0, 1, 100, 103, 200)]

    dues = timeline(batches, max_idle_ns=2 * SECOND)

    assert [due.position for due in dues] == [0, SECOND, 3 * SECOND, 5 * SECOND, 7 * SECOND]


def test_a_batch_whose_messages_all_have_streams_goes_through_untouched() -> None:
    batch = message(0, ("a",), ("b", "c"))

    assert [due.batch for due in timeline([batch])] == [batch]


def test_what_belongs_to_no_stream_is_left_out() -> None:
    events = message(0, ("a",), kind=Kind.SUBSCRIBED)
    replies = message(1, ())
    mixed = message(2, ("a",), (), ("b",))

    (due,) = timeline([events, replies, mixed])

    assert due.batch.payloads == [b"0", b"2"]
    assert due.batch.streams == [("a",), ("b",)]
    assert due.position == 0, "the first message begins the timeline, not what was left out"


@pytest.mark.parametrize("kind", [Kind.MESSAGE, Kind.GAP])
def test_what_belongs_to_no_venue_is_left_out(kind: Kind) -> None:
    nowhere = message(0, ("a",), kind=kind)
    nowhere.connection = 0

    assert list(timeline([nowhere])) == []


def test_ends_of_connections_are_there_if_they_are_wanted() -> None:
    batches = [message(0, ("a",)), message(1, (), kind=Kind.CLOSED)]

    assert len(list(timeline(batches))) == 1
    assert [due.batch for due in timeline(batches, kinds=FAITHFUL)] == batches


@given(steps=st.lists(st.integers(-SECOND, SECOND), min_size=1, max_size=50))
def test_positions_never_go_back_and_do_not_drift(steps: list[int]) -> None:
    """Also where the monotonic clock does: parts of two boots."""
    at, batches = 10_000 * SECOND, []
    for step in steps:
        at += step
        batches.append(message(at, ("a",)))

    positions = [due.position for due in timeline(batches)]

    assert len(positions) == len(batches)
    assert all(before <= after for before, after in pairwise(positions))
    furthest = max(batch.mono_ns for batch in batches) - batches[0].mono_ns
    assert positions[-1] == furthest
