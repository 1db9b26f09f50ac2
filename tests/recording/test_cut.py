from __future__ import annotations

from pathlib import Path

import pytest

from tests.recording.support import CONNECTIONS, MONO, WALL, read, record
from wsproxy.errors import ConfigError, RecordingError
from wsproxy.model import Batch, Kind, Message, StreamKey
from wsproxy.recording import events
from wsproxy.recording.cut import cut
from wsproxy.recording.reader import Recording
from wsproxy.recording.reader import open as open_recording

SECOND = 10**9
ALL = ("a", "b", "quiet")


class Sum:
    """Everything that was fed, together."""

    def __init__(self) -> None:
        self.known = b""

    def feed(self, payload: bytes) -> None:
        self.known += payload

    def snapshot(self) -> bytes | None:
        return self.known or None


def sums(stream: StreamKey) -> Sum | None:
    return Sum() if stream.name != "b" else None


def at(
    second: float,
    payload: bytes,
    *streams: str,
    kind: Kind = Kind.MESSAGE,
    connection: int = 1,
) -> list[Batch]:
    ns = int(second * SECOND)
    return [Batch(kind, connection, WALL + ns, MONO + ns, [payload], None, [streams])]


ATTACHED = events.attachment("https://venue/depth", 200, {}, b"{}", WALL)
BLOCKS = [
    at(0, b"\xa0", kind=Kind.OPENED),
    at(0, events.acknowledged(ALL), *ALL, kind=Kind.ACKNOWLEDGED),
    at(0, b"\xa0", kind=Kind.OPENED, connection=2),
    at(0, events.acknowledged(["x", "gone"]), "x", "gone", kind=Kind.ACKNOWLEDGED, connection=2),
    at(0, b"reply"),
    at(1, b"old", "b", kind=Kind.ATTACHMENT),
    at(1, ATTACHED, "b", kind=Kind.ATTACHMENT),
    at(1, b"1", "a"),
    at(1, b"x1", "x", connection=2),
    at(1.5, events.unsubscribed(["gone"]), "gone", kind=Kind.UNSUBSCRIBED, connection=2),
    at(2, b"2", "a"),
    at(2, b"!", "b"),
    at(3, b"3", "a"),
    at(3, b"ab", "a", "b"),
    at(3, b"x3", "x", connection=2),
    at(3, b"reply"),
    at(4, events.marker("look", ""), kind=Kind.MARKER, connection=0),
    at(4, events.closed(1006, "", "network"), kind=Kind.CLOSED, connection=2),
    at(5, b"5", "a"),
    at(5, b"!5", "b"),
]


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return open_recording(record(tmp_path / "r", BLOCKS), states=sums)


def told(messages: list[Message]) -> list[tuple[str, int, bytes]]:
    return [(Kind(m.kind).name, m.connection, m.payload) for m in messages]


def test_all_streams_from_the_beginning(recording: Recording, tmp_path: Path) -> None:
    cut(recording, tmp_path / "out", end="+3s")
    assert read(tmp_path / "out") == list(recording.messages(None, None, "+3s", None))


@pytest.mark.parametrize("start", ["+2.5s", "-2.5s"])
def test_it_begins_with_what_is_known_at_its_start(
    recording: Recording, tmp_path: Path, start: str
) -> None:
    written = cut(recording, tmp_path / "out", start=start)
    records = read(tmp_path / "out")
    opening = [one for one in records if one.time == WALL + 5 * SECOND // 2]
    assert told(opening) == [
        ("ACKNOWLEDGED", 1, events.acknowledged(ALL)),
        ("ACKNOWLEDGED", 2, events.acknowledged(["x"])),
        ("ATTACHMENT", 1, ATTACHED),
        ("KEYFRAME", 1, b"12"),
        ("KEYFRAME", 2, b"x1"),
    ]
    assert [one.streams for one in opening] == [ALL, ("x",), ("b",), ("a",), ("x",)]
    assert {one.mono for one in opening} == {MONO + 5 * SECOND // 2}
    rest = list(recording.messages(None, "+2.5s", None, None))
    assert [(m.time, m.mono, m.kind, m.streams, m.payload) for m in records[len(opening) :]] == [
        (m.time, m.mono, m.kind, m.streams, m.payload) for m in rest
    ]
    assert [one.seq for one in records] == list(range(written.records))


def test_a_book_takes_the_place_of_an_old_attachment(recording: Recording, tmp_path: Path) -> None:
    asked = []

    def books(stream: StreamKey, time: int) -> bytes | None:
        asked.append((stream.name, time - WALL))
        return b"book" if stream.name in ("b", "x") else None

    cut(recording, tmp_path / "out", start="+2.5s", books=books)
    attached = open_recording(tmp_path / "out").messages(kinds=(Kind.ATTACHMENT,))
    assert [(m.streams, m.connection, m.payload) for m in attached] == [
        (("b",), 1, b"book"),
        (("x",), 2, b"book"),
    ]
    assert {time for _, time in asked} == {5 * SECOND // 2}


def test_what_ended_before_the_start_is_not_granted_then(
    recording: Recording, tmp_path: Path
) -> None:
    cut(recording, tmp_path / "out", start="+4.5s")
    granted = open_recording(tmp_path / "out").messages(kinds=(Kind.ACKNOWLEDGED,))
    assert [one.streams for one in granted] == [ALL]


def test_a_cut_of_a_cut_knows_the_same(recording: Recording, tmp_path: Path) -> None:
    cut(recording, tmp_path / "one", start="+2.5s")
    again = open_recording(tmp_path / "one", states=sums)
    later = WALL + 4 * SECOND
    assert again.state_at(later) == recording.state_at(later)
    cut(again, tmp_path / "two", start=later)
    keyframes = open_recording(tmp_path / "two").messages("a", kinds=(Kind.KEYFRAME,))
    assert [one.payload for one in keyframes] == [b"123ab"]


def test_only_some_streams(recording: Recording, tmp_path: Path) -> None:
    cut(recording, tmp_path / "out", streams=["b"])
    assert told(read(tmp_path / "out")) == [
        ("OPENED", 1, b"\xa0"),
        ("ACKNOWLEDGED", 1, events.acknowledged(ALL)),
        ("ATTACHMENT", 1, b"old"),
        ("ATTACHMENT", 1, ATTACHED),
        ("MESSAGE", 1, b"!"),
        ("MESSAGE", 1, b"ab"),
        ("MARKER", 0, events.marker("look", "")),
        ("MESSAGE", 1, b"!5"),
    ]


def test_the_state_of_only_some_streams(recording: Recording, tmp_path: Path) -> None:
    cut(recording, tmp_path / "out", streams=["x", "quiet"], start="+2s", end="+4s")
    assert told(read(tmp_path / "out")) == [
        ("ACKNOWLEDGED", 1, events.acknowledged(["quiet"])),
        ("ACKNOWLEDGED", 2, events.acknowledged(["x"])),
        ("KEYFRAME", 2, b"x1"),
        ("MESSAGE", 2, b"x3"),
    ]


def test_a_stream_without_a_connection_of_its_own_gets_one_of_its_venue(tmp_path: Path) -> None:
    blocks = [at(0, b"1", "a"), at(1, b"2", "a", connection=CONNECTIONS[2].number)]
    source = open_recording(record(tmp_path / "r", blocks), states=sums)
    cut(source, tmp_path / "out", start="+1s")
    (keyframe,) = open_recording(tmp_path / "out").messages(kinds=(Kind.KEYFRAME,))
    assert (keyframe.venue, keyframe.streams, keyframe.payload) == ("binance", ("a",), b"1")


def test_what_cannot_be_cut(recording: Recording, tmp_path: Path) -> None:
    for error, words, how in (
        (RecordingError, "would hold no records", {"start": "+1h"}),
        (RecordingError, "holds no stream y", {"streams": ["y"]}),
        (ConfigError, "'soon' is not a time", {"start": "soon"}),
    ):
        with pytest.raises(error, match=words):
            cut(recording, tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_a_piece_without_a_state_needs_no_venue(recording: Recording, tmp_path: Path) -> None:
    plain = open_recording(recording.path)
    cut(plain, tmp_path / "out", end="+1s")
    with pytest.raises(RecordingError, match=r"wsproxy\.open"):
        cut(plain, tmp_path / "out2", start="+1s")
    assert not (tmp_path / "out2").exists()
