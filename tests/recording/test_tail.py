"""A recording that grows while it is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

import wsproxy
from tests.recording.support import CONNECTIONS, MONO, WALL, record, three_blocks
from wsproxy.errors import DamagedRecording, RecordingError
from wsproxy.model import Batch, Instant, Kind
from wsproxy.recording.part import Part
from wsproxy.recording.rotation import Rotation
from wsproxy.recording.tail import Tail
from wsproxy.recording.writer import Writer

SECOND = 10**9


def said(second: int, *texts: str) -> Batch:
    at = Instant(WALL + second * SECOND, MONO + second * SECOND)
    streams: list[tuple[str, ...]] = [("a",)] * len(texts)
    return Batch(Kind.MESSAGE, 1, *at, [text.encode() for text in texts], None, streams)


def texts(batches: Iterable[Batch]) -> list[str]:
    return [payload.decode() for batch in batches for payload in batch.payloads]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "r"


def writing(out: Path, rotation: Rotation | None = None) -> Writer:
    writer = Writer.create(
        out, venues=["binance"], wall_ns=WALL, mono_ns=MONO, rotation=rotation or Rotation()
    )
    writer.add_connection(CONNECTIONS[0])
    return writer


def test_each_record_is_given_once_as_it_comes(out: Path) -> None:
    with writing(out) as writer:
        tail = Tail(out)
        assert texts(tail.batches()) == []
        writer.write([said(1, "1", "2")])
        assert texts(tail.batches()) == ["1", "2"]
        assert texts(tail.batches()) == []
        writer.write([said(2, "3")])
        writer.write([said(3, "4")])
        assert texts(tail.batches()) == ["3", "4"]
        assert not tail.is_over
        assert tail.connections == {1: CONNECTIONS[0]}
        writer.write([said(4, "5")])
    assert texts(tail.batches()) == ["5"]
    assert tail.is_over
    assert texts(tail.batches()) == []


def test_from_a_time_on(out: Path) -> None:
    with writing(out) as writer:
        writer.write([said(1, "1"), said(2, "2")])
        tail = Tail(out, WALL + 2 * SECOND)
        assert texts(tail.batches()) == ["2"]
        writer.write([said(3, "3")])
        assert texts(tail.batches()) == ["3"]


def test_it_goes_on_in_the_next_part(out: Path) -> None:
    with writing(out, Rotation(after_ns=2 * SECOND)) as writer:
        writer.write([said(0, "1")])
        tail = Tail(out)
        assert texts(tail.batches()) == ["1"]
        for second in range(1, 8):
            writer.write([said(second, str(second + 1))])
        assert len(list(out.iterdir())) > 2
        assert texts(tail.batches()) == ["2", "3", "4", "5", "6", "7", "8"]
        assert not tail.is_over
    assert texts(tail.batches()) == []
    assert tail.is_over


def test_a_recording_that_was_closed_is_over(out: Path) -> None:
    path = record(out, three_blocks())
    tail = Tail(path)
    given = [(batch.kind, batch.payloads, batch.streams) for batch in tail.batches()]
    assert given == [(b.kind, b.payloads, b.streams) for b in wsproxy.open(path).batches()]
    assert tail.is_over


def test_so_is_one_whose_writer_was_killed_even_within_a_block(out: Path) -> None:
    path = record(out, three_blocks(), killed=True)
    path.write_bytes(path.read_bytes()[:-1])
    tail = Tail(out)
    assert list(tail.batches())
    assert tail.is_over


def test_what_is_damaged_is_said(out: Path) -> None:
    path = record(out, three_blocks(), killed=True)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedRecording):
        list(Tail(out).batches())


def test_no_recording(out: Path) -> None:
    with pytest.raises(RecordingError, match="does not exist"):
        Tail(out)


def test_a_part_tells_whether_somebody_writes_it(out: Path) -> None:
    with writing(out) as writer, Part(writer.path, lambda damage: None) as part:
        assert part.is_being_written
        assert part.is_being_written  # to ask changes nothing
        writer.close()
        assert not part.is_being_written
