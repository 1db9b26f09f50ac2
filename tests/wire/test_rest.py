from __future__ import annotations

import gzip
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trustme

from tests.wire.loopback import read_to_end
from wsproxy.model import Instant
from wsproxy.wire import rest as module
from wsproxy.wire.rest import NoAnswer, RestClient, rest_client

CLOSE = "Connection: close"
BOMB = gzip.compress(bytes(10**7), mtime=0)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def now() -> Instant:
    return Instant(round(trio.current_time()), 5)


class Host:
    """Answers each request with the next of these, and closes behind what says so; None hangs."""

    def __init__(self, answers: tuple[bytes | None, ...]) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.asked = trio.Event()
        self.lost = trio.Event()

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        try:
            head = b""
            async for data in stream:
                head += data
                if not head.endswith(b"\r\n\r\n"):
                    continue
                self.requests.append(head)
                self.asked.set()
                head, said = b"", self.answers.pop(0)
                if said is None:
                    await read_to_end(stream)
                    break
                await stream.send_all(said.replace(b"!close", b""))
                if CLOSE.encode() in said or said.endswith(b"!close"):
                    break
        except trio.BrokenResourceError:
            pass
        self.lost.set()


@asynccontextmanager
async def talking(*answers: bytes | None) -> AsyncIterator[tuple[RestClient, Host]]:
    host = Host(answers)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, host.serve, 0)
        port = listeners[0].socket.getsockname()[1]
        url = f"http://127.0.0.1:{port}/api/"
        async with rest_client(url, ssl.create_default_context(), now) as client:
            yield client, host
        nursery.cancel_scope.cancel()


async def test_an_answer_has_status_headers_and_body() -> None:
    async with talking(answer(b"{}", "X-Weight: 7"), answer(b"no", status="429 Slow")) as (c, host):
        said = await c.get("/depth?limit=1")
        assert said[:3] == (200, {"content-length": "2", "x-weight": "7"}, b"{}")
        status, _, body, *_ = await c.get("/time")
        assert (status, body) == (429, b"no")
        first, second = host.requests
        assert first.startswith(b"GET /api/depth?limit=1 HTTP/1.1\r\nHost: 127.0.0.1:")
        assert second.startswith(b"GET /api/time HTTP/1.1\r\n")
        assert b"\r\nAccept-Encoding: gzip\r\n" in first
        assert host.connections == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(b"{}", CLOSE),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}!close",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"{}", CLOSE),
    ],
)
async def test_behind_a_close_there_is_another_connection(said: bytes) -> None:
    async with talking(said, answer(b"{}")) as (client, host):
        assert (await client.get("/x")).body == b"{}"
        assert (await client.get("/x")).body == b"{}"
        assert host.connections == 2


async def test_a_connection_that_was_idle_is_not_used_again(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with talking(answer(b"1"), answer(b"2"), answer(b"3")) as (client, host):
        await client.get("/x")
        mock_clock.jump(9.9)
        await client.get("/x")
        assert host.connections == 1
        mock_clock.jump(10.1)
        assert (await client.get("/x")).body == b"3"
        assert host.connections == 2


async def test_the_times_are_those_of_question_and_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = RestClient("http://h", ssl.create_default_context(), now)
    client._kept = module._Connection(ours, module._http())
    client._kept_until = trio.current_time()
    began = round(trio.current_time())

    async def reply() -> None:
        await theirs.receive_some()
        await trio.sleep(7)
        await theirs.send_all(answer(b"{}"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(reply)
        said = await client.get("/x")
    assert (said.asked.wall_ns - began, said.came.wall_ns - began) == (0, 7)


async def test_a_body_is_decompressed() -> None:
    text = b'{"a":1}' * 100_000
    async with talking(answer(gzip.compress(text), "Content-Encoding: gzip")) as (client, _):
        assert (await client.get("/x")).body == text


async def test_a_redirect_is_not_followed() -> None:
    async with talking(answer(b"", "Location: /y", status="302 Found")) as (client, host):
        assert (await client.get("/x")).status == 302
        assert len(host.requests) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"!close", "makes no sense: "),
        (b"nonsense\r\n\r\n", "makes no sense: illegal status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}!close", "makes no sense: peer closed"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000, "makes no sense: "),
        (answer(b"{}", "Content-Encoding: br"), "the answer has the encoding br"),
        (answer(b"{}", "Content-Encoding: gzip"), "makes no sense: "),
        (answer(gzip.compress(b"{}", mtime=0)[:-1], "Content-Encoding: gzip"), "ends too early"),
        (answer(b"x" * 1001), "more than 1,000 bytes"),
        (answer(BOMB, "Content-Encoding: gzip"), "more than 1,000 bytes"),
    ],
)
async def test_what_is_no_whole_answer(
    said: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    async with talking(said, answer(b"{}")) as (client, host):
        with pytest.raises(NoAnswer, match=why):
            await client.get("/x")
        assert (await client.get("/x")).body == b"{}"
        assert host.connections == 2


async def test_nobody_is_there() -> None:
    async with rest_client("http://127.0.0.1:1", ssl.create_default_context(), now) as client:
        with pytest.raises(NoAnswer, match="Connection refused"):
            await client.get("/x")


async def test_a_host_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_SECONDS", 0.05)
    async with talking(None, answer(b"{}")) as (client, host):
        with pytest.raises(NoAnswer, match="no whole answer within"):
            await client.get("/x")
        await host.lost.wait()


async def test_nothing_stays_open_when_it_is_cancelled() -> None:
    async with talking(None) as (client, host):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.get, "/x")
            await host.asked.wait()
            nursery.cancel_scope.cancel()
        await host.lost.wait()


async def test_tls(nursery: trio.Nursery) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    host = Host((answer(b"{}"),))

    async def serve(stream: trio.SocketStream) -> None:
        await host.serve(trio.SSLStream(stream, server, server_side=True, https_compatible=True))

    listeners = await nursery.start(trio.serve_tcp, serve, 0)
    url = f"https://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    async with rest_client(url, trusting, now) as client:
        assert (await client.get("/x")).body == b"{}"
    async with rest_client(url, ssl.create_default_context(), now) as client:
        with pytest.raises(NoAnswer, match="certificate verify failed"):
            await client.get("/x")
    nursery.cancel_scope.cancel()
