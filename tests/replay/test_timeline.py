"""The timeline: order, due times, and what is left out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.model import Batch, Kind
from wsproxy.replay.timeline import timeline

SECOND = 1_000_000_000


def message(mono_ns: int, *streams: tuple[str, ...], kind: Kind = Kind.MESSAGE) -> Batch:
    payloads = [str(index).encode() for index in range(len(streams))]
    return Batch(kind, 1, 5 * SECOND + mono_ns, mono_ns, payloads, None, list(streams))


@pytest.mark.parametrize(
    ("speed", "expected"),
    [(1.0, [0, SECOND]), (4.0, [0, SECOND // 4]), (0.5, [0, 2 * SECOND]), (None, [0, 0])],
)
def test_due_times_follow_the_speed(speed: float | None, expected: list[int]) -> None:
    batches = [message(7 * SECOND, ("a",)), message(8 * SECOND, ("a",))]

    assert [due.after_ns for due in timeline(batches, speed)] == expected


def test_a_batch_whose_messages_all_have_streams_goes_through_untouched() -> None:
    batch = message(0, ("a",), ("b", "c"))

    assert [due.batch for due in timeline([batch], 1.0)] == [batch]


def test_what_belongs_to_no_stream_is_left_out() -> None:
    events = message(0, ("a",), kind=Kind.SUBSCRIBED)
    replies = message(1, ())
    mixed = message(2, ("a",), (), ("b",))

    (due,) = timeline([events, replies, mixed], 1.0)

    assert due.batch.payloads == [b"0", b"2"]
    assert due.batch.streams == [("a",), ("b",)]
    assert due.after_ns == 0, "the first message begins the timeline, not what was left out"


@pytest.mark.parametrize("kind", [Kind.MESSAGE, Kind.GAP])
def test_what_belongs_to_no_venue_is_left_out(kind: Kind) -> None:
    nowhere = message(0, ("a",), kind=kind)
    nowhere.connection = 0

    assert list(timeline([nowhere], 1.0)) == []


@given(
    steps=st.lists(st.integers(-SECOND, SECOND), min_size=1, max_size=50),
    speed=st.floats(0.01, 1000),
)
def test_due_times_never_go_back_and_do_not_drift(steps: list[int], speed: float) -> None:
    """Also where the monotonic clock does: parts of two boots."""
    at, batches = 10_000 * SECOND, []
    for step in steps:
        at += step
        batches.append(message(at, ("a",)))

    dues = [due.after_ns for due in timeline(batches, speed)]

    assert len(dues) == len(batches)
    assert all(before <= after for before, after in pairwise(dues))
    furthest = max(batch.mono_ns for batch in batches) - batches[0].mono_ns
    assert dues[-1] == pytest.approx(furthest / speed, abs=1)
