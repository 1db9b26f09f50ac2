from __future__ import annotations

import cbor2
import pytest

from wsproxy.model import StreamKey
from wsproxy.recording import streamtable
from wsproxy.recording.streamtable import EMPTY, StreamTable


def test_streams_are_numbered_in_the_order_in_which_they_occur() -> None:
    table = StreamTable()
    assert table.sets("one")[("a", "b")] < EMPTY
    assert table.sets("two")[("b",)] == 3
    assert table.sets("one")[("b",)] == 2
    assert table.numbers == {
        StreamKey("one", "a"): 1,
        StreamKey("one", "b"): 2,
        StreamKey("two", "b"): 3,
    }


def test_sets_are_numbers_until_they_are_listed() -> None:
    table = StreamTable()
    names = [(), ("b",), ("a", "b"), ("b", "a"), ("a", "b")]
    sets = [table.sets("x")[one] for one in names]
    assert sets[:2] == [EMPTY, 1]
    assert sets[2] == sets[4] != sets[3]
    members = [(), (1,), (2, 1), (1, 2), (2, 1)]
    assert table.members(sets) == members
    assert [tuple(cbor2.loads(one)) for one in table.listed(sets)] == members


def test_streams_are_defined_by_their_number_and_name() -> None:
    table = StreamTable()
    for number in range(300):
        table.number(StreamKey("venue", f"stream {number}"))
    pairs = b"\xa2" + b"".join(table.defined([300, 7]))
    assert cbor2.loads(pairs) == {300: ["venue", "stream 299"], 7: ["venue", "stream 6"]}


def test_not_all_sets_of_several_streams_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamtable, "MOST", 2)
    table = StreamTable()
    sets = table.sets("x")
    before = [sets[one] for one in (("a", "b"), ("b", "c"), ("c", "a"))]
    table.begin()
    assert sets[("a",)] == 1
    again = sets[("c", "a")]
    assert again == before[0]
    assert table.members([again]) == [(3, 1)]
    table.begin()
    assert sets[("c", "a")] == again
