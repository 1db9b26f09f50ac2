"""A relay on picows: ``python -m tests.bench.picows_relay URL [AUTHORITY]``. Prints its port.

Its core interface, not the one that imitates ``websockets``, and uvloop, as its authors recommend.
It neither routes nor records. picows sets TCP_NODELAY, compresses nothing, and writes each frame at
once where the socket takes it; it offers no write for several.
"""

from __future__ import annotations

import ssl
import sys

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

_ANSWER = b'{"result":null,"id":1}'

clients: set[WSTransport] = set()


class Client(WSListener):
    """Gets every message; what it says is answered."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        clients.add(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            transport.send(WSMsgType.TEXT, _ANSWER)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        clients.discard(transport)


class Source(WSListener):
    """Sends every message to every client."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_memoryview()
            for client in clients:
                client.send(WSMsgType.TEXT, payload)


def _accept(_: WSUpgradeRequest) -> WSListener:
    return Client()


async def main(url: str, authority: str | None = None) -> None:
    """Relay until the source closes."""
    context = None if authority is None else ssl.create_default_context(cafile=authority)
    source, _ = await ws_connect(Source, url, ssl_context=context)
    server = await ws_create_server(_accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await source.wait_disconnected()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
