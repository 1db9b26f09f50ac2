"""Which streams end with a recorded connection."""

from __future__ import annotations

from typing import Literal

from wsproxy.model import Batch, Kind
from wsproxy.recording import events as record
from wsproxy.replay.lines import End, Lines

A, B = ("a",), ("b",)


def message(connection: int, *streams: tuple[str, ...], kind: Kind = Kind.MESSAGE) -> Batch:
    return Batch(kind, connection, 0, 0, [b""] * len(streams), None, list(streams))


def close(connection: int, code: int, by: Literal["peer", "us", "network"]) -> Batch:
    payload = record.closed(code, "why", by)
    return Batch(Kind.CLOSED, connection, 0, 0, [payload], None, [()])


def test_the_streams_of_a_connection_end_with_it() -> None:
    lines = Lines()
    lines.carry(message(1, A, ("c", "d"), kind=Kind.ACKNOWLEDGED))
    lines.carry(message(2, B))
    assert list(lines.ends(close(1, 1001, "peer"))) == [End(frozenset("acd"), 1001, "why")]
    assert list(lines.ends(close(1, 1001, "peer"))) == []
    assert list(lines.ends(close(2, 1006, "network"))) == [End(frozenset("b"), 1006, "why")]


def test_a_stream_that_has_moved_does_not_end() -> None:
    lines = Lines()
    lines.carry(message(1, A, B))
    lines.carry(message(2, A))
    assert list(lines.ends(close(1, 1006, "network"))) == [End(frozenset("b"), 1006, "why")]


def test_what_the_recorder_closed_is_no_end() -> None:
    lines = Lines()
    lines.carry(message(1, A))
    assert list(lines.ends(close(1, 1000, "us"))) == []
    assert list(lines.ends(close(1, 1006, "network"))) == []
