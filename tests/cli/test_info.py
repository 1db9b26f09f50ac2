from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Run


def test_what_a_recording_holds(run: Run, recording: Path) -> None:
    result = run("info", recording)
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == f"{recording}: 1 part(s), binance"
    assert "from 2023-11-14T22:13:20.000000000Z" in lines
    assert "to 2023-11-14T22:13:22.000000000Z (2.000 s)" in lines
    assert "records 4" in lines
    assert "connection 1 to wss://venue/stream" in lines
    assert lines[-4:] == [
        "stream messages per s bytes",
        "binance:a@trade 1 0.5 9",
        "binance:b@trade 1 0.5 1",
        "binance:c@trade 1 0.5 1",
    ]


def test_a_recording_that_was_cut(run: Run, recording: Path) -> None:
    part = recording / "000001.wsr.zst"
    part.write_bytes(part.read_bytes()[:-3])
    result = run("info", recording)
    assert result.exit_code == 0
    assert "are a block that was never finished" in result.output


def test_a_damaged_recording_is_told_with_an_exit_code(run: Run, recording: Path) -> None:
    part = recording / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
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
