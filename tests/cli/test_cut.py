from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import WALL_NS, Run
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer

SNAPSHOT = (
    b'{"channel":"ticker","client_id":"","timestamp":"2026-08-09T00:00:00Z","sequence_num":%d,'
    b'"events":[{"type":"%b","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"%d"}]}]}'
)


def test_a_piece_of_a_recording(run: Run, recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("cut", recording, "--out", out, "--stream", "b@trade", "--end", "+2s")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"{out}: 2 records, ")
    kinds = [record.kind for record in open_recording(out).messages(kinds=None)]
    assert kinds == [Kind.OPENED, Kind.MESSAGE]


def test_it_begins_with_the_venues_states(run: Run, tmp_path: Path) -> None:
    with Writer.create(tmp_path / "r", venues=["coinbase"], wall_ns=WALL_NS, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "coinbase", "wss://venue"))
        for second, word in enumerate((b"snapshot", b"update", b"update")):
            ns = second * 10**9
            payload = SNAPSHOT % (second, word, 100 + second)
            streams: list[tuple[str, ...]] = [("ticker:BTC-USD",)]
            writer.write([Batch(Kind.MESSAGE, 1, WALL_NS + ns, ns, [payload], None, streams)])
    run("cut", tmp_path / "r", "--out", tmp_path / "out", "--start", "+2s")
    keyframe, last = open_recording(tmp_path / "out").messages(kinds=None)
    assert (keyframe.kind, keyframe.streams) == (Kind.KEYFRAME, ("ticker:BTC-USD",))
    assert '"price":"101"' in keyframe.text
    assert '"type":"snapshot"' in keyframe.text
    assert last.text == (SNAPSHOT % (2, b"update", 102)).decode()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--stream", "a@trde"], 1, "did you mean"),
        (["--start", "soon"], 2, "'soon' is not a time"),
        (["--start", "+1h"], 1, "would hold no records"),
    ],
)
def test_what_cannot_be_cut(
    run: Run, recording: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    result = run("cut", recording, "--out", tmp_path / "out", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("Error: ")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [recording]
