from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wsproxy.app.asking import ask, is_alive, running
from wsproxy.config import Address
from wsproxy.errors import WsproxyError


@contextmanager
def answering(listener: socket.socket, answer: bytes) -> Iterator[list[bytes]]:
    """Answer one connection with these bytes; gives what was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(request(connection))
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    yield asked
    thread.join(10)


def request(connection: socket.socket) -> bytes:
    """A whole request: who is answered before it was sent gets no answer."""
    said = b""
    while b"\r\n\r\n" not in said:
        said += connection.recv(65536)
    head, _, body = said.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(str(tmp_path / "1.sock"))
        it.listen()
        yield it


def http(status: str, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


def test_an_answer_over_a_socket_file(listener: socket.socket, tmp_path: Path) -> None:
    with answering(listener, http("200 OK", b"[1]")) as asked:
        assert ask(tmp_path / "1.sock", "POST", "/x", b"body") == b"[1]"
    assert asked[0].startswith(b"POST /x HTTP/1.1\r\nHost: localhost\r\n")


def test_an_answer_over_tcp() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(*listener.getsockname())
        with answering(listener, http("200 OK", b"{}")) as asked:
            assert ask(address, "GET", "/status") == b"{}"
    assert f"Host: {address}".encode() in asked[0]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (http("404 Not Found", b'{"error":"There is GET /status."}'), "There is GET /status."),
        (http("404 Not Found", b"<html>"), "it is no admin socket of wsproxy"),
    ],
)
def test_a_refusal_says_why(
    listener: socket.socket, tmp_path: Path, answer: bytes, why: str
) -> None:
    path = tmp_path / "1.sock"
    with (
        answering(listener, answer),
        pytest.raises(WsproxyError, match=f"{path} refuses GET /x: {why}"),
    ):
        ask(path, "GET", "/x")


def test_what_speaks_no_http(listener: socket.socket, tmp_path: Path) -> None:
    with answering(listener, b"hello\r\n"), pytest.raises(WsproxyError, match="no wsproxy answers"):
        ask(tmp_path / "1.sock", "GET", "/status")


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(WsproxyError, match=r"no wsproxy answers at .*: No such file or directory"):
        ask(tmp_path / "1.sock", "GET", "/status")


def test_those_that_run_are_found_and_those_that_crashed_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert running() == []
    (tmp_path / "wsproxy").mkdir()
    live, dead = tmp_path / "wsproxy" / "2.sock", tmp_path / "wsproxy" / "1.sock"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(dead))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(live))
        listening.listen()
        assert running() == [live]
        assert (is_alive(live), is_alive(dead)) == (True, False)
    assert running() == []
