"""All clients of one measurement: ``python -m tests.bench.sinks URL CLIENTS MESSAGES``.

Prints ``ready`` when every client has an answer to a request, hence its subscriptions; then the
monotonic time, ns, at which the last byte of so many messages had come to the last client. They
count bytes only, as cheaply as they can: every message has the same size. Ends with an error if a
client is closed, gets more, or waits for too long.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from tests.bench.load import FRAME_BYTES, STALL_SECONDS

_REQUEST = b'{"method":"LIST_SUBSCRIPTIONS","id":1}'


def main() -> None:
    """Connect, count, report."""
    url, clients, messages = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    sockets = [connect(url)[0] for _ in range(clients)]
    print("ready", flush=True)
    print(_count(sockets, messages * FRAME_BYTES), flush=True)


def connect(url: str) -> tuple[socket.socket, ClientProtocol]:
    """A client that has its subscriptions; its socket does not block."""
    uri = parse_uri(url)
    protocol = ClientProtocol(uri)
    protocol.send_request(protocol.connect())
    connection = socket.create_connection((uri.host, uri.port), timeout=STALL_SECONDS)
    _exchange(connection, protocol)
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    protocol.send_text(_REQUEST)
    answer = _exchange(connection, protocol)
    assert isinstance(answer, Frame), answer
    connection.setblocking(False)
    return connection, protocol


def _exchange(connection: socket.socket, protocol: ClientProtocol) -> object:
    """Send what is to be sent; give what comes back."""
    connection.sendall(b"".join(protocol.data_to_send()))
    while True:
        data = connection.recv(65536)
        protocol.receive_data(data)
        for event in protocol.events_received():
            return event
        if not data:
            raise ConnectionError("closed before it answered")


def _count(sockets: list[socket.socket], size: int) -> int:
    """The time at which every socket had received so many bytes."""
    buffer = bytearray(1 << 20)
    left = dict.fromkeys(sockets, size)
    with selectors.DefaultSelector() as ready:
        for connection in sockets:
            ready.register(connection, selectors.EVENT_READ, connection)
        while ready.get_map():
            events = ready.select(STALL_SECONDS)
            if not events:
                raise TimeoutError(f"a client waits for {max(left.values())} more bytes")
            for key, _ in events:
                connection = key.data
                received = connection.recv_into(buffer)
                if not received:
                    raise ConnectionError(f"closed {left[connection]} bytes before the end")
                left[connection] -= received
                if left[connection] <= 0:
                    ready.unregister(connection)
    end_ns = time.monotonic_ns()
    for connection in sockets:
        if left[connection] or _has_more(connection):
            raise ValueError("a client got more than was sent")
    return end_ns


def _has_more(connection: socket.socket) -> bool:
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return False


if __name__ == "__main__":
    main()
