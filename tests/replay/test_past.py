"""REST answers of recordings, and of clients who ask at a moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.app.replay_support import programme
from tests.hub.fake_venue import SECOND, FakeRest, FakeVenue
from tests.hub.playbook import WALL_NS
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer
from wsproxy.replay.past import Archive

ENDPOINT = ConnectionInfo(1, "fake", "ws://fake/")
REST = ConnectionInfo(2, "fake", "http://fake")


def kept(
    url: str, body: bytes, streams: tuple[str, ...] = (), *, status: int = 200, connection: int = 2
) -> tuple[Kind, int, bytes, tuple[str, ...]]:
    payload = record.attachment(url, status, {}, body, WALL_NS)
    return Kind.ATTACHMENT, connection, payload, streams


def said(stream: str, number: int) -> tuple[Kind, int, bytes, tuple[str, ...]]:
    return Kind.MESSAGE, 1, f"{stream} {number}".encode(), (stream,)


def recorded(
    directory: Path, *records: tuple[float, tuple[Kind, int, bytes, tuple[str, ...]]]
) -> Path:
    with Writer.create(directory, venues=["fake"], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ENDPOINT)
        writer.add_connection(REST)
        for seconds, (kind, connection, payload, streams) in records:
            at_ns = round(seconds * SECOND)
            batch = Batch(kind, connection, WALL_NS + at_ns, at_ns, [payload], None, [streams])
            writer.write([batch])
    return directory


def ask(archive: Archive, target: str, second: float = 99) -> str | None:
    path, _, query = target.partition("?")
    found, _ = archive.answer(path, query, WALL_NS + round(second * SECOND))
    return None if found is None else found.text


def archive(*paths: Path, offsets_ns: tuple[int, ...] = ()) -> Archive:
    return Archive(programme(*paths, offsets_ns=offsets_ns), FakeVenue(), FakeRest())


def test_a_book_is_that_of_the_moment(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "1",
        (1, said("seq1", 1)),
        (1.5, kept("http://fake/seq1?5", b"1", ("seq1",))),
        (2, said("seq1", 2)),
        (3, said("seq1", 3)),
    )
    known = archive(path)
    assert [ask(known, "/book?seq1", second) for second in (1.5, 2.5, 3, 2)] == [
        "1",
        "1,2",
        "1,2,3",
        "1,2",
    ]
    assert ask(known, "/elsewhere") is None
    assert known.streams == {"seq1"}


def test_who_asks_before_the_snapshot_is_warned_of(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "1",
        *((at, said("seq1", at)) for at in range(9)),
        (9, kept("http://fake/seq1?5", b"4")),
    )
    known = archive(path)
    _, warning = known.answer("/book", "seq1", WALL_NS + SECOND // 2)
    assert warning.startswith("the first snapshot of seq1 is of 3.5 s later")
    _, warning = known.answer("/book", "seq1", WALL_NS + 5 * SECOND)
    assert warning == ""


def test_snapshots_are_found_by_stream_by_url_and_by_their_place(tmp_path: Path) -> None:
    named = kept("", b"1", ("seq1",))
    by_url = kept("http://fake/seq1?5", b"1", ("seq1@x",))
    nameless = kept("", b"1", connection=2)
    of_another = kept("http://fake/seq2?5", b"1")
    refused = kept("http://fake/seq1?5", b"1", status=400)
    found = [
        ask(archive(recorded(tmp_path / str(at), (1, said("seq1", 1)), (2, one))), "/book?seq1")
        for at, one in enumerate((named, by_url, nameless, of_another, refused))
    ]
    assert found == ["1", "1", "1", None, None]


@pytest.mark.parametrize(("connection", "found"), [(1, "1"), (2, None)])
def test_among_several_markets_a_nameless_snapshot_must_stand_beside_its_messages(
    tmp_path: Path, connection: int, found: str | None
) -> None:
    path = recorded(
        tmp_path / "1",
        (1, said("seq1", 1)),
        (1, said("seq2", 101)),
        (2, kept("", b"1", connection=connection)),
    )
    assert ask(archive(path), "/book?seq1") == found
    assert ask(archive(path), "/book?seq2") is None


def test_of_several_streams_the_furthest_book_counts(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "1",
        (0, kept("", b"0", ("seq1", "seq1@x"))),
        *((at, said("seq1", at)) for at in (1, 2)),
        *((at, said("seq1@x", at)) for at in (1, 2, 3)),
    )
    assert ask(archive(path), "/book?seq1,seq1@x") == "0,1,2,3"
    assert ask(archive(path), "/book?seq1") == "0,1,2"


def test_other_answers_are_the_last_by_then(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "1",
        (1, said("a", 1)),
        (2, kept("http://fake/info", b"one")),
        (3, kept("http://fake/info?x", b"other")),
        (4, kept("http://fake/base/info", b"two")),
        (5, kept("http://fake/info", b"no", status=500)),
        (6, kept("http://[", b"no")),
    )
    known = archive(path)
    assert [ask(known, "/info", second) for second in (0, 3, 9)] == ["one", "one", "two"]
    assert ask(archive(recorded(tmp_path / "2", (1, said("a", 1)))), "/info") == "nothing"


def test_recordings_that_are_moved_and_merged(tmp_path: Path) -> None:
    one = recorded(tmp_path / "1", (1, said("seq1", 1)), (1, kept("", b"1", connection=1)))
    two = recorded(tmp_path / "2", (3602, said("seq1", 2)), (3604, said("seq1", 3)))
    known = archive(one, two, offsets_ns=(0, -3600 * SECOND))
    assert [ask(known, "/book?seq1", second) for second in (1, 3, 4)] == ["1", "1,2", "1,2,3"]


def test_a_snapshot_of_a_moment_can_be_recorded(tmp_path: Path) -> None:
    path = recorded(
        tmp_path / "1",
        (1, said("seq1", 1)),
        (1, said("a", 1)),
        (1.5, kept("http://fake/seq1?5", b"1", ("seq1",))),
        (2, said("seq1", 2)),
        (3, said("seq1", 3)),
    )
    known = archive(path)
    made = known.snapshot("seq1", WALL_NS + 3 * SECOND)
    assert made is not None
    fields = record.read_event(made)
    assert (fields["url"], fields["status"], fields["body"]) == ("/seq1?5000", 200, b"1,2")
    assert known.snapshot("a", WALL_NS + 3 * SECOND) is None, "it needs none"
    assert known.snapshot("seq1", WALL_NS + SECOND) is None, "the first comes later"
