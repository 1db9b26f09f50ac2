from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import msgspec
import pytest

from wsproxy.app.bench.load import FRAME_BYTES, STREAMS, frames, stamped
from wsproxy.app.bench.sinks import Sink, connected, masked, percentile, subscribe
from wsproxy.app.bench.source import Peer
from wsproxy.wire.frames import Splitter, encode


def test_a_request_is_masked() -> None:
    payload = b"x" * 300
    assert Splitter(1000, masked=True).feed(masked(payload)).payloads == [payload]


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 51), (99, 100), (100, 100)])
def test_percentiles(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_bytes_are_counted_until_the_other_side_closes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink = Sink(ours)
        theirs.sendall(b"abc")
        sink.count(bytearray(2))
        assert sink.received == 2
        sink.count(bytearray(2))
        assert sink.received == 3
        theirs.close()
        with pytest.raises(ConnectionError, match="closed"):
            sink.count(bytearray(2))


def test_delays_of_messages_that_come_in_parts() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sink, buffer = Sink(ours), bytearray(10_000)
        sent_ns = time.monotonic_ns() - 5_000_000_000
        first, second = (stamped(frame, sent_ns) for frame in frames(2))
        theirs.sendall(first + second[:100])
        (delay,) = sink.delays(buffer)
        assert 5_000_000_000 <= delay < 60_000_000_000
        theirs.sendall(second[100:-1])
        assert sink.delays(buffer) == []
        theirs.sendall(second[-1:])
        (later,) = sink.delays(buffer)
        assert later > delay
        assert sink.received == 2 * FRAME_BYTES


def subscribed(serve: Callable[[socket.socket], None]) -> None:
    """Subscribe where it is served so."""
    ours, theirs = socket.socketpair()

    def answer() -> None:
        with theirs:
            serve(theirs)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        with ours:
            subscribe(ours, "/stream")
    finally:
        thread.join()


def test_a_client_of_the_source_subscribes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                peer = Peer(connection)
                answered.extend((peer.answer(), peer.answer()))

        answered: list[bool] = []
        thread = threading.Thread(target=serve)
        thread.start()
        connected(listener.getsockname()[1], "/stream").close()
        thread.join()
    assert answered == [True, True]


def test_all_streams_are_asked_for() -> None:
    asked: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(b"HTTP/1.1 101 Yes\r\n\r\n")
        asked.extend(Splitter(10_000, masked=True).feed(connection.recv(10_000)).payloads)
        connection.sendall(encode(b'{"code":2,"msg":"no"}'))

    with pytest.raises(ConnectionError, match="refused"):
        subscribed(serve)
    (request,) = asked
    assert msgspec.json.decode(request)["params"] == list(STREAMS)


@pytest.mark.parametrize(
    ("answer", "why"), [(b"HTTP/1.1 503 No\r\n\r\n", "refused: .*503"), (b"", "before it answered")]
)
def test_a_handshake_that_is_refused(answer: bytes, why: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(10_000)
        connection.sendall(answer)

    with pytest.raises(ConnectionError, match=why):
        subscribed(serve)
