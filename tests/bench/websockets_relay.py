"""A relay on websockets: ``python -m tests.bench.websockets_relay URL [AUTHORITY]``.

Prints its port. Its ``broadcast``, which encodes a frame once for all clients, without compression,
on uvloop, with the C extension. It neither routes nor records. uvloop sets TCP_NODELAY; websockets
offers no write for several messages.
"""

from __future__ import annotations

import ssl
import sys

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, broadcast, serve

clients: set[ServerConnection] = set()


async def _serve(client: ServerConnection) -> None:
    clients.add(client)
    try:
        async for _ in client:
            await client.send('{"result":null,"id":1}')
    finally:
        clients.discard(client)


async def main(url: str, authority: str | None = None) -> None:
    """Relay until the source closes."""
    context = None if authority is None else ssl.create_default_context(cafile=authority)
    async with (
        connect(url, ssl=context, compression=None, max_size=None, ping_interval=None) as source,
        serve(_serve, "127.0.0.1", 0, compression=None, ping_interval=None) as server,
    ):
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        while True:
            broadcast(clients, await source.recv(decode=False), text=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
