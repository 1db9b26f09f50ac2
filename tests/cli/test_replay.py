from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import SECOND, WALL_NS, Run
from wsproxy.config import Playing, Serving, Upstream, VenueSetting
from wsproxy.replay.programme import Programme

Called = list[tuple[Any, ...]]


def test_defaults(run: Run, called: Called, recording: Path) -> None:
    assert run("replay", recording).exit_code == 0
    programme, serving, playing = called[0]
    assert isinstance(programme, Programme)
    assert programme.path == recording
    assert serving == Serving()
    assert playing == Playing()


def test_everything(run: Run, called: Called, recording: Path) -> None:
    run(
        *("replay", recording, "--speed", "max", "--start", "+1s"),
        *("--end", "2023-11-14T22:13:22Z", "--clients", 3, "--settle", 0),
        *("--loop", "forever", "--max-idle", 1.5, "--session", "mine"),
        *("--stall-timeout", 7, "--lockstep", "--faithful"),
        *("--digest-file", "digests.json", "--faults", "faults.toml"),
    )
    assert called[0][-1] == Playing(
        start=WALL_NS + SECOND,
        end=WALL_NS + 2 * SECOND,
        speed=None,
        clients=3,
        settle_seconds=0.0,
        loops=None,
        max_idle_ns=3 * SECOND // 2,
        session="mine",
        stall_seconds=7.0,
        lockstep=True,
        faithful=True,
        faults=Path("faults.toml"),
        digest_file=Path("digests.json"),
    )


def test_several_recordings_with_offsets(run: Run, called: Called, recording: Path) -> None:
    run("replay", recording, recording, "--offset", "-1.5", "--offset", "2=3600")
    programme = called[0][0]
    assert programme.first == WALL_NS - 3 * SECOND // 2
    assert programme.last == WALL_NS + 3602 * SECOND
    assert len(programme.connections) == 2


@pytest.mark.parametrize(
    ("offset", "why"),
    [
        ("2=1", "there are 1 recording(s)"),
        ("0=1", "there are 1 recording(s)"),
        ("x=1", "write SECONDS, or N=SECONDS for the Nth recording"),
        ("nan", "write SECONDS, or N=SECONDS for the Nth recording"),
        ("inf", "write SECONDS, or N=SECONDS for the Nth recording"),
    ],
)
def test_an_offset_that_cannot_be(run: Run, recording: Path, offset: str, why: str) -> None:
    result = run("replay", recording, "--offset", offset)
    assert (result.exit_code, result.stderr) == (2, f"Error: --offset {offset}: {why}\n")


@pytest.mark.parametrize("speed", ["0", "-1", "nan", "inf", "fast"])
def test_a_speed_that_cannot_be(run: Run, recording: Path, speed: str) -> None:
    result = run("replay", recording, "--speed", speed)
    sentence = f"Error: --speed {speed}: write a number above 0, or max\n"
    assert (result.exit_code, result.stderr) == (2, sentence)


@pytest.mark.parametrize("loop", ["0", "-1", "1.5", "ever"])
def test_a_loop_that_cannot_be(run: Run, recording: Path, loop: str) -> None:
    result = run("replay", recording, "--loop", loop)
    sentence = f"Error: --loop {loop}: write a whole number above 0, or forever\n"
    assert (result.exit_code, result.stderr) == (2, sentence)


def test_a_time_that_is_none(run: Run, recording: Path) -> None:
    result = run("replay", recording, "--start", "noon")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: 'noon' is not a time")


def test_a_recording_that_is_none(run: Run, tmp_path: Path) -> None:
    result = run("replay", tmp_path / "none")
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/none does not exist\n")


# --- then live ---------------------------------------------------------------------------------


def test_then_live(run: Run, called: Called, recording: Path) -> None:
    run(
        *("replay", recording, "--then-live", "--start", "-1s", "--on-gap", "continue"),
        *("--upstream", "binance=ws://127.0.0.1:1", "--max-connections", 3, "--max-idle", 1),
    )
    programme, serving, playing, upstream = called[0]
    assert isinstance(programme, Programme)
    assert serving == Serving()
    assert playing == Playing(start=programme.last - SECOND, speed=None, max_idle_ns=SECOND)
    assert upstream == Upstream(
        venues=(VenueSetting("binance", "ws://127.0.0.1:1"),),
        max_connections=3,
        close_on_gap=False,
    )


def test_then_live_at_the_venues_own_address(run: Run, called: Called, recording: Path) -> None:
    run("replay", recording, "--then-live", "--speed", "20")
    assert called[0][2].speed == 20
    assert called[0][3].venues == (VenueSetting("binance", None),)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--loop", "2"), "--then-live goes on from the recording's end: leave out --loop"),
        (("--end", "+1s"), "--then-live goes on from the recording's end: leave out --end"),
        (("--speed", "1"), "--then-live has to catch up: choose a --speed above 1, or max"),
        (("--upstream", "x=ws://y"), "--upstream x=ws://y: the recording's venues are binance"),
    ],
)
def test_what_does_not_go_with_then_live(
    run: Run, recording: Path, options: tuple[str, ...], why: str
) -> None:
    result = run("replay", recording, "--then-live", *options)
    assert (result.exit_code, result.stderr) == (2, f"Error: {why}\n")


def test_then_live_goes_on_from_one_recording(run: Run, recording: Path) -> None:
    result = run("replay", recording, recording, "--then-live")
    assert result.stderr == "Error: --then-live goes on from one recording\n"


@pytest.mark.parametrize("option", ["--on-gap=close", "--upstream=binance=ws://x", "--linger=1"])
def test_what_is_for_then_live_only(run: Run, recording: Path, option: str) -> None:
    result = run("replay", recording, option)
    name = option.partition("=")[0]
    assert (result.exit_code, result.stderr) == (2, f"Error: {name} is for --then-live\n")
