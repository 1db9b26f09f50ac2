"""The least that a relay in Python can do: ``python -m tests.bench.copy_relay URL [AUTHORITY]``.

Prints its port. After the handshakes it copies what comes from the source to every client, chunk by
chunk, and waits for who is slow. It looks at nothing: no peer, but what the machine can do at all.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import sys

from tests.bench.load import CHUNK_BYTES
from tests.bench.sinks import handshake
from tests.bench.source import Peer


def main(url: str, authority: str | None = None) -> None:
    """Relay until the source closes."""
    context = None if authority is None else ssl.create_default_context(cafile=authority)
    source, _ = handshake(url, context)
    source.settimeout(None)
    clients: list[socket.socket] = []
    buffer = memoryview(bytearray(CHUNK_BYTES))
    with socket.create_server(("127.0.0.1", 0)) as listener, selectors.DefaultSelector() as ready:
        print(listener.getsockname()[1], flush=True)
        ready.register(listener, selectors.EVENT_READ)
        ready.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fileobj is source:
                    chunk = buffer[: source.recv_into(buffer)]
                    if not chunk:
                        return
                    for client in clients:
                        client.sendall(chunk)
                elif key.fileobj is listener:
                    client, _ = listener.accept()
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    clients.append(client)
                    ready.register(client, selectors.EVENT_READ, Peer(client))
                elif not key.data.answer():
                    ready.unregister(key.fileobj)
                    clients.remove(key.data.connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
