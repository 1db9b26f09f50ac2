"""All clients of one measurement: ``python -m tests.bench.sinks URL CLIENTS STREAMS``.

Each asks for so many streams; for none, if the URL names them. (``nats`` in the place of STREAMS:
they are a NATS server's.) Prints ``ready`` when every client has its answers, hence its
subscriptions. For each line on stdin, a number of bytes and perhaps a file, it prints the monotonic
time, ns, at which the last of so many bytes had come to the last client; the file gets what came
when to whom (``arrivals``), then it prints ``written``. Clients count bytes only, as cheaply as
they can: all sizes are known. They answer no pings. Ends with an error if a client is closed, gets
more than that, or waits for too long.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from websockets.client import ClientProtocol
from websockets.frames import Frame
from websockets.uri import parse_uri

from tests.bench.load import STALL_SECONDS, names

_LIST = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
_PING = 0x89
_PINGS_FROM_NS = time.monotonic_ns() + 15 * 10**9
"""No client is pinged before; looking for pings costs time."""
_PER_REQUEST = 1_000
"""Streams."""


class Client:
    """A socket, which does not block, and what has come to it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.missing = 0
        """Bytes that are still to come."""
        self.arrivals = array("q")
        """In turn: monotonic time in ns, bytes still missing then."""
        self.counted: Callable[[bytearray, int], int] = self._beside_pings
        """How many bytes count, of so many that have come."""

    @staticmethod
    def _beside_pings(data: bytearray, size: int) -> int:
        # No other byte of the messages or of their heads is like the first of a ping.
        counted, behind = size, 0
        if time.monotonic_ns() > _PINGS_FROM_NS:
            while (at := data.find(_PING, behind, size)) >= 0:
                behind = at + 2 + data[at + 1]
                counted -= behind - at
        return counted


def main() -> None:
    """Connect, count, report."""
    url, clients, streams = sys.argv[1:]
    if streams == "nats":
        from tests.bench.nats import subscribers

        sinks = subscribers(url, int(clients))
    else:
        requests = _requests(int(streams))
        sinks = [Client(connect(url, requests)[0]) for _ in range(int(clients))]
    print("ready", flush=True)
    for line in sys.stdin:
        size, *file = line.split()
        print(_count(sinks, int(size)), flush=True)
        for path in file:
            _write_arrivals(sinks, Path(path))
            print("written", flush=True)


def _requests(streams: int) -> Sequence[str]:
    if not streams:
        return [_LIST]
    wanted = names(streams)
    return [
        json.dumps({"method": "SUBSCRIBE", "params": wanted[at : at + _PER_REQUEST], "id": 1})
        for at in range(0, streams, _PER_REQUEST)
    ]


def connect(url: str, requests: Sequence[str] = (_LIST,)) -> tuple[socket.socket, ClientProtocol]:
    """A client that has its answers; its socket does not block."""
    connection, protocol = handshake(url)
    for request in requests:
        protocol.send_text(request.encode())
        answer = exchange(connection, protocol)
        if "error" in json.loads(answer):
            raise ValueError(f"refused: {answer!r}")
    connection.setblocking(False)
    return connection, protocol


def handshake(
    url: str, context: ssl.SSLContext | None = None
) -> tuple[socket.socket, ClientProtocol]:
    """An open connection, over TLS if there is a context; its socket blocks."""
    uri = parse_uri(url)
    protocol = ClientProtocol(uri)
    protocol.send_request(protocol.connect())
    connection = socket.create_connection((uri.host, uri.port), timeout=STALL_SECONDS)
    if context is not None:
        connection = context.wrap_socket(connection, server_hostname=uri.host)
    _events(connection, protocol)
    if protocol.handshake_exc is not None:
        raise protocol.handshake_exc
    return connection, protocol


def exchange(connection: socket.socket, protocol: ClientProtocol) -> bytes:
    """Send what is to be sent; give what the frames hold that come back at once."""
    events = _events(connection, protocol)
    return b"".join(bytes(event.data) for event in events if isinstance(event, Frame))


def _events(connection: socket.socket, protocol: ClientProtocol) -> Sequence[object]:
    connection.sendall(b"".join(protocol.data_to_send()))
    while True:
        data = connection.recv(65536)
        protocol.receive_data(data)
        if events := protocol.events_received():
            return events
        if not data:
            raise ConnectionError("closed before it answered")


def _count(sinks: Sequence[Client], size: int) -> int:
    """The time at which every client had received so many bytes."""
    buffer = bytearray(1 << 20)
    clock = time.monotonic_ns
    with selectors.DefaultSelector() as ready:
        for sink in sinks:
            sink.missing, sink.arrivals = size, array("q")
            ready.register(sink.connection, selectors.EVENT_READ, sink)
        while ready.get_map():
            events = ready.select(STALL_SECONDS)
            if not events:
                most = max(sink.missing for sink in sinks)
                raise TimeoutError(f"a client waits for {most} more bytes")
            for key, _ in events:
                sink = key.data
                received = sink.connection.recv_into(buffer)
                if not received:
                    raise ConnectionError(f"closed {sink.missing} bytes before the end")
                sink.missing -= sink.counted(buffer, received)
                sink.arrivals.extend((clock(), sink.missing))
                if sink.missing <= 0:
                    ready.unregister(sink.connection)
    end_ns = clock()
    if any(sink.missing or _has_more(sink, buffer) for sink in sinks):
        raise ValueError("a client got more than was sent")
    return end_ns


def _has_more(sink: Client, buffer: bytearray) -> bool:
    try:
        return sink.counted(buffer, sink.connection.recv_into(buffer)) > 0
    except BlockingIOError:
        return False


def _write_arrivals(sinks: Sequence[Client], path: Path) -> None:
    with path.open("wb") as file:
        for sink in sinks:
            array("q", [len(sink.arrivals)]).tofile(file)
            sink.arrivals.tofile(file)


def arrivals(data: bytes) -> Iterator[array[int]]:
    """Of each client, in turn: monotonic time in ns, bytes that were still to come then."""
    numbers = array("q", data)
    at = 0
    while at < len(numbers):
        size = numbers[at]
        yield numbers[at + 1 : at + 1 + size]
        at += 1 + size


if __name__ == "__main__":
    main()
