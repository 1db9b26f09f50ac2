from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import SECOND, WALL_NS, Run
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer


def test_what_a_recording_holds(run: Run, recording: Path) -> None:
    result = run("info", recording)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == f"{recording}: 1 part(s), binance"
    assert "from 2023-11-14T22:13:20.000000000Z" in lines
    assert "to 2023-11-14T22:13:22.000000000Z (2.000 s)" in lines
    assert "records 4" in lines
    assert "connection 1 to wss://venue/stream" in lines
    assert "health good" in lines
    assert lines[-4:] == [
        "messages per s bytes first last gaps stream",
        "1 0.5 9 +0.000s +0.000s 0 binance:a@trade",
        "1 0.5 1 +1.000s +1.000s 0 binance:b@trade",
        "1 0.5 1 +1.000s +1.000s 0 binance:c@trade",
    ]


def test_gaps_are_told_by_stream(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    with Writer.create(path, venues=["binance"], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "wss://venue/stream"))
        payload = record.gap(["a@trade"], "lost", WALL_NS)
        writer.write([Batch(Kind.GAP, 1, WALL_NS, 0, [payload], None, [("a@trade",)])])
    result = run("info", path)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "health lossy; 1 gap record(s)" in lines
    assert lines[-1] == "0 - 0 - - 1 binance:a@trade"


def test_the_same_as_json(run: Run, recording: Path) -> None:
    result = run("info", "--json", recording)
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    size = (recording / "000001.wsr.zst").stat().st_size
    assert said["streams"][0] == {
        "stream": "binance:a@trade",
        "messages": 1,
        "per_second": 0.5,
        "bytes": 9,
        "first": str(WALL_NS),
        "last": str(WALL_NS),
        "gaps": 0,
    }
    del said["streams"]
    assert said == {
        "path": str(recording),
        "health": "good",
        "parts": 1,
        "venues": ["binance"],
        "first": str(WALL_NS),
        "last": str(WALL_NS + 2 * SECOND),
        "seconds": 2.0,
        "records": 4,
        "raw_bytes": said["raw_bytes"],
        "disk_bytes": size,
        "ratio": size / said["raw_bytes"],
        "gaps": 0,
        "cut_bytes": 0,
        "closed_in_order": True,
        "damage": [],
        "connections": [{"number": 1, "venue": "binance", "url": "wss://venue/stream"}],
    }


def test_a_recording_that_was_cut(run: Run, recording: Path) -> None:
    part = recording / "000001.wsr.zst"
    part.write_bytes(part.read_bytes()[:-3])
    result = run("info", recording)
    assert result.exit_code == 0
    assert "are a block that was never finished" in result.output


def test_a_damaged_recording_is_told_with_an_exit_code(run: Run, recording: Path) -> None:
    part = recording / "000001.wsr.zst"
    content = bytearray(part.read_bytes()[:-1])  # without an index
    content[len(content) // 2] ^= 0xFF
    part.write_bytes(content)
    result = run("info", recording)
    assert result.exit_code == 1
    assert "DAMAGE: " in result.stderr
    assert "damaged at byte" in result.stderr


def test_a_recording_that_is_none(run: Run, tmp_path: Path) -> None:
    result = run("info", tmp_path)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path} holds no recording")
