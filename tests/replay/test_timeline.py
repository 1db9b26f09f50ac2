"""The timeline: order, positions, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording.support import batches as recorded
from tests.recording.support import decoded
from wsproxy.model import Batch, Kind, Run
from wsproxy.recording.decode import Selection
from wsproxy.replay.timeline import FAITHFUL, Due, Stretches, timeline

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


Record = tuple[int, int, Kind | int, bytes, tuple[str, ...]]


def records(dues: Iterable[Due]) -> list[Record]:
    """Of each record, what a replay needs; a stretch tells the position of its last only."""
    return [
        (due.position, due.batch.wall_ns, due.batch.kind, payload, streams)
        for due in dues
        for payload, streams in zip(due.batch.payloads, due.batch.streams, strict=True)
    ]


def taken(stretches: Stretches, sizes: Iterable[int]) -> list[Due]:
    """What is due, in pieces of about these sizes in turn."""
    turn = cycle(sizes)
    return list(iter(lambda: stretches.next(next(turn)), None))


@settings(deadline=None)
@given(block=recorded.filter(bool))
def test_moment_by_moment_stretches_are_the_timeline(block: list[Batch]) -> None:
    read = decoded(block)

    moments = taken(Stretches(read.runs(Selection())), [0])

    assert records(moments) == records(timeline(read.batches(Selection())))


@settings(deadline=None)
@given(
    block=recorded.filter(bool),
    sizes=st.lists(st.sampled_from([0, 1, 30, 1 << 20]), min_size=1, max_size=4),
)
def test_stretches_hold_the_same_whatever_their_sizes(block: list[Batch], sizes: list[int]) -> None:
    read = decoded(block)
    expected = records(timeline(read.batches(Selection())))

    dues = taken(Stretches(read.runs(Selection())), sizes)

    assert [record[2:] for record in records(dues)] == [record[2:] for record in expected]
    done = 0
    for due in dues:
        done += len(due.batch.payloads)
        assert (due.position, due.batch.wall_ns) == expected[done - 1][:2]


def test_a_stretch_ends_with_its_run_and_with_its_bytes() -> None:
    def run(kind: Kind, *payloads: bytes) -> Run:
        count = len(payloads)
        times = range(count)
        return Run(kind, [1] * count, times, times, list(payloads), [("a",)] * count)

    runs = [
        run(Kind.MESSAGE, b"11", b"22", b"33"),
        run(Kind.SUBSCRIBED, b"no"),
        run(Kind.GAP, b"gap"),
        run(Kind.MESSAGE, b"far too large"),
    ]

    dues = taken(Stretches(runs), [5])

    assert [due.batch.payloads for due in dues] == [
        [b"11", b"22"],
        [b"33"],
        [b"gap"],
        [b"far too large"],
    ]


def test_a_stretch_leaves_out_what_belongs_to_no_stream_or_connection() -> None:
    streams: list[tuple[str, ...]] = [("a",), (), ("b",)]
    run = Run(Kind.MESSAGE, [1, 1, 0], range(3), range(3), [b"1", b"reply", b"nowhere"], streams)
    nothing = Run(Kind.MESSAGE, [1], [9], [9], [b"reply"], [()])

    (due,) = taken(Stretches([nothing, run]), [1 << 20])

    assert (due.position, due.batch.payloads, due.batch.streams) == (0, [b"1"], [("a",)])
