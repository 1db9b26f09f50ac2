from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from wsproxy.cli.writing import lines, progress, tell
from wsproxy.errors import DamagedRecording
from wsproxy.model import Instant, StreamKey
from wsproxy.recording.reader import RecordingInfo
from wsproxy.recording.rewrite import Written
from wsproxy.recording.survey import Loss

INFO = RecordingInfo(
    path=Path("r"), parts=1, disk_bytes=1, raw_bytes=1, records=2, first=1_000, last=2_000,
    connections=(), venues=(), kinds=None, cut=0, damage=(),
)  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress(INFO) as advance:
        assert advance is not None
        for time in (1_000, 1_500, 1_200, 2_000):
            advance(time)
    assert "100%" in terminal.getvalue()


def test_no_bar_elsewhere_and_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    with progress(INFO) as advance:
        assert advance is None
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(INFO._replace(last=1_000)) as advance:
        assert advance is None


def test_what_was_written_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Path("out"), Written(1_234, 1_000, 500), 2_000)
    tell(Path("out"), Written(1, 1, 1), 0)
    assert capsys.readouterr() == (
        "",
        "out: 1,234 records, 500 bytes, 25.0% of the 2,000 before\nout: 1 records, 1 bytes\n",
    )


def test_a_loss_in_words() -> None:
    damage = DamagedRecording("r/000001.wsr.zst", 17, "its \x1b[2J is wrong")
    a, b = StreamKey("v", "a"), StreamKey("v", "b\x1b")
    nothing = Loss((damage,), 0, 0, None, None, frozenset(), {}, is_exact=True)
    assert list(lines(nothing)) == [
        "DAMAGED r/000001.wsr.zst, byte 17: its \N{REPLACEMENT CHARACTER}[2J is wrong",
        "        lost: no record",
    ]
    known = Loss((), 0, 1_000, 0, Instant(10**9, 5), frozenset({1}), {b: 5, a: 7}, is_exact=True)
    assert list(lines(known)) == [
        "        lost: 1,000 records, after 1970-01-01T00:00:00.000000000Z, "
        "before 1970-01-01T00:00:01.000000000Z",
        "              v:a: 7 messages",
        "              v:b\N{REPLACEMENT CHARACTER}: 5 messages",
    ]
    cut = Loss((), 2_000, None, None, None, frozenset(), {}, is_exact=False)
    assert list(lines(cut)) == [
        "CUT OFF the last 2,000 bytes are a block that was never finished",
        "        lost: records, nothing tells how many",
    ]
