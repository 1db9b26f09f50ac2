from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from wsproxy.app.admin import admin_listening, serve_admin
from wsproxy.app.asking import ask, is_alive
from wsproxy.config import Address, Admin
from wsproxy.errors import ConfigError, WsproxyError
from wsproxy.wire.http import Refusal


class Seek(msgspec.Struct):
    to: int


def refuse(_: bytes) -> object:
    raise Refusal(409, "Not now.")


def fail(_: bytes) -> object:
    raise ZeroDivisionError


ROUTES: dict[tuple[str, str], Callable[[bytes], object]] = {
    ("GET", "/status"): lambda _: {"clients": 1},
    ("GET", "/replay"): lambda _: [1],
    ("POST", "/replay"): lambda body: msgspec.json.decode(body, type=Seek).to,
    ("POST", "/refuse"): refuse,
    ("POST", "/fail"): fail,
    ("POST", "/nothing"): lambda _: None,
}


async def answer(path: Path | Address, *question: Any) -> Any:
    said = await trio.to_thread.run_sync(lambda: ask(path, *question))
    return json.loads(said)


@pytest.fixture
async def path(tmp_path: Path, nursery: trio.Nursery) -> Path:
    found = tmp_path / "a.sock"
    bound: trio.Event = trio.Event()

    async def serve() -> None:
        async with admin_listening(found, 1) as listeners:
            bound.set()
            await serve_admin(listeners, ROUTES)

    nursery.start_soon(serve)
    await bound.wait()
    return found


async def test_a_route_answers_in_json(path: Path) -> None:
    assert await answer(path, "GET", "/status") == {"clients": 1}
    assert await answer(path, "GET", "/status?x=1") == {"clients": 1}
    assert await answer(path, "POST", "/replay", b'{"to": 7}') == 7
    assert await answer(path, "POST", "/nothing") is None


@pytest.mark.parametrize(
    ("method", "target", "body", "why"),
    [
        ("GET", "/x", b"", "There are GET /status, GET /replay, POST /replay"),
        ("POST", "/status", b"", r"/status takes GET\."),
        ("PUT", "/replay", b"", r"/replay takes GET or POST\."),
        ("POST", "/replay", b"{}", "Object missing required field `to`"),
        ("POST", "/refuse", b"", r"Not now\."),
        ("POST", "/replay", b"x" * 70_000, "The body has more than 65,536 bytes"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    path: Path, method: str, target: str, body: bytes, why: str
) -> None:
    with pytest.raises(WsproxyError, match=why):
        await answer(path, method, target, body)
    assert await answer(path, "GET", "/replay") == [1]


async def test_a_route_that_fails_stops_nothing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WsproxyError, match="That failed"):
        await answer(path, "POST", "/fail")
    assert "POST /fail failed" in caplog.messages
    assert await answer(path, "GET", "/replay") == [1]


@pytest.mark.parametrize(
    "headers", [b"Host: localhost\r\nOrigin: http://localhost", b"Host: evil.example"]
)
async def test_web_pages_may_not_ask(path: Path, headers: bytes) -> None:
    async with await trio.open_unix_socket(path) as stream:
        await stream.send_all(b"POST /nothing HTTP/1.1\r\n" + headers + b"\r\n\r\n")
        await stream.send_eof()
        said = b"".join([data async for data in stream])
    assert said.startswith(b"HTTP/1.1 403 ")


async def test_who_says_nothing_delays_nobody(path: Path) -> None:
    async with await trio.open_unix_socket(path):
        assert await answer(path, "GET", "/replay") == [1]


async def test_the_socket_is_for_its_owner_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with admin_listening(path, 1):
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()


async def test_the_usual_socket_is_named_by_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with admin_listening("auto", 8765) as listeners:
        assert len(listeners) == 1
        assert (tmp_path / "wsproxy").stat().st_mode & 0o777 == 0o700
        assert is_alive(tmp_path / "wsproxy" / "8765.sock")


async def test_a_directory_that_others_may_write_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "wsproxy").mkdir()
    (tmp_path / "wsproxy").chmod(0o777)
    async with admin_listening("auto", 8765) as listeners:
        assert listeners == []
        await serve_admin(listeners, ROUTES)
    (warning,) = caplog.messages
    assert warning.startswith("no `wsproxy status`: the socket ")
    assert "a directory of this user alone" in warning


async def test_what_a_crash_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(path))
    async with admin_listening(path, 1):
        assert is_alive(path)


async def test_what_another_has_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with admin_listening("auto", 1):
        taken = tmp_path / "wsproxy" / "1.sock"
        async with admin_listening("auto", 1) as listeners:  # [::1]:1, for instance
            assert listeners == []
        assert caplog.records[-1].levelno == logging.WARNING
        with pytest.raises(ConfigError, match="is in use"):
            async with admin_listening(taken, 2):
                pass
        assert is_alive(taken)


@pytest.mark.parametrize(
    ("name", "why"),
    [("none/a.sock", "No such file"), ("file", "is in use"), ("x" * 120, "path too long")],
)
async def test_a_place_where_no_socket_can_be(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(ConfigError, match=f"--admin .*{why}"):
        async with admin_listening(tmp_path / name, 1):
            pass
    assert (tmp_path / "file").read_text() == "precious"


async def test_a_port(nursery: trio.Nursery, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "wsproxy"):
        async with admin_listening(Address("127.0.0.1", 0), 1) as listeners:
            nursery.start_soon(serve_admin, listeners, ROUTES)
            address = Address(*listeners[0].socket.getsockname())
            assert await answer(address, "GET", "/replay") == [1]
            assert caplog.messages == [f"admin on {address}"]
            with pytest.raises(ConfigError, match="is in use"):
                async with admin_listening(address, 2):
                    pass
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("admin", ["off"])
async def test_none(admin: Admin) -> None:
    async with admin_listening(admin, 1) as listeners:
        assert listeners == []
