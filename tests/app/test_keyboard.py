"""Keys are orders; without a terminal there are none."""

from __future__ import annotations

import os
import pty
import termios
from pathlib import Path

import pytest

from tests.app.replay_support import book_of, replay_of, use_fake_venue
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.app.keyboard import key_by_key, listen_to_keys, obey
from wsproxy.app.player import Player
from wsproxy.app.transport import Transport


@pytest.fixture
def transport(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Transport:
    use_fake_venue(monkeypatch)
    return Transport(replay_of(book_of(tmp_path / "book", 100)))


async def test_keys(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    sought: list[int] = []
    monkeypatch.setattr(Player, "seek", lambda self, time: sought.append(time - self.wall_ns))

    def speed() -> float | None:
        return transport.status().speed

    obey(transport, b" ")
    assert transport.status().paused
    obey(transport, b" x\xff")
    assert not transport.status().paused
    obey(transport, b"++-+")
    assert speed() == 4.0
    obey(transport, b"s")
    assert transport.status().paused
    obey(transport, b"\x1b[C\x1b[C\x1b[D")
    assert sought == [10 * SECOND, 10 * SECOND, -10 * SECOND]


async def test_as_fast_as_possible_has_no_double(transport: Transport) -> None:
    transport.routes["POST", "/replay/speed"](b'{"speed": "max"}')
    obey(transport, b"+")
    assert transport.status().speed is None


async def test_without_a_terminal_nobody_listens(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        await listen_to_keys(transport)


def test_the_terminal_is_left_as_it_was() -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with key_by_key(theirs):
            os.write(ours, b"s")
            assert os.read(theirs, 10) == b"s", "a key needs no Return"
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_beginning_is_where_the_arrows_start(transport: Transport) -> None:
    assert transport.status().position_ns == WALL_NS
