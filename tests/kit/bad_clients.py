"""Clients that do not do what clients should: ``python -m tests.kit.bad_clients URL KIND COUNT``.

Run so, it prints ``ready`` when all are connected. A line on stdin makes rude ones leave, one after
the other; the end of stdin, all.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

from websockets.client import ClientProtocol
from websockets.uri import parse_uri

Kind = Literal["good", "deaf", "slow", "mute", "rude"]
"""What they do: read everything; stop reading; read 1 KB a second; read, and answer no ping; leave
in the middle of a frame.

None of them answers a ping, but a good one is not here for long enough to be asked twice.
"""

_PATIENCE_S = 30
_TICK_S = 0.05
_SLOW_BYTES = 51
"""In each tick: 1 KB in a second."""
_RECEIVE_BUFFER = 32 << 10
"""So that the kernel takes little on behalf of those who do not read."""
_HALF_A_FRAME = b"\x81\xfe\x10\x00\0\0\0\0only the beginning"
_CLOSE = 0x88
_LONGEST_CLOSE = 2 + 125


class BadClient:
    """One of them, connected; ``address`` is what the proxy sees of it."""

    def __init__(self, url: str, kind: Kind) -> None:
        self.kind = kind
        self.received = 0
        """Bytes behind the handshake."""
        self.is_over = False
        """Whether the proxy has closed the connection."""
        uri = parse_uri(url)
        self._socket = socket.socket()
        if kind in ("deaf", "slow"):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.settimeout(_PATIENCE_S)
        self._socket.connect((uri.host, uri.port))
        self.address = "{}:{}".format(*self._socket.getsockname())
        self._tail = b""
        protocol = ClientProtocol(uri)
        protocol.send_request(protocol.connect())
        self._socket.sendall(b"".join(protocol.data_to_send()))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._socket.recv(1)
        protocol.receive_data(head)
        if protocol.handshake_exc is not None:
            raise protocol.handshake_exc
        self._socket.setblocking(False)

    @property
    def closed(self) -> tuple[int, str]:
        """Code and reason of the close frame; 1006 where none came before the end."""
        for size in range(min(len(self._tail), _LONGEST_CLOSE), 3, -1):
            frame = self._tail[-size:]
            if frame[:2] == bytes((_CLOSE, size - 2)):
                return int.from_bytes(frame[2:4], "big"), frame[4:].decode()
        return 1006, ""

    def step(self) -> None:
        """Do what this kind does in a tick."""
        match self.kind:
            case "good" | "mute":
                self.read()
            case "slow":
                self.read(_SLOW_BYTES)

    def read(self, most: int | None = None) -> None:
        """Read what is there, up to so many bytes."""
        left = sys.maxsize if most is None else most
        while left and not self.is_over:
            try:
                data = self._socket.recv(min(left, 1 << 20))
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self.is_over = not data
            self.received += len(data)
            self._tail = (self._tail + data[-_LONGEST_CLOSE:])[-_LONGEST_CLOSE:]
            left -= len(data)

    def leave_rudely(self) -> None:
        """Send half a frame and be gone."""
        self._socket.setblocking(True)
        self._socket.sendall(_HALF_A_FRAME)
        self._socket.close()
        self.is_over = True

    def close(self) -> None:
        """Be gone."""
        self._socket.close()


@contextmanager
def bad_clients(url: str, kinds: list[Kind]) -> Iterator[list[BadClient]]:
    """Clients of these kinds, each doing what it does in a thread until the block is left."""
    clients = [BadClient(url, kind) for kind in kinds]
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(_TICK_S):
            for client in clients:
                client.step()

    thread = threading.Thread(target=run, name="bad clients", daemon=True)
    thread.start()
    try:
        yield clients
    finally:
        stopping.set()
        thread.join(_PATIENCE_S)
        for client in clients:
            client.close()


def read_to_end(client: BadClient) -> tuple[int, str]:
    """Let a client read again, as fast as it can, to the end; how the connection ended."""
    client.kind = "deaf"  # the thread leaves it alone from now on
    until = time.monotonic() + _PATIENCE_S
    while not client.is_over:
        if time.monotonic() > until:
            raise TimeoutError(f"{client.address} is not closed")
        client.read()
        time.sleep(0.001)
    return client.closed


def main() -> None:
    """Run clients of one kind."""
    url, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    kinds: list[Kind] = [known for known in get_args(Kind) if known == kind] * count
    with bad_clients(url, kinds) as clients:
        print("ready", flush=True)
        for _ in sys.stdin:
            for client in clients:
                if client.kind == "rude":
                    time.sleep(_TICK_S)
                    client.leave_rudely()


if __name__ == "__main__":
    main()
