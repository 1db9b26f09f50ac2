from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wsproxy.hub.backlog import Backlog, Content
from wsproxy.venues.base import Numbered

NOTHING = Content(None)


def test_the_newest_takes_the_place_of_the_one_before() -> None:
    backlog = Backlog()
    added = [
        backlog.add(b"a1", Content("a")),
        backlog.add(b"delta1", NOTHING),
        backlog.add(b"b1", Content("b")),
        backlog.add(b"a2", Content("a")),
        backlog.add(b"delta2", NOTHING),
        backlog.add(b"a3", Content("a")),
    ]
    assert added == [False, False, False, True, False, True]
    assert backlog.replaced == 2
    assert backlog.take() == [b"a3", b"delta1", b"b1", b"delta2"]


def test_what_was_taken_is_not_replaced() -> None:
    backlog = Backlog()
    backlog.add(b"a1", Content("a"))
    assert backlog.take() == [b"a1"]
    assert not backlog.add(b"a2", Content("a"))
    assert backlog.take() == [b"a2"]
    assert backlog.take() == []
    assert backlog.replaced == 0


def test_no_message_overtakes_one_that_holds_more_than_its_stream() -> None:
    backlog = Backlog()
    backlog.add(b"a1", Content("a"))
    backlog.add(b"c1", Content("c"))
    backlog.add(b"a2+b2", Content(None, ("a", "b")))
    backlog.add(b"a3", Content("a"))
    backlog.add(b"c2", Content("c"))
    backlog.add(b"a4", Content("a"))
    assert backlog.take() == [b"a1", b"c2", b"a2+b2", b"a4"]


def test_bytes_are_those_that_wait() -> None:
    backlog = Backlog()
    backlog.add(b"12345", Content("a"))
    backlog.add(Numbered(b"123", b"45"), NOTHING)
    assert backlog.bytes == 10
    backlog.add(b"1", Content("a"))
    assert backlog.bytes == 6
    backlog.take()
    assert backlog.bytes == 0


@given(st.lists(st.lists(st.sampled_from("abxy"), min_size=1, max_size=2, unique=True)))
def test_each_stream_is_told_in_order_up_to_its_newest(messages: list[list[str]]) -> None:
    """``a`` and ``b`` are replaceable, ``x`` and ``y`` are not."""
    backlog = Backlog()
    for number, streams in enumerate(messages):
        replaceable = tuple(s for s in streams if s in "ab")
        alone = len(streams) == len(replaceable) == 1
        content = Content(streams[0]) if alone else Content(None, replaceable)
        backlog.add(b"%d" % number, content)
    kept = [int(item) for item in backlog.take() if isinstance(item, bytes)]
    assert len(kept) + backlog.replaced == len(messages)
    for stream in "abxy":
        sent = [number for number, streams in enumerate(messages) if stream in streams]
        got = [number for number in kept if stream in messages[number]]
        assert got == sorted(got)
        assert got[-1:] == sent[-1:]
        if stream in "xy":
            assert got == sent
