from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
import trustme
from websockets.frames import Frame, Opcode

from tests.wire.loopback import Peer, cancel_at_every_step, read_to_end, serving
from wsproxy.errors import ConnectionEnded, HandshakeRefused
from wsproxy.model import BINARY
from wsproxy.wire.frames import Split, encode, header
from wsproxy.wire.lane import GOODBYE_SECONDS
from wsproxy.wire.upstream import Upstream, UpstreamLane, fitting, open_upstream, retry_after_ns

LIMIT = 1 << 20


class Received:
    """What came in and went out through the callbacks."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.opcodes: list[bytes | None] = []
        self.sent = 0
        self.controls = 0
        self._news = trio.Event()

    def on_messages(self, split: Split) -> None:
        self.payloads += split.payloads
        self.opcodes.append(split.opcodes)
        self._news.set()

    def on_frame_sent(self, control: bool) -> None:
        self.sent += 1
        self.controls += control

    async def wait_for(self, count: int) -> list[bytes]:
        while len(self.payloads) < count:
            self._news = trio.Event()
            await self._news.wait()
        return self.payloads


@asynccontextmanager
async def connected(
    port: int, received: Received, *, limit: int = LIMIT, path: str = "/"
) -> AsyncIterator[Upstream]:
    with trio.fail_after(5):
        async with open_upstream(
            f"ws://127.0.0.1:{port}{path}",
            on_messages=received.on_messages,
            on_frame_sent=received.on_frame_sent,
            max_message_bytes=limit,
        ) as upstream:
            yield upstream


async def test_messages_both_ways_and_every_frame_is_counted() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        peer = await Peer.accept(stream)
        assert (await peer.frame()).data == b'{"op":"subscribe"}'
        assert await peer.frame() == Frame(Opcode.BINARY, b"\xff")
        await peer.send(b"one")
        await peer.ping(b"are you there?")
        assert (await peer.frame()).opcode is Opcode.PONG
        await peer.send("zw\u00f6lf".encode())
        close = await peer.closed()
        assert close is not None
        assert (close.code, close.reason) == (1000, "")

    received = Received()
    async with serving(venue) as port, connected(port, received) as upstream:
        assert received.sent == 0  # the handshake is no frame
        await upstream.send(b'{"op":"subscribe"}')
        await upstream.send(b"\xff", BINARY)
        assert received.sent == 2
        assert await received.wait_for(2) == [b"one", "zw\u00f6lf".encode()]
        assert received.sent == 3
        assert set(received.opcodes) == {None}
    assert (received.sent, received.controls) == (4, 2)


async def test_path_query_and_headers_arrive() -> None:
    seen: list[bytes] = []

    async def raw(stream: trio.SocketStream) -> None:
        seen.append(bytes(await stream.receive_some()))

    async with serving(raw) as port:
        with pytest.raises(HandshakeRefused):
            async with open_upstream(
                f"ws://127.0.0.1:{port}/stream?streams=a@b/c&x=\u00e9%20",
                on_messages=Received().on_messages,
                on_frame_sent=Received().on_frame_sent,
                max_message_bytes=1,
                headers=[("User-Agent", "wsproxy")],
            ):
                pass
    assert seen[0].startswith(b"GET /stream?streams=a@b/c&x=%C3%A9%20 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in seen[0]
    assert b"User-Agent: wsproxy\r\n" in seen[0]
    assert b"Extensions" not in seen[0]  # no compression: bytes are recorded as received


async def test_frames_in_one_piece_with_the_response_arrive() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        frames = encode(b"one") + encode(b"\xff", 2) + b"\x89\x01p" + encode(b"three")
        peer = await Peer.accept(stream, with_response=frames)
        assert (await peer.frame()).opcode is Opcode.PONG
        await peer.closed()

    received = Received()
    async with serving(venue) as port, connected(port, received):
        assert received.payloads == []  # nothing before the block's first await
        assert await received.wait_for(3) == [b"one", b"\xff", b"three"]
        assert received.opcodes == [b"\x01\x02\x01"]


async def test_a_violation_in_one_piece_with_the_response_is_told() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        peer = await Peer.accept(stream, with_response=encode(b"one") + b"\x83\x00")
        close = await peer.closed()
        assert close is not None
        assert close.code == 1002

    received = Received()
    async with serving(venue) as port, connected(port, received) as upstream:
        ended = await upstream.wait_closed()
        assert (ended.code, ended.by) == (1002, "us")
        assert received.payloads == [b"one"]


async def test_everything_may_come_byte_by_byte() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        class Dribble(trio.abc.HalfCloseableStream):
            async def send_all(self, data: bytes | bytearray | memoryview) -> None:
                for index in range(len(data)):
                    await stream.send_all(data[index : index + 1])

            async def receive_some(self, max_bytes: int | None = None) -> bytes:
                return bytes(await stream.receive_some(max_bytes))

            async def wait_send_all_might_not_block(self) -> None:
                await stream.wait_send_all_might_not_block()

            async def send_eof(self) -> None:
                await stream.send_eof()

            async def aclose(self) -> None:
                await stream.aclose()

        peer = await Peer.accept(Dribble())
        await peer.send(b"x" * 300)
        await peer.send(b"y")
        await peer.closed()

    received = Received()
    async with serving(venue) as port, connected(port, received):
        assert await received.wait_for(2) == [b"x" * 300, b"y"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (header(101) + b"x" * 101, 1009),
        (header(1 << 40), 1009),
        (encode(b"\xff"), 1007),
        (b"\xc1\x00", 1002),
        (b"\x88\x01x", 1002),
    ],
)
async def test_a_violation_closes_with_its_code(wrong: bytes, code: int) -> None:
    async def venue(stream: trio.SocketStream) -> None:
        peer = await Peer.accept(stream)
        # Much comes behind it: unread bytes must not reset the connection before the code is read.
        await stream.send_all(encode(b"fine") + wrong + b"\0" * 100_000)
        close = await peer.closed()
        assert close is not None
        assert close.code == code

    received = Received()
    async with serving(venue) as port, connected(port, received, limit=100) as upstream:
        ended = await upstream.wait_closed()
        assert (ended.code, ended.by) == (code, "us")
        assert ended.reason
        assert received.payloads == [b"fine"]
        with pytest.raises(ConnectionEnded) as again:
            await upstream.send(b"late")
        assert again.value.code == code
    assert received.sent == 1


async def test_the_venue_closes() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        peer = await Peer.accept(stream)
        await peer.send(b"last")
        await peer.close(1012, "maintenance")
        close = await peer.closed()
        assert close is not None
        assert close.code == 1012

    received = Received()
    async with serving(venue) as port, connected(port, received) as upstream:
        ended = await upstream.wait_closed()
        assert (ended.code, ended.reason, ended.by) == (1012, "maintenance", "peer")
        assert received.payloads == [b"last"]


async def test_the_venue_vanishes_inside_a_frame() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        await Peer.accept(stream)
        await stream.send_all(encode(b"whole") + encode(b"part")[:3])

    received = Received()
    async with serving(venue) as port, connected(port, received) as upstream:
        ended = await upstream.wait_closed()
        assert (ended.code, ended.by) == (1006, "network")
        assert received.payloads == [b"whole"]


async def test_a_reset_is_noticed() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        await Peer.accept(stream)
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    async with serving(venue) as port, connected(port, Received()) as upstream:
        ended = await upstream.wait_closed()
        assert (ended.code, ended.by) == (1006, "network")
        with pytest.raises(ConnectionEnded):
            await upstream.send(b"late")


async def test_aclose_tells_the_code() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        close = await (await Peer.accept(stream)).closed()
        assert close is not None
        assert (close.code, close.reason) == (4001, "rotated")

    async with serving(venue) as port, connected(port, Received()) as upstream:
        await upstream.aclose(4001, "rotated")
        ended = await upstream.wait_closed()
        assert (ended.code, ended.reason, ended.by) == (4001, "rotated", "us")
        await upstream.aclose()


async def test_a_cancelled_block_says_goodbye() -> None:
    async def venue(stream: trio.SocketStream) -> None:
        close = await (await Peer.accept(stream)).closed()
        assert close is not None
        assert close.code == 1000

    async with serving(venue) as port:
        with trio.CancelScope() as scope:
            async with connected(port, Received()) as upstream:
                scope.cancel()
                await upstream.wait_closed()
    assert scope.cancelled_caught


async def test_a_silent_venue_cannot_hold_the_goodbye(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect(host: str, port: int) -> trio.abc.Stream:
        return ours

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Peer.accept, theirs)
        async with connected(1, Received()):
            start = trio.current_time()
    assert trio.current_time() - start == GOODBYE_SECONDS
    assert (await read_to_end(theirs))[0] == 0x88


@pytest.mark.parametrize("in_pieces", [False, True])
@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (
            b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 30\r\nContent-Length: 2\r\n\r\nno",
            429,
            "HTTP 429 Too Many Requests, retry after 30",
        ),
        (b"HTTP/1.1 503 \r\n\r\nbody to the end", 503, "HTTP 503"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "HTTP 200 OK"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", 100, "HTTP 100 Continue"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", 0, "not HTTP"),
        (b"HTTP/1.1 101 ok\r\nX: " + b"x" * 70_000, 0, "not HTTP"),
        (b"HTTP/1.1 101 Switch", 0, "closed during the handshake"),
        (b"", 0, "closed during the handshake"),
        (
            b"HTTP/1.1 101 ok\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: wrong\r\n\r\n",
            101,
            "no valid WebSocket handshake",
        ),
    ],
)
async def test_a_refused_handshake(answer: bytes, status: int, words: str, in_pieces: bool) -> None:
    async def venue(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if in_pieces:
            for index in range(min(len(answer), 200)):
                await stream.send_all(answer[index : index + 1])
        await stream.send_all(answer[200 * in_pieces :])
        await stream.send_eof()
        await read_to_end(stream)

    async with serving(venue) as port:
        with pytest.raises(HandshakeRefused) as refused:
            async with connected(port, Received(), path="/ws/listen-key?token=secret"):
                pass
    assert refused.value.status == status
    assert words in str(refused.value)
    assert f"127.0.0.1 port {port}" in str(refused.value)
    assert "secret" not in str(refused.value)
    assert "listen-key" not in str(refused.value)


@pytest.mark.parametrize(
    ("headers", "after_ns"),
    [
        ("Retry-After: 30\r\n", 30_000_000_000),
        (
            "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nDate: Fri, 31 Dec 1999 23:59:49 GMT\r\n",
            10_000_000_000,
        ),
        ("", None),
    ],
)
async def test_a_refused_handshake_says_when_to_come_back(
    headers: str, after_ns: int | None
) -> None:
    async def venue(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(f"HTTP/1.1 429 Too Many\r\n{headers}\r\n".encode())
        await stream.send_eof()
        await read_to_end(stream)

    async with serving(venue) as port:
        with pytest.raises(HandshakeRefused) as refused:
            async with connected(port, Received()):
                pass
    assert refused.value.retry_after_ns == after_ns


NEW_YEAR = "Sat, 01 Jan 2000 00:00:00 GMT"


@pytest.mark.parametrize(
    ("retry_after", "date", "seconds"),
    [
        ("0", "", 0),
        ("120", NEW_YEAR, 120),
        ("9" * 5000, "", 7 * 86400),
        ("Sat, 01 Jan 2000 00:02:00 GMT", NEW_YEAR, 120),
        ("Saturday, 01-Jan-00 00:02:00 GMT", NEW_YEAR, 120),
        ("Fri, 31 Dec 1999 23:59:00 GMT", NEW_YEAR, 0),
        ("Sat, 01 Jan 2050 00:00:00 GMT", NEW_YEAR, 7 * 86400),
        (NEW_YEAR, "", 0),
        (NEW_YEAR, "today", 0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", "", 7 * 86400),
        ("", NEW_YEAR, None),
        ("-1", "", None),
        ("1.5", "", None),
        ("\u0663", "", None),
        ("soon", "", None),
        ("Fri, 99 Dec 1999 23:59:59 GMT", "", None),
        ("Fri, 31 Dec 99999999999 23:59:59 GMT", "", None),
    ],
)
def test_retry_after(retry_after: str, date: str, seconds: int | None) -> None:
    expected = None if seconds is None else seconds * 1_000_000_000
    assert retry_after_ns(retry_after, date) == expected


async def test_nobody_listens() -> None:
    async with serving(read_to_end) as port:
        pass
    with pytest.raises(HandshakeRefused) as exc:
        async with connected(port, Received()):
            pass
    assert exc.value.status == 0
    assert str(exc.value) == f"cannot connect to 127.0.0.1 port {port}: Connection refused"


@pytest.mark.parametrize(
    "url", ["http://h/", "ws:///x", "ws://h:port/", "ws://h:99999/", "ws://[::1/", "", "ws://x..y/"]
)
async def test_a_bad_address_is_refused_in_a_sentence(url: str) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        async with open_upstream(
            url,
            on_messages=Received().on_messages,
            on_frame_sent=Received().on_frame_sent,
            max_message_bytes=1,
        ):
            pass
    assert refused.value.status == 0


async def test_a_bad_header_is_a_bug_not_a_refusal() -> None:
    async def open_it(port: int) -> None:
        async with open_upstream(
            f"ws://127.0.0.1:{port}",
            on_messages=Received().on_messages,
            on_frame_sent=Received().on_frame_sent,
            max_message_bytes=1,
            headers=[("bad name", "x")],
        ):
            pass

    async with serving(read_to_end) as port:
        with pytest.RaisesGroup(Exception, flatten_subgroups=True):
            await open_it(port)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


async def _tls_venue(authority: trustme.CA, stream: trio.SocketStream) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    encrypted = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    await encrypted.do_handshake()

    class HalfCloseable(trio.abc.HalfCloseableStream):
        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await encrypted.send_all(data)

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return bytes(await encrypted.receive_some(max_bytes))

        async def wait_send_all_might_not_block(self) -> None:
            await encrypted.wait_send_all_might_not_block()

        async def send_eof(self) -> None:
            await encrypted.aclose()

        async def aclose(self) -> None:
            await encrypted.aclose()

    peer = await Peer.accept(HalfCloseable())
    await peer.send(b"secret")
    await peer.closed()


async def test_tls(authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    received = Received()
    async with serving(lambda stream: _tls_venue(authority, stream)) as port:
        with trio.fail_after(5):
            async with open_upstream(
                f"wss://127.0.0.1:{port}/",
                on_messages=received.on_messages,
                on_frame_sent=received.on_frame_sent,
                max_message_bytes=LIMIT,
                ssl_context=context,
            ) as upstream:
                assert await received.wait_for(1) == [b"secret"]
                await upstream.send(b"x")


async def test_a_certificate_of_an_unknown_authority_is_refused(authority: trustme.CA) -> None:
    async with serving(lambda stream: _tls_venue(authority, stream)) as port:
        with pytest.raises(HandshakeRefused, match=f"TLS with 127.0.0.1 port {port}") as refused:
            async with open_upstream(
                f"wss://127.0.0.1:{port}/",
                on_messages=Received().on_messages,
                on_frame_sent=Received().on_frame_sent,
                max_message_bytes=LIMIT,
            ):
                pass
    assert refused.value.status == 0
    assert "certificate verify failed" in str(refused.value)


async def _venue(stream: trio.SocketStream) -> None:
    peer = await Peer.accept(stream, with_response=encode(b"hello") + b"\x89\x00")
    await peer.closed()


async def test_the_blocks_exception_comes_out_as_it_is() -> None:
    async def fail(port: int) -> None:
        async with connected(port, Received()):
            raise LookupError("mine")

    async with serving(_venue) as port:
        with pytest.raises(LookupError, match="mine"):
            await fail(port)


async def test_an_exception_of_the_callback_comes_out() -> None:
    class Bad(Received):
        def on_messages(self, split: Split) -> None:
            raise LookupError("bug")

    async def wait(port: int) -> None:
        async with connected(port, Bad()) as upstream:
            await upstream.wait_closed()

    async with serving(_venue) as port:
        with pytest.RaisesGroup(LookupError, flatten_subgroups=True):
            await wait(port)


async def test_small_frames_are_not_delayed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[trio.SocketStream] = []
    really_open = trio.open_tcp_stream

    async def note(host: str, port: int) -> trio.SocketStream:
        opened.append(await really_open(host, port))
        return opened[0]

    monkeypatch.setattr(trio, "open_tcp_stream", note)
    async with serving(_venue) as port, connected(port, Received()):
        assert opened[0].getsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY)
    assert opened[0].socket.fileno() == -1


async def test_cancelled_at_any_step_no_socket_stays_open() -> None:
    """``serving`` waits until every connection that was accepted has been closed."""
    async with serving(_venue) as port:

        async def scenario() -> None:
            received = Received()
            async with connected(port, received) as upstream:
                await received.wait_for(1)
                await upstream.send(b"x")
                await upstream.aclose()

        with trio.fail_after(60):
            await cancel_at_every_step(scenario)


# -- a burst --


@pytest.mark.parametrize(("took_ns", "turns"), [(2_000_000, 6), (500_000, 0)])
@pytest.mark.parametrize(("messages", "clock"), [(1, "monotonic_ns"), (100, "thread_time_ns")])
async def test_behind_a_chunk_that_took_long_others_have_several_turns(
    took_ns: int, turns: int, messages: int, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    had = now_ns = 0

    async def other() -> None:
        nonlocal had
        while True:
            await trio.lowlevel.checkpoint()
            had += 1

    def on_messages(split: Split) -> None:
        nonlocal now_ns
        now_ns += took_ns

    monkeypatch.setattr(time, clock, lambda: now_ns)
    _, transport = trio.testing.memory_stream_pair()
    lane = UpstreamLane(transport, on_messages, lambda control: None, 1 << 20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await lane.deliver(Split([b"x"] * messages, None, [], None))
        assert turns - 2 <= had <= turns  # it begins in the first, and who is first is random
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("size", "took_ms", "then"),
    [
        (256, 5, 256),
        (256, 13, 128),
        (64, 2, 128),
        (256, 2, 256),
        (64, 5, 64),
        (16, 100, 16),
    ],
)
def test_what_takes_long_is_read_in_smaller_pieces(size: int, took_ms: int, then: int) -> None:
    assert fitting(size * 1024, took_ms * 1_000_000) == then * 1024
