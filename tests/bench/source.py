"""A venue with few clients: ``python -m tests.bench.source STREAMS SIZES [CERTIFICATE]``.

Prints its port; grants whatever is asked for. A client gets the messages of the streams that it
asked for, or of all if it asked for none. A line on stdin makes it send so many messages, and print
the monotonic time, ns, at which it began:

- ``flood MESSAGES``: as fast as the sockets take them;
- ``pace MESSAGES RATE FILE``: one by one, so many a second, to the one client; the file gets the
  monotonic time, ns, of each.
"""

from __future__ import annotations

import json
import selectors
import socket
import ssl
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from tests.bench.load import PIECE, STALL_SECONDS, frame, names, onward, pattern

_LARGE = 4 * PIECE
"""Messages of a write, where there are enough."""


def main() -> None:
    """Serve until stdin ends."""
    streams, sizes, *certificate = sys.argv[1:]
    frames = list(map(frame, pattern(int(streams), sizes)))
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    peers: list[Peer] = []
    sent = 0
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as ready:
        print(listener.getsockname()[1], flush=True)
        ready.register(listener, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is listener:
                    peer = Peer(_accepted(listener, context))
                    peers.append(peer)
                    ready.register(peer.connection, selectors.EVENT_READ, peer)
                elif key.data is not None:
                    if not key.data.answer():
                        ready.unregister(key.fileobj)
                        peers.remove(key.data)
                elif line := sys.stdin.readline():
                    send(peers, frames, int(streams), line.split(), sent)
                    sent += int(line.split()[1])
                else:
                    return


def _accepted(listener: socket.socket, context: ssl.SSLContext | None) -> socket.socket:
    connection, _ = listener.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.settimeout(STALL_SECONDS)
    return connection if context is None else context.wrap_socket(connection, server_side=True)


class Peer:
    """A client."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.wanted: set[str] = set()
        self._protocol = ServerProtocol()

    def answer(self) -> bool:
        """Accept the handshake, grant requests; False when the client has left."""
        data = self.connection.recv(1 << 20)
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                request = json.loads(bytes(event.data))
                self.wanted.update(request.get("params", ()))
                answer = {"result": None, "id": request["id"]}
                self._protocol.send_text(json.dumps(answer).encode())
        self.connection.sendall(b"".join(self._protocol.data_to_send()))
        return bool(data)


def send(
    peers: Sequence[Peer], frames: list[bytes], streams: int, words: Sequence[str], sent: int = 0
) -> None:
    """Do what a line on stdin says; so many messages were sent before."""
    messages = int(words[1])
    if words[0] == "flood":
        if len(peers) > 1:  # a relay may move a stream, and tells its messages by their numbers
            frames = [onward(frames, streams, at) for at in range(sent, sent + messages)]
        else:
            sent = 0
        writes = list(_writes(peers, frames, streams, messages, sent))
        begin_ns = time.monotonic_ns()
        for connection, data in writes:
            connection.sendall(data)
    else:
        (peer,) = peers
        begin_ns = time.monotonic_ns()
        pace(peer.connection, islice(cycle(frames), messages), int(words[2]), Path(words[3]))
    print(begin_ns, flush=True)


def _writes(
    peers: Sequence[Peer], frames: list[bytes], streams: int, messages: int, first: int
) -> Iterator[tuple[socket.socket, bytes]]:
    """What to send to whom, in order; the pattern again and again, in the same objects.

    ``first`` is the number of the first frame: streams come in turn.
    """
    known: dict[tuple[int, int], list[tuple[socket.socket, bytes]]] = {}
    shares = [(peer.connection, _share(peer.wanted, streams)) for peer in peers]
    for at in range(0, messages, _LARGE):
        run = at % len(frames), min(_LARGE, messages - at)
        if run not in known:
            numbers = range(run[0], run[0] + run[1])
            known[run] = [
                (
                    connection,
                    b"".join([frames[n] for n in numbers if (first + n) % streams in share]),
                )
                for connection, share in shares
            ]
        yield from known[run]


def _share(wanted: set[str], streams: int) -> set[int]:
    """The numbers of the wanted streams."""
    return {n for n, name in enumerate(names(streams)) if not wanted or name in wanted}


def pace(connection: socket.socket, frames: Iterator[bytes], rate: int, path: Path) -> None:
    """Send so many messages a second; the file gets the time, ns, at which each could be sent.

    That is when this process woke up for it; but where the one before could not be written any
    sooner, when it was due: a relay that makes its source wait is late.
    """
    times = array("q")
    clock, step_ns = time.monotonic_ns, 10**9 // rate
    due_ns = woke_ns = clock()
    for data in frames:
        if (wait_ns := due_ns - clock()) > 0:
            time.sleep(wait_ns / 1e9)
            woke_ns = clock()
        times.append(max(due_ns, woke_ns))
        connection.sendall(data)
        due_ns += step_ns
    path.write_bytes(times.tobytes())


if __name__ == "__main__":
    main()
