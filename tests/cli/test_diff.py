from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.replay.test_comparison import binance, recording
from tests.replay.test_digest import digested
from tests.replay.test_digest import run as digests
from wsproxy.replay.digest import MARK_BYTES, write_digests


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    one = [binance("a@trade", number) for number in range(4)]
    recording(tmp_path / "one", "binance", *one)
    recording(tmp_path / "two", "binance", *one[:3], binance("a@trade", 77))
    return tmp_path / "one", tmp_path / "two"


def test_recordings_that_are_the_same(run: Run, two: tuple[Path, Path]) -> None:
    result = run("diff", two[0], two[0])
    assert (result.exit_code, result.stdout) == (0, "")


def test_recordings_that_differ(run: Run, two: tuple[Path, Path]) -> None:
    result = run("diff", *two)
    time = "2023-11-14T22:13:20.00000000"
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "binance:a@trade: message 4 differs",
        f'          2  {time}1Z  {{"stream":"a@trade","data":{{"t":1}}}}',
        f'          3  {time}2Z  {{"stream":"a@trade","data":{{"t":2}}}}',
        f'-         4  {time}3Z  {{"stream":"a@trade","data":{{"t":3}}}}',
        f'+         4  {time}3Z  {{"stream":"a@trade","data":{{"t":77}}}}',
    ]


def test_long_messages_are_shown_where_they_differ(run: Run, tmp_path: Path) -> None:
    for name, end in (("one", "a"), ("two", "b")):
        recording(tmp_path / name, "nowhere", ("x" * 1000 + end + "y" * 1000, ("s",)))
    said = run("diff", tmp_path / "one", tmp_path / "two").stdout.splitlines()
    assert said[1].endswith("..." + "x" * 60 + "a" + "y" * 139 + "...")
    assert said[2].endswith("..." + "x" * 60 + "b" + "y" * 139 + "...")


def test_a_message_that_is_missing(run: Run, tmp_path: Path) -> None:
    recording(tmp_path / "one", "binance", binance("a@trade", 0))
    recording(tmp_path / "two", "binance")
    said = run("diff", tmp_path / "one", tmp_path / "two").stdout.splitlines()
    assert said[-1] == "+         1  has no such message"


def test_digests(run: Run, tmp_path: Path) -> None:
    same = digested(b"same")
    data, other = bytes(3 * MARK_BYTES), bytes(MARK_BYTES) + b"\1" + bytes(MARK_BYTES)
    write_digests(tmp_path / "one", digests(same, digested(data, number=2)))
    write_digests(tmp_path / "two", digests(digested(other, number=1), same, digested(b"x")))
    assert run("diff", tmp_path / "one", tmp_path / "one").exit_code == 0
    result = run("diff", tmp_path / "one", tmp_path / "two")
    assert result.exit_code == 1
    said = result.stdout.splitlines()
    assert said[0] == "client 2 (client 2) and client 1 (client 1) differ"
    assert said[1].startswith("  first between bytes 16,384 and 32,768, 1970-01-01T00:00:00.")
    assert said[2].startswith("-       49,152 bytes  ")
    assert said[3].startswith("+       32,769 bytes  ")
    assert said[4] == f"client 1 (client 1): {tmp_path}/one has no counterpart"


def test_a_recording_and_digests_cannot_be_compared(
    run: Run, two: tuple[Path, Path], tmp_path: Path
) -> None:
    write_digests(tmp_path / "digests", digests())
    result = run("diff", two[0], tmp_path / "digests")
    assert result.exit_code == 2
    assert "compare two recordings, or two digest files" in result.stderr


def test_what_is_neither(run: Run, two: tuple[Path, Path], tmp_path: Path) -> None:
    result = run("diff", two[0], tmp_path / "none")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/none does not exist\n")
