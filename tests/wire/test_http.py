from __future__ import annotations

from contextlib import suppress

import h11
import pytest
import trio
import trio.testing

from tests.wire.loopback import read_to_end
from wsproxy.wire.http import Exchange, Refusal, Request

UPGRADE = (
    b"GET /ws?x=1 HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\nConnection: Upgrade\r\n"
    b"Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n\r\n"
)


async def read(*chunks: bytes, limit: int = 1000) -> Request | None:
    peer, ours = trio.testing.memory_stream_pair()
    for chunk in chunks:
        await peer.send_all(chunk)
    await peer.send_eof()
    return await Exchange(ours, limit).request()


async def test_the_head_is_kept_as_it_came_and_apart_from_what_came_behind() -> None:
    request = await read(UPGRADE + b"\x81\x80rest")
    assert request is not None
    assert request.head == UPGRADE
    assert request.behind == b"\x81\x80rest"
    assert (request.method, request.target) == ("GET", "/ws?x=1")
    assert request.header("origin") == "http://o"
    assert request.header("cookie") is None
    assert request.wants_upgrade
    request.check_upgrade()


async def test_a_head_may_come_byte_by_byte() -> None:
    peer, ours = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for index in range(len(UPGRADE)):
                await peer.send_all(UPGRADE[index : index + 1])

        nursery.start_soon(send)
        request = await Exchange(ours, 1000).request()
    assert request is not None
    assert (request.head, request.behind) == (UPGRADE, b"")


@pytest.mark.parametrize("part", [b"", b"GET / HT", UPGRADE[:-1]])
async def test_a_client_that_leaves_early_asked_nothing(part: bytes) -> None:
    assert await read(part) is None


async def test_a_request_without_upgrade() -> None:
    request = await read(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert request is not None
    assert not request.wants_upgrade


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"hello there\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (UPGRADE.replace(b"Origin: http://o", b"Origin: " + b"o" * 1000), 431),
        (b"GET /" + b"x" * 2000, 431),
    ],
)
async def test_what_is_no_good_http_is_refused(sent: bytes, status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        await read(sent)
    assert refusal.value.status == status
    assert refusal.value.text.endswith(".")


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Version: 13", b"Version: 8", 426),
        (b"Sec-WebSocket-Version: 13\r\n", b"", 400),
        (b"Sec-WebSocket-Key: AAAA\r\n", b"", 400),
        (b"Connection: Upgrade", b"Connection: close", 400),
        (b"Connection: Upgrade", b"Connection: \xe9", 400),
        (b"GET", b"POST", 400),
    ],
)
async def test_a_bad_request_for_a_websocket_is_refused(
    old: bytes, new: bytes, status: int
) -> None:
    request = await read(UPGRADE.replace(old, new))
    assert request is not None
    with pytest.raises(Refusal) as refusal:
        request.check_upgrade()
    assert refusal.value.status == status


async def answered(sent: bytes, status: int, text: str) -> tuple[h11.Response, bytes]:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(sent)
    exchange = Exchange(ours, 1000)
    with suppress(Refusal):
        await exchange.request()
    await peer.send_eof()
    await exchange.answer(status, text)
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=sent.split()[0], target="/", headers=[("Host", "h")]))
    client.receive_data(await read_to_end(peer))
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = client.next_event()
    return response, bytes(body.data) if isinstance(body, h11.Data) else b""


async def test_an_answer_is_plain_text_and_the_last() -> None:
    response, body = await answered(UPGRADE, 403, "Not for you: é.")
    assert response.status_code == 403
    assert response.reason == b"Forbidden"
    headers = dict(response.headers.raw_items())
    assert headers[b"Content-Type"] == b"text/plain; charset=utf-8"
    assert headers[b"Connection"] == b"close"
    assert body.decode() == "Not for you: é."


async def test_an_answer_in_json_says_so() -> None:
    response, body = await answered(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, '{"a":1}')
    assert (b"content-type", b"application/json") in response.headers
    assert body == b'{"a":1}'


async def test_426_says_what_to_upgrade_to() -> None:
    response, _ = await answered(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426, "x")
    assert (b"upgrade", b"websocket") in response.headers
    assert (b"connection", b"upgrade, close") in response.headers
    assert (b"sec-websocket-version", b"13") in response.headers


async def test_the_answer_to_head_has_no_body() -> None:
    response, body = await answered(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "text")
    assert (b"content-length", b"4") in response.headers
    assert body == b""


async def test_garbage_is_answered() -> None:
    response, body = await answered(b"GET\r\n\r\n", 400, "No.")
    assert (response.status_code, body) == (400, b"No.")


async def test_an_answer_to_nobody_is_no_error() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    await peer.send_all(UPGRADE)
    exchange = Exchange(ours, 1000)
    await exchange.request()
    await peer.aclose()
    await exchange.answer(200, "text")


async def body(head: bytes, *chunks: bytes) -> bytes | None:
    peer, ours = trio.testing.memory_stream_pair()
    exchange = Exchange(ours, 1000)
    await peer.send_all(head)
    assert await exchange.request() is not None
    for chunk in chunks:
        await peer.send_all(chunk)
    await peer.send_eof()
    return await exchange.body(10)


POST = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"], b""),
        ([POST % 10 + b"0123456789"], b"0123456789"),
        ([POST % 3 + b"a", b"bc"], b"abc"),
        ([POST % 3, b"a"], None),
    ],
)
async def test_the_body_of_a_request(chunks: list[bytes], expected: bytes | None) -> None:
    assert await body(*chunks) == expected


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        ([POST % 11 + b"0123456789", b"a"], 413),
        ([b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", b"x\r\n"], 400),
    ],
)
async def test_a_body_that_is_refused(chunks: list[bytes], status: int) -> None:
    with pytest.raises(Refusal) as refusal:
        await body(*chunks)
    assert refusal.value.status == status


GET = b"GET / HTTP/1.1\r\nHost: h\r\n%b\r\n"


@pytest.mark.parametrize(
    ("head", "stays"),
    [
        (GET % b"", True),
        (GET.replace(b"GET", b"HEAD") % b"", True),
        (GET % b"Connection: close\r\n", False),
        (GET.replace(b"1.1", b"1.0") % b"", False),
        (POST % 3, False),
        (POST % 3 + b"123", False),
    ],
)
async def test_a_client_that_stays_may_ask_again(head: bytes, stays: bool) -> None:
    peer, ours = trio.testing.memory_stream_pair()
    exchange = Exchange(ours, 1000)
    await peer.send_all(head + (UPGRADE if stays else b""))
    await peer.send_eof()
    assert await exchange.request() is not None
    assert await exchange.answer(200, "{}", [("Allow", "GET")], stays=True) is stays
    received = bytes(await peer.receive_some(1000))
    assert (b"connection: close" in received.lower()) is not stays
    assert b"\r\nAllow: GET\r\n" in received
    if stays:
        again = await exchange.request()
        assert again is not None
        assert (again.head, again.behind) == (UPGRADE, b"")


async def test_what_is_wrong_behind_the_head_is_no_reason_to_stay() -> None:
    peer, ours = trio.testing.memory_stream_pair()
    exchange = Exchange(ours, 1000)
    await peer.send_all(GET % b"Transfer-Encoding: chunked\r\n" + b"nonsense\r\n")
    await exchange.request()
    with pytest.raises(Refusal):
        await exchange.answer(200, "{}", stays=True)
    await peer.send_eof()
    assert not await exchange.answer(400, "No.")
