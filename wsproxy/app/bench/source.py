"""The venue of `wsproxy bench`: ``python -m wsproxy.app.bench.source``.

Prints its port; grants whatever a client asks for. A line on stdin makes it send to the client that
came last, and print the monotonic time, ns, at which it began and how many messages it sent:

- ``flood SECONDS``: as many messages as the socket takes, for so long;
- ``pace SECONDS RATE``: one by one, so many a second, each with the time at which it could be sent.
"""

from __future__ import annotations

import re
import selectors
import socket
import sys
import time
from itertools import cycle

import msgspec
from wsproto.utilities import generate_accept_token

from wsproxy.app.bench.load import FRAME_BYTES, STALL_SECONDS, frames, stamped
from wsproxy.app.bench.processes import say
from wsproxy.wire.frames import Splitter, encode

_DIFFERENT = 4_000
"""Messages: no two in one block of a recording are the same."""
_WRITE = 1_000
"""Messages of a write, where they come as fast as they can."""
_MAX_REQUEST_BYTES = 1 << 20
_key = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE).search


class Peer:
    """A client: its handshake, then its requests."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(STALL_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection = connection
        self._head = b""
        self._splitter: Splitter | None = None

    def answer(self) -> bool:
        """Accept the handshake, grant requests; False when the client has left."""
        try:
            data = self.connection.recv(1 << 16)
        except ConnectionError:
            return False
        if not data:
            return False
        if self._splitter is None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return True
            self.connection.sendall(accepted(head))
            self._splitter = Splitter(_MAX_REQUEST_BYTES, masked=True)
        for request in self._splitter.feed(data).payloads:
            self.connection.sendall(encode(granted(request)))
        return not self._splitter.finished


def accepted(head: bytes) -> bytes:
    """The answer to a handshake's request; raises ValueError for what is none."""
    key = _key(head)
    if key is None:
        raise ValueError("this is no WebSocket handshake")
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + generate_accept_token(key[1]) + b"\r\n\r\n"
    )


def granted(request: bytes) -> bytes:
    """Binance's answer to a request that it grants."""
    number = msgspec.json.decode(request)["id"]
    return msgspec.json.encode({"result": None, "id": number})


def main() -> None:
    """Serve until stdin ends."""
    pattern = frames(_DIFFERENT)
    peers: list[Peer] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as ready:
        say(listener.getsockname()[1])
        ready.register(listener, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is listener:
                    peer = Peer(listener.accept()[0])
                    peers.append(peer)
                    ready.register(peer.connection, selectors.EVENT_READ, peer)
                elif key.data is not None:
                    if not key.data.answer():
                        ready.unregister(key.fileobj)
                        peers.remove(key.data)
                        key.data.connection.close()
                elif words := sys.stdin.readline().split():
                    _send(peers[-1].connection, pattern, *words)
                else:
                    return


def _send(
    connection: socket.socket, pattern: list[bytes], how: str, seconds: str, rate: str = ""
) -> None:
    begin_ns = time.monotonic_ns()
    if how == "flood":
        sent = flood(connection, pattern, float(seconds))
    else:
        sent = pace(connection, pattern, float(seconds), int(rate))
    say(begin_ns, sent)


def flood(connection: socket.socket, pattern: list[bytes], seconds: float) -> int:
    """Send whole writes until the time is over; gives how many messages."""
    writes = [b"".join(pattern[at : at + _WRITE]) for at in range(0, len(pattern), _WRITE)]
    end = time.monotonic() + seconds
    sent = 0
    for write in cycle(writes):
        connection.sendall(write)
        sent += len(write) // FRAME_BYTES
        if time.monotonic() >= end:
            break
    return sent


def pace(connection: socket.socket, pattern: list[bytes], seconds: float, rate: int) -> int:
    """Send so many messages a second, at least one; gives how many.

    Each has the time at which this process woke up for it; but where the one before could not be
    written any sooner, the time when it was due: who makes the source wait is late.
    """
    clock, step_ns = time.monotonic_ns, 10**9 // rate
    count = max(1, int(seconds * rate))
    due_ns = woke_ns = clock()
    for _, frame in zip(range(count), cycle(pattern), strict=False):
        if (wait_ns := due_ns - clock()) > 0:
            time.sleep(wait_ns / 1e9)
            woke_ns = clock()
        connection.sendall(stamped(frame, max(due_ns, woke_ns)))
        due_ns += step_ns
    return count


if __name__ == "__main__":
    main()
