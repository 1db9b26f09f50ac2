from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect as connect_in_thread

from tests.wire.loopback import Peer, cancel_at_every_step, read_to_end, serving, socket_pair
from wsproxy.errors import ConnectionEnded
from wsproxy.model import BINARY, TEXT
from wsproxy.wire.client import Client, Handshake, handshake
from wsproxy.wire.frames import encode
from wsproxy.wire.http import Answer, Request
from wsproxy.wire.lane import GOODBYE_SECONDS

LIMIT = 1 << 20
UPGRADE = (
    b"GET /binance/ws?a=1 HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
RUN = encode(b"x" * 50_000)


@asynccontextmanager
async def connected(
    with_request: bytes = b"", limit: int = LIMIT
) -> AsyncIterator[tuple[Client, Peer]]:
    """A client as wsproxy sees it, and its other end."""
    theirs, ours = await socket_pair()
    with trio.fail_after(10):
        async with theirs, trio.open_nursery() as nursery:
            peers: list[Peer] = []

            async def connect() -> None:
                peers.append(await Peer.connect(theirs, with_request=with_request))

            nursery.start_soon(connect)
            async with handshake(ours, max_message_bytes=limit) as proposal:
                assert proposal is not None
                client = await proposal.accept()
                await trio.testing.wait_all_tasks_blocked()
                yield client, peers[0]
                await theirs.aclose()


def fill(client: Client) -> int:
    """Hand in runs until several are waiting; give how many."""
    runs = 0
    while client.pending_bytes < 8 * len(RUN):
        client.write_nowait(RUN)
        runs += 1
    return runs


async def ended(client: Client) -> ConnectionEnded:
    with pytest.raises(ConnectionEnded) as caught:
        await client.receive()
    return caught.value


async def ask(
    request: bytes, handler: Callable[[Handshake | None], Awaitable[None]] | None = None
) -> bytes:
    """Send these bytes to a listener; give all of its answer."""

    async def serve(stream: trio.SocketStream) -> None:
        async with handshake(stream, max_message_bytes=LIMIT, max_header_bytes=1000) as proposal:
            if handler is not None:
                await handler(proposal)
            else:
                assert proposal is None

    async with serving(serve) as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        with trio.fail_after(5):
            async with stream:
                await stream.send_all(request)
                return await read_to_end(stream)


async def test_the_request_is_there_to_be_judged() -> None:
    async def judge(proposal: Handshake | None) -> None:
        assert proposal is not None
        assert (proposal.path, proposal.query) == ("/binance/ws", "a=1")
        assert proposal.origin == "http://o"
        assert ("host", "h") in proposal.headers
        host, _, port = proposal.remote.rpartition(":")
        assert host == "127.0.0.1"
        assert int(port) > 0
        await proposal.refuse(403, "This page may not connect.")

    answer = await ask(UPGRADE, judge)
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert answer.endswith(b"\r\n\r\nThis page may not connect.")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n", b"426 Upgrade Required"),
        (
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nsome body",
            b"426 Upgrade Required",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00", b"400 Bad Request"),
        (b"GET /" + b"x" * 1000, b"431 Request Header Fields Too Large"),
        (UPGRADE.replace(b": 13", b": 12"), b"426 Upgrade Required"),
        (UPGRADE.replace(b"Sec-WebSocket-Key", b"X"), b"400 Bad Request"),
    ],
)
async def test_what_is_no_websocket_is_answered_and_nothing_is_given(
    request_: bytes, status: bytes
) -> None:
    answer = await ask(request_)
    assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
    assert answer.rstrip().endswith(b".")


async def test_other_requests_are_answered_by_the_callback() -> None:
    async def answer(request: Request) -> Answer:
        return Answer(200, f'{{"asked":"{request.method} {request.target}"}}')

    async def serve(stream: trio.SocketStream) -> None:
        async with handshake(stream, max_message_bytes=LIMIT, on_http=answer) as proposal:
            assert proposal is None

    async with serving(serve) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n")
        await stream.send_all(b"GET /two HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        received = await read_to_end(stream)
    assert received.count(b"\r\nConnection: close\r\n") == 1
    assert b'\r\n\r\n{"asked":"GET /one"}HTTP/1.1 200 OK' in received
    assert received.endswith(b'\r\n\r\n{"asked":"GET /two"}')


async def test_a_websocket_may_be_asked_for_behind_other_requests() -> None:
    async def answer(request: Request) -> Answer:
        return Answer(200, "one")

    async def serve(stream: trio.SocketStream) -> None:
        async with handshake(stream, max_message_bytes=LIMIT, on_http=answer) as proposal:
            assert proposal is not None
            assert proposal.path == "/binance/ws"
            await proposal.accept()

    async with serving(serve) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(5):
            await stream.send_all(b"GET /one HTTP/1.1\r\nHost: h\r\n\r\n" + UPGRADE)
            received = b""
            while b"Switching Protocols" not in received:
                received += await stream.receive_some(10_000)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("part", [b"", UPGRADE[:50]])
async def test_a_client_that_leaves_before_it_has_asked(part: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with handshake(stream, max_message_bytes=LIMIT) as proposal:
            assert proposal is None

    async with serving(serve) as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(part)


async def test_messages_both_ways() -> None:
    async with connected() as (client, peer):
        await peer.send("\u00e9".encode())
        peer.protocol.send_binary(b"\xff")
        await peer.flush()
        assert await client.receive() == ("\u00e9".encode(), TEXT)
        assert await client.receive() == (b"\xff", BINARY)
        client.write_nowait(encode(b"one") + encode(b"\xfe", BINARY))
        assert await peer.frame() == Frame(Opcode.TEXT, b"one")
        assert await peer.frame() == Frame(Opcode.BINARY, b"\xfe")
        assert client.pending_bytes == 0
        assert client.pending_since_ns is None
        await client.drain()


async def test_frames_in_one_piece_with_the_request_arrive() -> None:
    masked = b"\x81\x85\0\0\0\0early\x89\x80\0\0\0\0"
    async with connected(with_request=masked) as (client, peer):
        assert await client.receive() == (b"early", TEXT)
        assert (await peer.frame()).opcode is Opcode.PONG


async def test_many_requests_wait_and_keep_their_order() -> None:
    async with connected() as (client, peer):
        for index in range(100):
            await peer.send(str(index).encode())
        await trio.testing.wait_all_tasks_blocked()
        assert [await client.receive() for _ in range(100)] == [
            (str(index).encode(), TEXT) for index in range(100)
        ]


async def test_a_ping_is_answered_before_the_backlog() -> None:
    async with connected() as (client, peer):
        runs = fill(client)
        since = client.pending_since_ns
        assert since is not None
        peer.protocol.send_ping(b"hello?")
        peer.protocol.send_text(b"done")
        await peer.stream.send_all(b"".join(peer.protocol.data_to_send()))
        assert await client.receive() == (b"done", TEXT)
        await trio.testing.wait_all_tasks_blocked()
        frames = [await peer.frame() for _ in range(runs + 1)]
        pong = next(i for i, frame in enumerate(frames) if frame.opcode is Opcode.PONG)
        assert pong < runs - 2
        assert frames.pop(pong).data == b"hello?"
        assert all(frame == Frame(Opcode.TEXT, b"x" * 50_000) for frame in frames)
        await client.drain()
        assert client.pending_bytes == 0


async def test_a_ping_is_answered_by_its_pong() -> None:
    async with connected() as (client, peer):
        done = trio.Event()

        async def ping() -> None:
            await client.ping()
            done.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            await trio.testing.wait_all_tasks_blocked()
            assert not done.is_set()
            peer.protocol.send_pong(b"of no ping")
            await peer.flush()
            await trio.testing.wait_all_tasks_blocked()
            assert not done.is_set()
            assert (await peer.frame()).opcode is Opcode.PING  # and the peer has answered it
        assert done.is_set()


async def test_a_ping_goes_before_the_backlog() -> None:
    async with connected() as (client, peer):
        runs = fill(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.ping)
            await trio.testing.wait_all_tasks_blocked()
            frames = [await peer.frame() for _ in range(runs + 1)]
        ping = next(i for i, frame in enumerate(frames) if frame.opcode is Opcode.PING)
        assert ping < runs - 2


async def test_no_pong_comes_from_a_connection_that_has_ended() -> None:
    async with connected() as (client, peer):
        await peer.close(1000)
        await ended(client)
        with pytest.raises(ConnectionEnded):
            await client.ping()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told so")
async def test_the_kernel_holds_little_if_it_is_told_so() -> None:
    async with connected() as (client, _):
        client.hold_little()
        kernel = client._lane._transport.socket
        assert kernel.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 64 << 10


async def test_the_close_frame_overtakes_what_is_pending() -> None:
    async with connected() as (client, peer):
        runs = fill(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.aclose, 1008, "é" * 100)
            await trio.testing.wait_all_tasks_blocked()
            client.write_nowait(RUN)
            frames = await peer.frames()
        *data, close = frames
        assert len(data) < runs - 2
        assert all(frame == Frame(Opcode.TEXT, b"x" * 50_000) for frame in data)
        assert close.opcode is Opcode.CLOSE
        assert peer.protocol.close_rcvd is not None
        assert peer.protocol.close_rcvd.code == 1008
        assert peer.protocol.close_rcvd.reason == "é" * 61
        end = await ended(client)
        assert (end.code, end.by) == (1008, "us")
        client.write_nowait(RUN)
        assert client.pending_bytes == 0
        await client.drain()
        await client.aclose(1000, "again")


@pytest.mark.parametrize("code", [1005, 1006, 1015])
async def test_a_code_that_no_frame_carries_cuts_the_connection(code: int) -> None:
    async with connected() as (client, peer):
        client.write_nowait(encode(b"last"))
        await client.aclose(code, "")
        assert [frame.data for frame in await peer.frames()] == [b"last"]
        assert peer.protocol.close_rcvd is None


async def test_aclose_ends_a_waiting_receive() -> None:
    async with connected() as (client, peer), trio.open_nursery() as nursery:

        async def wait() -> None:
            end = await ended(client)
            assert (end.code, end.reason, end.by) == (1012, "restart", "us")

        nursery.start_soon(wait)
        nursery.start_soon(peer.closed)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose(1012, "restart")


async def test_aclose_does_not_wait_for_requests_that_nobody_takes() -> None:
    async with connected() as (client, peer):
        for _ in range(100):
            await peer.send(b"x")
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.closed)
            await client.aclose(1012, "restart")


async def test_pings_that_cross_our_close_frame_do_no_harm() -> None:
    async with connected() as (client, peer), trio.open_nursery() as nursery:
        nursery.start_soon(client.aclose, 1012, "restart")
        await trio.testing.wait_all_tasks_blocked()
        await peer.stream.send_all(b"\x89\x80\0\0\0\0" * 3)
        close = await peer.closed()
        assert close is not None
        assert close.code == 1012


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b"\x81\xff" + bytes(5) + b"\x01\0\0" + bytes(4) + b"x" * 100, 1009),
        (b"\x81\x81\0\0\0\0\xff", 1007),
        (b"\x81\x01x" + b"y" * 100_000, 1002),
        (b"\x83\x80\0\0\0\0", 1002),
    ],
)
async def test_a_violation_is_told_to_the_client_and_to_us(wrong: bytes, code: int) -> None:
    async with connected(limit=100) as (client, peer):
        await peer.send(b"fine")
        await peer.stream.send_all(wrong)
        assert await client.receive() == (b"fine", TEXT)
        end = await ended(client)
        assert (end.code, end.by) == (code, "us")
        close = await peer.closed()
        assert close is not None
        assert close.code == code


async def test_the_client_closes() -> None:
    async with connected() as (client, peer):
        await peer.send(b"last")
        await peer.close(4000, "enough")
        assert await client.receive() == (b"last", TEXT)
        end = await ended(client)
        assert (end.code, end.reason, end.by) == (4000, "enough", "peer")
        close = await peer.closed()
        assert close is not None
        assert close.code == 4000


async def test_the_client_vanishes_inside_a_frame() -> None:
    async with connected() as (client, peer):
        await peer.stream.send_all(b"\x81\x85\0\0")
        await peer.stream.aclose()
        end = await ended(client)
        assert (end.code, end.by) == (1006, "network")
        client.write_nowait(RUN)
        client.write_nowait(RUN)
        await client.drain()


async def test_the_client_resets_while_much_is_pending() -> None:
    async with connected() as (client, peer):
        fill(client)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.drain)
            await trio.testing.wait_all_tasks_blocked()
            await peer.stream.aclose()
        end = await ended(client)
        assert (end.code, end.by) == (1006, "network")
        assert client.pending_bytes == 0


async def test_a_client_that_left_before_the_answer() -> None:
    theirs, ours = await socket_pair()
    await theirs.send_all(UPGRADE)
    async with handshake(ours, max_message_bytes=LIMIT) as proposal:
        assert proposal is not None
        theirs.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await theirs.aclose()
        with pytest.raises(ConnectionEnded) as end:
            await proposal.accept()
        assert end.value.by == "network"


async def test_leaving_the_block_says_goodbye() -> None:
    theirs, ours = await socket_pair()
    async with theirs, trio.open_nursery() as nursery:

        async def strategy() -> None:
            close = await (await Peer.connect(theirs)).closed()
            assert close is not None
            assert close.code == 1001

        nursery.start_soon(strategy)
        with trio.CancelScope() as scope:
            async with handshake(ours, max_message_bytes=LIMIT) as proposal:
                assert proposal is not None
                await proposal.accept()
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught


async def test_a_silent_client_cannot_hold_the_goodbye(
    autojump_clock: trio.testing.MockClock,
) -> None:
    theirs, ours = await socket_pair()
    await theirs.send_all(UPGRADE)
    async with theirs:
        async with handshake(ours, max_message_bytes=LIMIT) as proposal:
            assert proposal is not None
            client = await proposal.accept()
            fill(client)
            start = trio.current_time()
        assert trio.current_time() - start == GOODBYE_SECONDS
        assert ours.socket.fileno() == -1


async def test_the_blocks_exception_comes_out_as_it_is() -> None:
    theirs, ours = await socket_pair()

    async def fail() -> None:
        async with handshake(ours, max_message_bytes=LIMIT):
            raise LookupError("mine")

    async with theirs:
        await theirs.send_all(UPGRADE)
        with pytest.raises(LookupError, match="mine"):
            await fail()


async def test_with_the_websockets_library() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with handshake(stream, max_message_bytes=LIMIT) as proposal:
            assert proposal is not None
            client = await proposal.accept()
            payload, opcode = await client.receive()
            for _ in range(1000):
                client.write_nowait(encode(payload, opcode))
            await client.drain()
            await client.aclose(1000, "done")

    def strategy(port: int) -> list[str | bytes]:
        with connect_in_thread(f"ws://127.0.0.1:{port}/", proxy=None) as websocket:
            websocket.send("z" * 3000)
            return list(websocket)

    async with serving(serve) as port:
        assert await trio.to_thread.run_sync(strategy, port) == ["z" * 3000] * 1000


async def test_cancelled_at_any_step_no_socket_stays_open() -> None:
    """The strategies end when our side has been closed, and the test waits for them all."""

    async def strategy(stream: trio.SocketStream) -> None:
        async with stream:
            with suppress(trio.BrokenResourceError):
                peer = await Peer.connect(stream, with_request=b"\x81\x80\0\0\0\0")
                await peer.closed()

    with trio.fail_after(60):
        async with trio.open_nursery() as strategies:

            async def scenario() -> None:
                with trio.CancelScope(shield=True):
                    theirs, ours = await socket_pair()
                strategies.start_soon(strategy, theirs)
                async with handshake(ours, max_message_bytes=LIMIT) as proposal:
                    assert proposal is not None
                    client = await proposal.accept()
                    client.write_nowait(encode(b"x"))
                    await client.receive()
                    await client.aclose(1000, "done")

            await cancel_at_every_step(scenario)
