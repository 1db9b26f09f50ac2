from __future__ import annotations

import logging
import sys

import pytest
import trio
import trio.testing

from wsproxy.app import report as module
from wsproxy.app.live import Live
from wsproxy.app.report import report, sentence
from wsproxy.app.status import Status

CALM = Status(
    clients=3,
    streams=7,
    connections=1,
    cap=2,
    messages=12_345,
    gaps=0,
    lost=0,
    bytes_on_disk=None,
)


class FakeLive(Live):
    """Gets ten messages a second."""

    def __init__(self) -> None:
        self.began = trio.current_time()

    def status(self) -> Status:
        messages = round(10 * (trio.current_time() - self.began))
        return Status(1, 1, 1, 1, messages, 0, 0, None)


def test_the_sentence_says_what_there_is() -> None:
    assert sentence(CALM, 1234.5) == (
        "3 clients  7 streams  1/2 connections  1,234 messages/s  12,345 messages"
    )


def test_the_sentence_says_what_is_wrong() -> None:
    status = Status(0, 0, 0, 2, 0, gaps=2, lost=1000, bytes_on_disk=1_250_000)
    assert sentence(status, 0) == (
        "0 clients  0 streams  0/2 connections  0 messages/s  0 messages  1.2 MB on disk  2 gaps  "
        "1,000 messages LOST to the recording"
    )


async def test_without_a_terminal_there_is_a_log_line_now_and_then(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), trio.move_on_after(2.5 * module._LOG_SECONDS):
        await report(FakeLive())
    assert caplog.messages == [
        "1 clients  1 streams  1/1 connections  10 messages/s  300 messages",
        "1 clients  1 streams  1/1 connections  10 messages/s  600 messages",
    ]


async def test_on_a_terminal_one_line_is_written_over(
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with trio.move_on_after(2.5 * module._LINE_SECONDS):
        await report(FakeLive())
    lines = capsys.readouterr().err.split("\r\033[K")
    assert [line[-10:] for line in lines] == ["", "5 messages", "0 messages"]
