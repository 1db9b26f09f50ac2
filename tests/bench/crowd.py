"""Many clients in one process: ``python -m tests.bench.crowd URL``.

For each line on stdin, ``CLIENTS STREAMS RATE``, it connects so many more clients, so many a
second, each of which asks in its address for ten of so many streams. When all have their answer it
prints how many seconds that took, and the median, the 99th percentile and the maximum of the time,
in us, from a client's connecting to its answer. Everybody reads all the time and counts nothing.
Ends with an error if a client is closed or not answered.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from statistics import quantiles
from urllib.parse import urlsplit

from tests.bench.load import STALL_SECONDS, names

STREAMS_EACH = 10
_ANSWERED = b"\r\n\r\n"


def main() -> None:
    """Connect when told to; read."""
    address = urlsplit(sys.argv[1])
    crowd = Crowd((address.hostname or "", address.port or 0))
    with crowd.ready:
        crowd.ready.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while line := crowd.line():
            clients, streams, rate = map(int, line.split())
            print(*crowd.grow(clients, streams, rate), flush=True)


class Crowd:
    """Clients, and their sockets."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self.ready = selectors.DefaultSelector()
        self._begun: dict[socket.socket, int] = {}
        """Who waits for an answer, and since when (monotonic, ns)."""
        self._took: list[float] = []
        self._buffer = bytearray(1 << 20)
        self._size = 0

    def line(self) -> str:
        """Read for everybody until there is a line on stdin."""
        while True:
            if self._read(STALL_SECONDS):
                return sys.stdin.readline()

    def grow(self, clients: int, streams: int, rate: int) -> Sequence[float]:
        """Connect so many more clients; seconds until all were answered, and us of each."""
        paths = deque(addresses(self._size, clients, streams))
        self._size += clients
        self._took = []
        begin = time.monotonic()
        while paths or self._begun:
            now = time.monotonic()
            due = begin + (clients - len(paths)) / rate
            if paths and now >= due:
                self._connect(paths.popleft())
            else:
                self._read(due - now if paths else STALL_SECONDS)
            if now > begin + clients / rate + STALL_SECONDS:
                raise TimeoutError(f"{len(self._begun)} clients are not answered")
        seconds = time.monotonic() - begin
        return seconds, *summary(self._took)

    def _connect(self, path: str) -> None:
        begin_ns = time.monotonic_ns()
        client = socket.create_connection(self._address, timeout=STALL_SECONDS)
        client.sendall(handshake(path))
        client.setblocking(False)
        self._begun[client] = begin_ns
        self.ready.register(client, selectors.EVENT_READ)

    def _read(self, seconds: float) -> bool:
        """Read what there is for everybody; whether there is something on stdin."""
        told = False
        for key, _ in self.ready.select(seconds):
            if key.fileobj is sys.stdin:
                told = True
                continue
            client = key.fileobj
            assert isinstance(client, socket.socket)
            received = client.recv_into(self._buffer)
            if not received:
                raise ConnectionError("a client was closed")
            begin_ns = self._begun.pop(client, None)
            if begin_ns is not None:
                answer = bytes(self._buffer[:received])
                if not answer.startswith(b"HTTP/1.1 101 ") or _ANSWERED not in answer:
                    raise ConnectionError(f"a client was answered with {answer!r}")
                self._took.append((time.monotonic_ns() - begin_ns) / 1e3)
        return told


def summary(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and maximum, also of a single one."""
    percentiles = quantiles([*values, *values], n=100, method="inclusive")
    return percentiles[49], percentiles[98], max(values)


def addresses(first: int, clients: int, streams: int) -> Iterator[str]:
    """The path of each client, beginning with this one: neighbours in a ring of the streams."""
    ring = names(streams)
    ring += ring[:STREAMS_EACH]
    for number in range(first, first + clients):
        at = number % streams
        yield f"/stream?streams={'/'.join(ring[at : at + STREAMS_EACH])}"


def handshake(path: str) -> bytes:
    """The request for a WebSocket."""
    lines = (
        f"GET {path} HTTP/1.1",
        "Host: proxy",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    return "\r\n".join((*lines, "", "")).encode()


if __name__ == "__main__":
    main()
