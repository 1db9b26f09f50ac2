"""Messages are lost, late and there twice, but never out of their stream's order."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsproxy.model import Batch, Kind
from wsproxy.replay.disturb import disturb
from wsproxy.replay.faults import Fault, FaultFile, StreamKind, plan
from wsproxy.replay.timeline import Due

SECOND = 1_000_000_000
WALL = 1000 * SECOND


def message(at: int, *streams: str, kind: Kind = Kind.MESSAGE) -> Due:
    payloads = [f"{stream}{at}".encode() for stream in streams]
    position = at * SECOND
    names: list[tuple[str, ...]] = [(stream,) for stream in streams]
    return Due(position, Batch(kind, 1, WALL + position, position, payloads, None, names))


def played(dues: Sequence[Due], *faults: Fault, seed: int = 0) -> list[tuple[float, str]]:
    strikes = plan(FaultFile(seed, faults), WALL, WALL + 100 * SECOND)
    return [
        (due.position / SECOND, payload.decode())
        for due in disturb(dues, strikes, seed)
        for payload in due.batch.payloads
    ]


TEN = [message(at, "a") for at in range(10)]


def test_without_faults_batches_go_through_untouched() -> None:
    assert list(disturb(TEN, [], 0)) == TEN


def test_a_gap() -> None:
    found = played(TEN, Fault("gap", "+3s", seconds=4.0))
    assert found == [(at, f"a{at}") for at in (0, 1, 2, 7, 8, 9)]


def test_a_gap_of_some_streams() -> None:
    dues = [message(at, "a", "b") for at in range(3)]
    found = played(dues, Fault("gap", "+1s", seconds=1.0, streams=("b",)))
    assert [text for _, text in found] == ["a0", "b0", "a1", "a2", "b2"]


def test_messages_that_come_twice() -> None:
    found = played(TEN[:4], Fault("duplicate", "+1s", seconds=2.0))
    assert [text for _, text in found] == ["a0", "a1", "a1", "a2", "a2", "a3"]


def test_a_freeze_lets_everything_go_at_its_end() -> None:
    found = played(TEN, Fault("freeze", "+2s", seconds=3.5))
    assert found == [
        *((0, "a0"), (1, "a1"), (5.5, "a2"), (5.5, "a3"), (5.5, "a4"), (5.5, "a5")),
        *((6, "a6"), (7, "a7"), (8, "a8"), (9, "a9")),
    ]


def test_latency_keeps_the_order_of_a_stream_behind_its_end() -> None:
    found = played(TEN[:6], Fault("latency", "+1s", seconds=1.0, delay=2.5))
    assert found == [(0, "a0"), (3.5, "a1"), (3.5, "a2"), (3.5, "a3"), (4, "a4"), (5, "a5")]


def test_other_streams_do_not_wait() -> None:
    dues = [message(0, "a", "b"), message(1, "b"), message(2, "a")]
    found = played(dues, Fault("latency", "+0s", seconds=1.0, delay=1.5, streams=("a",)))
    assert found == [(0, "b0"), (1, "b1"), (1.5, "a0"), (2, "a2")]


def test_jitter_is_bounded_and_comes_of_the_seed() -> None:
    fault = Fault("jitter", "+0s", seconds=100.0, delay=0.5)
    found = played(TEN, fault, seed=1)
    delays = [at - int(text[1:]) for at, text in found]
    assert all(0 <= delay <= 0.5 for delay in delays)
    assert len(set(delays)) > 5
    assert played(TEN, fault, seed=1) == found
    assert played(TEN, fault, seed=2) != found


def test_what_is_no_message_passes() -> None:
    gap = message(1, "a", kind=Kind.GAP)
    strikes = plan(FaultFile(0, (Fault("gap", "+0s", seconds=9.0),)), WALL, WALL)
    assert list(disturb([message(0, "a"), gap], strikes, 0)) == [gap]


KINDS: list[StreamKind] = ["freeze", "latency", "jitter", "duplicate"]


@given(
    times=st.lists(st.tuples(st.integers(0, 99), st.sampled_from("abc")), max_size=30),
    faults=st.lists(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 99), st.integers(1, 30)), max_size=4
    ),
)
def test_streams_keep_their_order_and_lose_nothing(
    times: list[tuple[int, str]], faults: list[tuple[StreamKind, int, int]]
) -> None:
    dues = [message(at, stream) for at, stream in sorted(times)]
    wanted = [
        Fault(kind, f"+{at}s", seconds=float(seconds), delay=2.0) for kind, at, seconds in faults
    ]
    found = played(dues, *wanted)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    for stream in "abc":
        sent = [b.payloads[0].decode() for _, b in dues if b.streams == [(stream,)]]
        came = [text for _, text in found if text.startswith(stream)]
        assert list(dict.fromkeys(came)) == list(dict.fromkeys(sent))
        assert came == sorted(came, key=lambda text: int(text[1:]))
        assert all(position >= int(text[1:]) for position, text in found)


@pytest.mark.parametrize("kind", KINDS)
def test_positions_never_go_back(kind: StreamKind) -> None:
    dues = [message(at, "a", "b") for at in range(20)]
    found = played(dues, Fault(kind, "+1s", seconds=5.0, delay=3.0, streams=("b",)))
    assert [at for at, _ in found] == sorted(at for at, _ in found)
