from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from wsproxy.app.bench.load import FRAME_BYTES, frames, stamps
from wsproxy.app.bench.source import Peer, accepted, flood, granted, pace
from wsproxy.wire.frames import encode_close

PATTERN = frames(20)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class Reader(threading.Thread):
    """Reads until the other side shuts down."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection
        self.data = b""
        self.start()

    def run(self) -> None:
        while part := self._connection.recv(1 << 20):
            self.data += part


def test_a_handshake() -> None:
    # The example of RFC 6455, section 1.3.
    head = b"GET /stream HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    assert accepted(head).endswith(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    with pytest.raises(ValueError, match="no WebSocket handshake"):
        accepted(b"GET / HTTP/1.1")


def test_a_grant() -> None:
    assert granted(b'{"method":"SUBSCRIBE","params":["x"],"id":7}') == b'{"result":null,"id":7}'


def test_a_peer_that_leaves() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        peer = Peer(ours)
        theirs.sendall(b"GET / HTTP/1.1\r\nSec-WebSocket-Key: abc\r\n")
        assert peer.answer()
        theirs.sendall(b"\r\n" + encode_close(1000, "", masked=True))
        assert not peer.answer()
        assert theirs.recv(1000).startswith(b"HTTP/1.1 101 ")
        theirs.close()
        assert not peer.answer()


def test_a_flood_is_whole_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    reader = Reader(pair[1])
    sent = flood(pair[0], PATTERN, 0)
    pair[0].shutdown(socket.SHUT_WR)
    reader.join()
    assert sent == len(PATTERN)
    assert reader.data == b"".join(PATTERN)


def test_a_pace_says_when_each_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    reader = Reader(pair[1])
    sent = pace(pair[0], PATTERN, 0.005, 10_000)
    pair[0].shutdown(socket.SHUT_WR)
    reader.join()
    assert sent == 50
    times = list(stamps(reader.data))
    assert len(reader.data) == sent * FRAME_BYTES
    assert times == sorted(times)
    assert times[-1] - times[0] >= 49 * 100_000
