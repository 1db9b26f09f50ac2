"""A NATS server as a relay: ``python -m tests.bench.nats PORT STREAMS SIZES`` is its source.

The source publishes, in NATS's own protocol, what the other source sends as frames, on the same
commands. The server's clients hear it over WebSocket, in frames that the server fills as it likes:
they count what the frames hold, where each message stands behind a line of NATS's protocol
(docs.nats.io/reference/reference-protocols/nats-protocol, 2026-11).
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from tests.bench import source
from tests.bench.load import STALL_SECONDS, pattern
from tests.bench.sinks import Client, exchange, handshake

_CONFIGURATION = """
listen: "127.0.0.1:-1"
max_pending: 2GB
ping_interval: "1h"
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: false }
"""
LISTENS = r".* Listening for client connections on 127\.0\.0\.1:(\d+)"
SERVES = r".* Listening for websocket clients on ws://127\.0\.0\.1:(\d+)"
"""What the server says, the latter first."""


def main() -> None:
    """Publish until stdin ends."""
    port, streams, sizes = sys.argv[1:]
    published = [_publication(payload) for payload in pattern(int(streams), sizes)]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=STALL_SECONDS) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b'CONNECT {"verbose":false,"pedantic":false}\r\n')
        print("ready", flush=True)
        for line in sys.stdin:
            source.send([source.Peer(connection)], published, int(streams), line.split())


def _publication(payload: bytes) -> bytes:
    return b"PUB s %d\r\n%b\r\n" % (len(payload), payload)


def message_bytes(size: int) -> int:
    """What a client gets for a message of this size."""
    return len(b"MSG s 1 %d\r\n" % size) + size + 2


def configured(directory: Path) -> str:
    """A file with the server's configuration."""
    path = directory / "nats.conf"
    path.write_text(_CONFIGURATION, encoding="utf-8")
    return str(path)


def subscribers(url: str, clients: int) -> list[Client]:
    """Clients that hear everything; what frames hold counts."""
    opened = [handshake(url) for _ in range(clients)]
    for connection, protocol in opened:
        protocol.send_binary(b'CONNECT {"verbose":false}\r\nSUB s 1\r\n')
        connection.sendall(b"".join(protocol.data_to_send()))
    found = []
    for connection, protocol in opened:
        # The server asks once, a second or two after the connection, and is not to ask in between.
        while b"PING\r\n" not in exchange(connection, protocol):
            pass
        protocol.send_binary(b"PONG\r\n")
        connection.sendall(b"".join(protocol.data_to_send()))
        client = Client(connection)
        client.counted = Heads().skipped
        found.append(client)
    return found


class Heads:
    """Counts the payload of frames: their heads are 2, 4 or 10 bytes long (RFC 6455, 5.2)."""

    def __init__(self) -> None:
        self._left = 0
        """Of the frame that has begun."""
        self._head = b""
        """Of the next frame."""

    def skipped(self, buffer: bytearray, size: int) -> int:
        """Of so many bytes, those that belong to no head."""
        data, found = memoryview(buffer)[:size], 0
        while data:
            if self._left:
                part = min(self._left, len(data))
                found, self._left, data = found + part, self._left - part, data[part:]
            else:
                self._head, data = self._head + bytes(data[:1]), data[1:]
                if left := _payload_bytes(self._head):
                    self._left, self._head = left, b""
        return found


def _payload_bytes(head: bytes) -> int:
    """What the head of a frame announces; 0 while it is not complete."""
    if len(head) < 2:
        return 0
    length = {126: 4, 127: 10}.get(head[1], 2)
    if len(head) < length:
        return 0
    return head[1] if length == 2 else int.from_bytes(head[2:], "big")


if __name__ == "__main__":
    main()
