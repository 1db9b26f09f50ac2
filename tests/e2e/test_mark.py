"""A person's note goes into the recording while it is written."""

from __future__ import annotations

from pathlib import Path

from tests.kit.proxy import run, wsproxy
from tests.kit.round_trip import records, stop
from wsproxy.model import Kind
from wsproxy.recording.events import read_event


def test_a_note_is_in_the_recording_and_counters_are_at_its_end(out: Path, tmp_path: Path) -> None:
    admin = f"--admin={tmp_path / 'a.sock'}"
    with wsproxy("record", "binance=ws://127.0.0.1:1", f"--out={out}", admin) as proxy:
        said = run("mark", "the new strategy begins", "--who=alice", admin)
        assert (said.code, said.err) == (0, "")
        assert said.out.startswith("marked at 20")
        stop(proxy)
    (marker,) = records(out, Kind.MARKER)
    assert read_event(marker.payload) == {"text": "the new strategy begins", "who": "alice"}
    assert marker.streams == ()
    (statistics,) = records(out, Kind.STATISTICS)
    counters = read_event(statistics.payload)["counters"]
    assert isinstance(counters, dict)
    assert counters["messages"] == counters["lost"] == 0
    assert counters.keys() >= {"clients", "gaps", "records", "raw_bytes", "bytes_on_disk"}
    (clock,) = records(out, Kind.CLOCK)
    fields = read_event(clock.payload)
    assert fields["source"] == "monotonic"
    assert isinstance(fields["offset"], int)
    assert abs(fields["offset"] - (clock.mono - clock.time)) < 1_000_000_000


def test_what_is_not_recorded_cannot_be_marked(tmp_path: Path) -> None:
    admin = f"--admin={tmp_path / 'a.sock'}"
    with wsproxy("proxy", "binance=ws://127.0.0.1:1", admin):
        said = run("mark", "x", admin)
    assert said.code == 1
    assert "This proxy does not record." in said.err
