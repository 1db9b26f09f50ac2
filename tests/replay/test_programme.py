"""Several recordings are one: their times, connections, streams and states."""

from __future__ import annotations

from pathlib import Path

from tests.app.replay_support import programme
from tests.app.support import make_recording
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.model import Kind, StreamKey
from wsproxy.recording import events as record

A, BOOK = ("a",), ("book",)


def test_they_are_merged_by_time_then_as_they_were_named(tmp_path: Path) -> None:
    one = make_recording(tmp_path / "1", (0, "a 0", A), (1, "a 1", A), (3, "a 3", A))
    two = make_recording(tmp_path / "2", (1, "b 1", ("b",)), (2, "b 2", ("b",)))
    both = programme(one, two)
    batches = list(both.batches())
    assert [batch.payloads for batch in batches] == [
        [b"a 0"],
        [b"a 1"],
        [b"b 1"],
        [b"b 2"],
        [b"a 3"],
    ]
    assert [batch.connection for batch in batches] == [1, 1, 2, 2, 1]
    assert {n: info.venue for n, info in both.connections.items()} == {1: "fake", 2: "fake"}
    assert both.venues == ["fake"]
    assert both.held("fake") == {"a", "b"}


def test_offsets_bring_days_together(tmp_path: Path) -> None:
    one = make_recording(tmp_path / "1", (0, "a 0", A), (2, "a 2", A))
    two = make_recording(tmp_path / "2", (3601, "b 1", ("b",)), (3603, "b 3", ("b",)))
    both = programme(one, two, offsets_ns=(0, -3600 * SECOND))
    assert (both.first, both.last) == (WALL_NS, WALL_NS + 3 * SECOND)
    batches = list(both.batches(WALL_NS + SECOND))
    assert [batch.payloads for batch in batches] == [[b"b 1"], [b"a 2"], [b"b 3"]]
    walls = [batch.wall_ns - WALL_NS for batch in batches]
    assert walls == [SECOND, 2 * SECOND, 3 * SECOND]
    monos = [batch.mono_ns - batches[0].mono_ns for batch in batches]
    assert monos == [0, SECOND, 2 * SECOND], "the pace is that of the wall clock"
    assert [b.payloads for b in both.batches(end=WALL_NS + SECOND)] == [[b"a 0"]]


def test_times_are_counted_from_its_ends(tmp_path: Path) -> None:
    one = make_recording(tmp_path / "1", (0, "a 0", A), (2, "a 2", A))
    two = make_recording(tmp_path / "2", (1, "a 1", A))
    both = programme(one, two, offsets_ns=(SECOND, 5 * SECOND))
    found = [both.moment(value) - WALL_NS for value in ("+0.5s", "-0.5s", WALL_NS)]
    assert found == [3 * SECOND // 2, 11 * SECOND // 2, 0]


def test_an_offset_of_one_recording_moves_its_time(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "1", (0, "a 0", A))
    (batch,) = programme(path, offsets_ns=(SECOND,)).batches()
    assert batch.wall_ns == WALL_NS + SECOND


def test_one_recording_as_it_is_can_be_had_in_runs(tmp_path: Path) -> None:
    one = make_recording(tmp_path / "1", (0, "a 0", A), (1, "a 1", A), (3, "a 3", A))
    runs = programme(one).runs(WALL_NS + SECOND, WALL_NS + 3 * SECOND)
    assert runs is not None
    assert [run.payloads for run in runs] == [[b"a 1"]]
    assert programme(one, offsets_ns=(SECOND,)).runs() is None
    assert programme(one, one).runs() is None


def test_states_are_those_of_the_moment(tmp_path: Path) -> None:
    one = make_recording(tmp_path / "1", *((at, f"book {at}", BOOK) for at in range(4)))
    two = make_recording(tmp_path / "2", (10, "book2 7", ("book2",)))
    both = programme(one, two, offsets_ns=(0, -9 * SECOND))
    assert both.states(WALL_NS) == {}
    assert both.states(WALL_NS + 2 * SECOND) == {
        StreamKey("fake", "book"): b"snapshot 0,1",
        StreamKey("fake", "book2"): b"snapshot 7",
    }


def test_at_the_beginning_states_are_the_keyframes_that_come_first(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "1",
        (0, "book =7,8", BOOK, Kind.KEYFRAME),
        (0, "a 0", A),
        (1, "book =9", BOOK, Kind.KEYFRAME),
    )
    assert programme(path).states(WALL_NS) == {StreamKey("fake", "book"): b"book =7,8"}


def test_streams_that_were_refused(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "1",
        (0, "?", ("quiet",), Kind.ACKNOWLEDGED),
        (0, record.refused(["bad"], "no such thing"), ("bad",), Kind.REFUSED),
        (1, record.refused(["a"], "not yet"), A, Kind.REFUSED),
        (2, "a 0", A),
    )
    found = programme(path)
    assert found.held("fake") == {"a", "quiet"}
    assert found.refused("fake") == {"bad": "no such thing"}


def test_a_programme_of_nothing(tmp_path: Path) -> None:
    found = programme(make_recording(tmp_path / "1"))
    assert (found.first, found.last, found.venues) == (0, 0, [])
    assert list(found.batches()) == []
    assert found.states(5) == {}


def test_messages_of_a_stream_and_what_was_attached(tmp_path: Path) -> None:
    one = make_recording(tmp_path / "1", (0, "a 0", A), (1, "b 1", ("b",)), (2, "a 2", A))
    attached = (3602, b"x", (), Kind.ATTACHMENT)
    two = make_recording(tmp_path / "2", (3601, "a 1", A), attached)
    both = programme(one, two, offsets_ns=(0, -3600 * SECOND))
    a = StreamKey("fake", "a")
    assert [(m.payload, m.connection) for m in both.messages(a)] == [
        (b"a 0", 1),
        (b"a 1", 2),
        (b"a 2", 1),
    ]
    some = both.messages(a, WALL_NS + SECOND, WALL_NS + 2 * SECOND)
    assert [(m.payload, m.time - WALL_NS) for m in some] == [(b"a 1", SECOND)]
    assert list(both.messages(StreamKey("fake", "c"))) == []
    found = [(m.payload, m.connection, m.time - WALL_NS) for m in both.attachments()]
    assert found == [(b"x", 2, 2 * SECOND)]
    assert len(list(both.attachments(WALL_NS + 2 * SECOND))) == 1
    assert list(both.attachments(WALL_NS + 3 * SECOND)) == []
