"""The strategies of `wsproxy bench`: ``python -m wsproxy.app.bench.sinks PORT PATH CLIENTS HOW``.

Each subscribes to all streams, over a raw socket; ``ready`` is printed when all have their answers.
Then a number on stdin says how many messages each must have got by then or will get, and a
``Report`` is printed as JSON when they have. Where HOW is ``flood``, bytes are counted only, as
cheaply as possible: all messages have the same length. Where it is ``pace``, delays are measured.

Clients answer no pings: they are gone before the proxy sends one. Ends with an error if a client is
closed, gets more than that, or nothing comes for too long.
"""

from __future__ import annotations

import base64
import selectors
import socket
import sys
import time
from collections.abc import Sequence

import msgspec

from wsproxy.app.bench.load import FRAME_BYTES, STALL_SECONDS, STREAMS, stamps
from wsproxy.app.bench.processes import say
from wsproxy.wire.frames import Splitter

_RECEIVE_BYTES = 1 << 20
_MAX_ANSWER_BYTES = 1 << 20


class Report(msgspec.Struct):
    """What came to all clients."""

    end_ns: int
    """The monotonic time at which the last byte came."""
    p50_ns: int = 0
    p99_ns: int = 0
    """Of the delays of all deliveries, where they were measured."""


class Sink:
    """A client, and what came to it since it was last asked."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.received = 0
        self._part = b""

    def count(self, buffer: bytearray) -> None:
        """Take what has come; raises ConnectionError if the connection is closed."""
        size = self.connection.recv_into(buffer)
        if not size:
            raise ConnectionError("a client was closed")
        self.received += size

    def delays(self, buffer: bytearray) -> list[int]:
        """The same; gives how late, ns, the messages were that are complete now."""
        before = self.received
        self.count(buffer)
        now_ns = time.monotonic_ns()
        data = self._part + buffer[: self.received - before]
        self._part = data[len(data) // FRAME_BYTES * FRAME_BYTES :]
        return [now_ns - sent_ns for sent_ns in stamps(data)]


def connected(port: int, path: str) -> socket.socket:
    """A client that has subscribed; raises ConnectionError where that is refused."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=STALL_SECONDS)
    subscribe(connection, path)
    return connection


def subscribe(connection: socket.socket, path: str) -> None:
    """Make it a WebSocket that gets all streams; raises ConnectionError where that is refused."""
    key = base64.b64encode(bytes(16)).decode()
    connection.sendall(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
        f"Upgrade: websocket\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += _more(connection)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise ConnectionError(f"refused: {head!r}")
    request = {"method": "SUBSCRIBE", "params": STREAMS, "id": 1}
    connection.sendall(masked(msgspec.json.encode(request)))
    splitter = Splitter(_MAX_ANSWER_BYTES)
    while not (answers := splitter.feed(_more(connection)).payloads):
        pass
    if answers != [b'{"result":null,"id":1}']:
        raise ConnectionError(f"refused: {answers!r}")


def masked(payload: bytes) -> bytes:
    """A client's text frame of 126 to 65,535 bytes, with a key of zeros."""
    return b"\x81\xfe" + len(payload).to_bytes(2, "big") + bytes(4) + payload


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise ConnectionError("closed before it answered")
    return data


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The least value that so many percent do not exceed."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def main() -> None:
    """Connect, count, report."""
    port, path, clients, how = sys.argv[1:]
    sinks = [Sink(connected(int(port), path)) for _ in range(int(clients))]
    say("ready")
    with selectors.DefaultSelector() as ready:
        ready.register(sys.stdin, selectors.EVENT_READ)
        for sink in sinks:
            ready.register(sink.connection, selectors.EVENT_READ, sink)
        while report := _round(ready, sinks, is_paced=how == "pace"):
            say(msgspec.json.encode(report).decode())


def _round(
    ready: selectors.BaseSelector, sinks: Sequence[Sink], *, is_paced: bool
) -> Report | None:
    """Take messages until every client has as many as stdin says; None when stdin ends."""
    buffer = bytearray(_RECEIVE_BYTES)
    for sink in sinks:
        sink.received = 0
    late: list[int] = []
    wanted = None
    end_ns = 0
    while wanted is None or any(sink.received < wanted for sink in sinks):
        events = ready.select(None if wanted is None else STALL_SECONDS)
        if not events:
            raise TimeoutError(f"nothing came for {STALL_SECONDS:.0f} s")
        for key, _ in events:
            if key.data is None:
                line = sys.stdin.readline()
                if not line:
                    return None
                wanted = int(line) * FRAME_BYTES
            elif is_paced:
                late += key.data.delays(buffer)
            else:
                key.data.count(buffer)
        if any(key.data is not None for key, _ in events):
            end_ns = time.monotonic_ns()
    if any(sink.received > wanted for sink in sinks):
        raise ValueError("a client got more than was sent")
    if not late:
        return Report(end_ns)
    late.sort()
    return Report(end_ns, percentile(late, 50), percentile(late, 99))


if __name__ == "__main__":
    main()
