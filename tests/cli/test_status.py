from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.app.test_status import FULL
from tests.cli.conftest import Run
from wsproxy.app import asking
from wsproxy.cli.table import WIDTH
from wsproxy.config import Address
from wsproxy.errors import WsproxyError

Asked = list[tuple[Any, ...]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What a proxy was asked, three times; then it is gone."""
    calls: Asked = []

    def stand_in(*question: Any) -> bytes:
        calls.append(question)
        if len(calls) > 3:
            raise WsproxyError("it is gone")
        return msgspec.json.encode(FULL)

    monkeypatch.setattr(asking, "ask", stand_in)
    return calls


def test_a_page_for_a_person(run: Run, asked: Asked) -> None:
    result = run("status", "--admin", "./a.sock")
    assert result.exit_code == 0
    assert asked == [(Path("a.sock"), "GET", "/status")]
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= WIDTH
    words = [" ".join(line.split()) for line in lines]
    assert words == [
        "wsproxy 1.2.3 pid 4711 up 1 h 2 min listening on 127.0.0.1:8765",
        "recording to recordings/now: 48.1 MB on disk, nothing dropped",
        "2 clients 3 streams 1/8 connections 1,000 messages 1 gaps",
        "",
        "connections",
        "venue no state age streams per s messages last address",
        "binance 7 open 1 min 2/3 12 1,000 0.25 s ws://x/stream",
        "binance - waiting - 0/1 - 0 - ws://x/y",
        "binance: connection 7 was first with 200 messages, by 2.50 ms on average",
        "binance: 4 failures, the last: refused",
        "",
        "limits",
        "venue used of fill what",
        "binance 3 300 1% connection attempts",
        "binance 2 5 40% frames per connection",
        "",
        "waiting",
        "venue what for because",
        "binance subscribe 0.75 s frames per connection",
        "",
        "gaps",
        "since (UTC) for missed streams why",
        "2023-11-14T22:13:20.000 2.5 s ? a +1 lost",
        "",
        "refused",
        "venue times why",
        "binance 2 all connections are taken",
        "",
        "clients",
        "no streams asked lag since priority name",
        "2 1 1 2.0 MB 1.5 s 9 127.0.0.1:6 binance",
        "1 3 0 0 B - 0 127.0.0.1:5 binance",
    ]


def test_what_there_is_not_is_not_shown(
    run: Run, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = msgspec.structs.replace(FULL, recording=None, venues=[], gaps=[], clients=[])
    monkeypatch.setattr(asking, "ask", lambda *_: msgspec.json.encode(quiet))
    lines = run("status", "--admin", "9000").output.splitlines()
    assert lines[1] == "not recording"
    assert len(lines) == 3


def test_many_clients_are_cut_short(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    many = msgspec.structs.replace(FULL, clients=FULL.clients * 600)
    monkeypatch.setattr(asking, "ask", lambda *_: msgspec.json.encode(many))
    lines = run("status", "--admin", "9000").output.splitlines()
    assert lines[-1] == "  and 1,180 more"


def test_what_clients_were_spared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (venue,) = FULL.venues
    spared = msgspec.structs.replace(FULL, venues=[msgspec.structs.replace(venue, conflated=1234)])
    monkeypatch.setattr(asking, "ask", lambda *_: msgspec.json.encode(spared))
    last = run("status", "--admin", "9000").output.splitlines()[-1]
    assert last == (
        "  binance: 1,234 times a newer message replaced one that a client had no time for"
    )


def test_json_is_passed_on(run: Run, asked: Asked) -> None:
    result = run("status", "--admin", "127.0.0.1:9000", "--json")
    assert asked[0][0] == Address("127.0.0.1", 9000)
    assert json.loads(result.output)["pid"] == 4711


def test_watching_goes_on_until_the_proxy_is_gone(run: Run, asked: Asked) -> None:
    result = run("status", "--admin", "9000", "--watch", "--interval", "0.1")
    assert result.output.count("wsproxy 1.2.3") == 3
    assert "\033" not in result.stdout
    assert (result.exit_code, result.stderr) == (1, "Error: it is gone\n")


def test_ctrl_c_ends_watching(run: Run, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    result = run("status", "--admin", "9000", "--watch")
    assert result.exit_code == 0
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("admin", "sentence"),
    [
        ("off", "--admin off: that is for the proxy"),
        ("192.0.2.1:5", "--admin 192.0.2.1:5: whoever connects is obeyed"),
        ("x", "--admin 'x': write auto, off, HOST:PORT, or a path with a slash"),
    ],
)
def test_an_address_that_cannot_be(run: Run, admin: str, sentence: str) -> None:
    result = run("status", "--admin", admin)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {sentence}")


def test_no_proxy_is_running(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    result = run("status")
    assert result.exit_code == 1
    where = tmp_path / "wsproxy"
    assert result.stderr == (
        f"Error: no proxy of yours is running (there is no live socket in {where})\n"
    )


def test_several_proxies_are_told_apart(
    run: Run, asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    where = tmp_path / "wsproxy"
    where.mkdir()
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(where / "1.sock"))
        first.listen()
        assert run("status").exit_code == 0
        assert asked == [(where / "1.sock", "GET", "/status")]
        second.bind(str(where / "2.sock"))
        second.listen()
        result = run("status")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 2 proxies are running, choose one:\n"
        f"  --admin {where / '1.sock'}\n  --admin {where / '2.sock'}\n"
    )


def test_a_terminal_is_drawn_anew(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from wsproxy.cli import status

    says: Callable[[], str] = iter(["a", "b"]).__next__
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(StopIteration):
        status._repeat(says, 1, redraw=True)
    assert capsys.readouterr().out == "\033[H\033[Ja\n\033[H\033[Jb\n"
