"""A venue that sends as fast as its one client reads: ``python -m tests.bench.source``.

Prints its port; grants whatever is asked for. For each line on stdin, a number of messages, it
sends so many and prints the monotonic time, ns, at which it began.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.bench.load import STALL_SECONDS, chunks, cut


def main() -> None:
    """Serve one client until stdin ends."""
    runs = chunks()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(STALL_SECONDS)
    protocol = ServerProtocol()
    with connection, selectors.DefaultSelector() as ready:
        ready.register(connection, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if ready.select()[0][0].fileobj is connection:
                if not _answer(connection, protocol):
                    return
            elif line := sys.stdin.readline():
                begin_ns = time.monotonic_ns()
                for run in cut(runs, int(line)):
                    connection.sendall(run)
                print(begin_ns, flush=True)
            else:
                return


def _answer(connection: socket.socket, protocol: ServerProtocol) -> bool:
    """Accept the handshake, grant requests; False when the client has left."""
    data = connection.recv(65536)
    protocol.receive_data(data)
    for event in protocol.events_received():
        if isinstance(event, Request):
            protocol.send_response(protocol.accept(event))
        elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
            answer = {"result": None, "id": json.loads(bytes(event.data))["id"]}
            protocol.send_text(json.dumps(answer).encode())
    connection.sendall(b"".join(protocol.data_to_send()))
    return bool(data)


if __name__ == "__main__":
    main()
