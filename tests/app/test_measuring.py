from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.playbook import WALL_NS
from wsproxy.app.measuring import measured, splitting_rate
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer

SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Four seconds: x brings 1, 0, 3, 0 and 1 messages of 10 bytes on two streams; y one more."""
    with Writer.create(tmp_path / "r", venues=["x", "y"], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "x", "ws://x"))
        writer.add_connection(ConnectionInfo(2, "y", "ws://y"))
        for connection, tenth, count in [(1, 0, 1), (2, 1, 1), (1, 21, 2), (1, 29, 1), (1, 40, 1)]:
            at_ns = tenth * SECOND // 10
            names: list[tuple[str, ...]] = [
                ("a",) if connection == 1 and tenth else ("abcde",)
            ] * count
            payloads = [b"0123456789"] * count
            kind = Kind.MESSAGE
            batch = Batch(kind, connection, WALL_NS + at_ns, at_ns, payloads, None, names)
            writer.write([batch])
    return tmp_path / "r"


def test_a_stream_of_the_average(path: Path) -> None:
    recording = open_recording(path)
    found = measured(recording, "x")
    assert (found.streams, found.seconds) == (2, 4)
    assert found.messages_per_s == pytest.approx(5 / 4 / 2)
    assert found.bytes_per_s == pytest.approx(50 / 4 / 2)
    assert found.peak_messages_per_s == 3 / 2
    assert found.peak_bytes_per_s == 30 / 2
    assert found.name_characters == 3
    assert found.disk_ratio == recording.info.disk_bytes / recording.info.raw_bytes


def test_a_venue_that_was_not_recorded(path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no messages of z"):
        measured(open_recording(path), "z")


def test_the_yardstick_is_about_this_machine() -> None:
    assert 10_000 < splitting_rate(0.01) < 100_000_000
