from __future__ import annotations

import pytest

from wsproxy.hub import joinline
from wsproxy.hub.copies import Message
from wsproxy.hub.joinline import JoinLine
from wsproxy.venues.base import Same, Span


def numbered(first: int, last: int, ns: int = 0) -> Message:
    return Message(1, b"%d" % last, Span(first, last, gapless=True), last, ns)


def test_patience_begins_anew_with_the_first_message_that_is_held() -> None:
    line = JoinLine(is_joined=False)
    line.hold(numbered(1, 1, ns=5))
    assert line.since_ns is None  # the venue has not granted the stream
    line.let_go()
    line.since_ns = 0
    line.hold(numbered(2, 2, ns=7))
    line.hold(numbered(3, 3, ns=9))
    assert line.since_ns == 7


def test_what_clients_are_told_is_kept_to_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joinline, "_TOLD_MOST", 2)
    line = JoinLine(is_joined=True)
    line.tell(b"1")
    assert line.told is None
    line.told = []
    line.tell(b"1")
    line.tell(b"2")
    assert line.told == [b"1", b"2"]
    line.tell(b"3")
    assert line.told is None  # too much to compare


def test_what_is_held_is_bounded_and_a_snapshot_goes_with_what_followed_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(joinline, "_HELD_MOST", 2)
    line = JoinLine(is_joined=False)
    line.snapshot = b"snapshot"
    line.hold(numbered(1, 1))
    line.hold(numbered(2, 2))
    assert line.snapshot == b"snapshot"
    line.hold(numbered(3, 3))
    assert line.snapshot is None
    assert [message.key for message in line.let_go()] == [2, 3]
    assert line.held_bytes == 0


def test_what_numbers_it_holds() -> None:
    line = JoinLine(is_joined=False)
    assert not line.holds_before(6)
    assert not line.follows(4)
    line.hold(numbered(5, 7))
    assert line.holds_before(6)
    assert not line.holds_before(5)
    assert line.follows(4)
    assert not line.follows(5)
    line.let_go()
    line.hold(Message(1, b"x", Same(b"x"), 1, 0))
    assert not line.holds_before(6)
    assert not line.follows(4)


def test_a_line_that_parts_begins_anew() -> None:
    line = JoinLine(is_joined=True)
    line.hold(numbered(1, 1))
    line.part(9, b"afresh")
    assert (line.is_joined, line.since_ns, line.snapshot, list(line.held)) == (
        False,
        9,
        b"afresh",
        [],
    )
