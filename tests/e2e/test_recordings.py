"""info, cat and replay of recordings: good ones, damaged ones, and what is none."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import wsproxy
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import assert_presentable, environment, run
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import join_all, play, records, stop, trades
from tests.kit.strategy import trading_floor
from tests.kit.wishes import binance, request
from wsproxy.model import Kind

COUNT = 3_000
MANY_BLOCKS = "--block-seconds=0.05"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three thousand trades, a binary message, and what goes with it."""
    out = tmp_path_factory.mktemp("recordings") / "good"
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        trading_floor() as floor,
        running_wsproxy("record", f"binance={url}", "--out", str(out), MANY_BLOCKS) as proxy,
    ):
        (client,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        exchange.send(exchange.peers[0], b"\x00\xff")
        play(exchange, trades("a@trade", COUNT, size=300), rate=COUNT)
        client.wait_for(1 + COUNT)
        stop(proxy)
    return out


@pytest.fixture
def damaged(recording: Path, tmp_path: Path) -> Path:
    """The same with so much made unreadable that it is more than one block, but not the first."""
    directory = tmp_path / "damaged"
    shutil.copytree(recording, directory)
    (part,) = directory.iterdir()
    content = bytearray(part.read_bytes())
    begin, end = len(content) * 40 // 100, len(content) * 85 // 100
    content[begin:end] = bytes(end - begin)
    part.write_bytes(content)
    return directory


def test_info(recording: Path) -> None:
    ended = run("info", str(recording))
    assert ended.code == 0
    assert "binance:a@trade" in ended.out
    assert f"{COUNT:,}" in ended.out
    assert "connection 1 to ws://127.0.0.1:" in ended.out


def test_cat(recording: Path) -> None:
    ended = run("cat", str(recording))
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    everything = list(wsproxy.open(recording).messages(kinds=None))
    assert [line["seq"] for line in lines] == list(range(len(everything)))
    assert [line["time"] for line in lines] == [str(record.time) for record in everything]
    kinds = {line["kind"] for line in lines}
    assert kinds >= {"opened", "closed", "request", "subscribed", "acknowledged", "message"}
    (binary,) = [line["base64"] for line in lines if "base64" in line]
    assert base64.b64decode(binary) == b"\x00\xff"
    texts = [
        line["text"] for line in lines if line["stream"] == "binance:a@trade" and "text" in line
    ]
    assert texts == [cue.text for cue in trades("a@trade", COUNT, size=300)]


def test_cat_of_a_part(recording: Path) -> None:
    cat = partial(run, "cat", str(recording), "--messages", "--stream", "a@trade")
    everything = cat().out.splitlines()
    assert len(everything) == COUNT
    middle = json.loads(everything[COUNT // 2])["time"]
    before, after = cat("--end", middle), cat("--start", middle)
    assert [*before.out.splitlines(), *after.out.splitlines()] == everything


def test_cat_to_a_reader_that_has_seen_enough(recording: Path) -> None:
    cat = shlex.join([sys.executable, "-m", "wsproxy", "cat", str(recording)])
    ended = subprocess.run(
        ["sh", "-c", f"{cat} | head -n 2"],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    assert len(ended.stdout.splitlines()) == 2
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--stream", "b@trade"], 1, ["holds no stream b@trade", "a@trade"]),
        (["--start", "yesterday"], 2, ["'yesterday' is not a time"]),
        (["--end", "+5"], 2, ["'+5' is not a time"]),
    ],
)
def test_cat_of_what_is_not_there(
    recording: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    ended = run("cat", str(recording), *arguments)
    assert (ended.code, ended.out) == (code, "")
    for word in words:
        assert word in ended.err


@pytest.mark.parametrize("command", ["info", "cat", "replay"])
def test_what_is_no_recording(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"no recording" * 100)
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "000001.wsr.zst").write_bytes(b"\x28\xb5\x2f\xfd" * 100)
    for name in ("missing", "empty", "file", "dir"):
        ended = (
            run(command, str(tmp_path / name), "--listen=127.0.0.1:0")
            if (command == "replay")
            else run(command, str(tmp_path / name))
        )
        assert (ended.code, ended.out) == (1, ""), name
        assert ended.err.startswith(f"Error: {tmp_path / name}")
        assert len(ended.err.splitlines()) == 1


def test_info_of_a_damaged_recording(damaged: Path) -> None:
    ended = run("info", str(damaged))
    assert ended.code == 1
    assert "DAMAGE: " in ended.err
    assert "is damaged at byte " in ended.err


def test_cat_of_a_damaged_recording_gives_what_is_before_the_damage(
    damaged: Path, recording: Path
) -> None:
    ended = run("cat", str(damaged))
    assert ended.code == 1
    assert "is damaged at byte " in ended.err
    whole = run("cat", str(recording)).out
    assert whole.startswith(ended.out)
    assert 0 < len(ended.out) < len(whole)


def test_replay_of_a_damaged_recording_says_so(damaged: Path) -> None:
    with running_wsproxy("replay", str(damaged), "--speed=max", "--settle=0") as process:
        with trading_floor() as floor:
            client = floor.strategy(f"{process.url}/ws/a@trade", [request("LIST_SUBSCRIPTIONS")])
            code, _ = client.wait_closed()
        ended = process.wait()
    assert ended.code == 1
    assert "is damaged at byte " in ended.err
    assert code != 1000


@pytest.mark.parametrize("cut", [1, 100, 2_000])
def test_a_recording_that_was_cut_off_is_good_up_to_there(
    cut: int, recording: Path, tmp_path: Path
) -> None:
    (part,) = recording.iterdir()
    short = tmp_path / part.name
    short.write_bytes(part.read_bytes()[:-cut])
    ended = run("info", str(short))
    assert ended.code == 0
    assert "a block that was never finished" in ended.out
    whole = [record.payload for record in records(recording, Kind.MESSAGE)]
    good = [record.payload for record in records(short, Kind.MESSAGE)]
    assert good == whole[: len(good)]
    assert_presentable(ended.err)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--speed", "fast"], ["--speed fast", "max"]),
        (["--speed", "0"], ["--speed 0"]),
        (["--speed", "nan"], ["--speed nan"]),
        (["--start", "never"], ["'never' is not a time"]),
        (["--clients", "0"], ["--clients"]),
    ],
)
def test_a_replay_that_cannot_be(recording: Path, arguments: list[str], words: list[str]) -> None:
    ended = run("replay", str(recording), *arguments)
    assert (ended.code, ended.out) == (2, "")
    for word in words:
        assert word in ended.err


def test_a_stream_that_is_not_recorded_is_refused(recording: Path) -> None:
    with running_wsproxy("replay", str(recording)) as process, trading_floor() as floor:
        client = floor.strategy(f"{process.url}/ws", [request("SUBSCRIBE", "b@trade", id=7)])
        reply = json.loads(client.wait_for(1)[0])
        assert reply["id"] == 7
        assert "b@trade is not in this recording" in reply["error"]["msg"]
        assert process.stop().code == 1
