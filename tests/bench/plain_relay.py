"""What one writes without wsproxy: ``python -m tests.bench.plain_relay URL [AUTHORITY]``.

A relay on trio-websocket, as its documentation suggests: one task a client, which sends it each
message. It neither routes nor records, and waits for slow clients. Prints its port.
"""

from __future__ import annotations

import ssl
import sys
from functools import partial

import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    open_websocket_url,
    serve_websocket,
)

_QUEUE_MESSAGES = 1_000


class Relay:
    """Sends every message to every client."""

    def __init__(self) -> None:
        self._queues: set[trio.MemorySendChannel[str | bytes]] = set()

    async def run(self, url: str, authority: str | None = None) -> None:
        """Relay until the source closes."""
        context = None if authority is None else ssl.create_default_context(cafile=authority)
        async with open_websocket_url(url, context) as source, trio.open_nursery() as nursery:
            serve = partial(serve_websocket, self._serve, "127.0.0.1", 0, ssl_context=None)
            server = await nursery.start(serve)
            print(server.port, flush=True)
            while True:
                message = await source.get_message()
                for queue in list(self._queues):
                    await queue.send(message)

    async def _serve(self, request: WebSocketRequest) -> None:
        client = await request.accept()
        queue, messages = trio.open_memory_channel[str | bytes](_QUEUE_MESSAGES)
        self._queues.add(queue)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send_all, client, messages)
                while True:
                    await client.get_message()
                    await client.send_message('{"result":null,"id":1}')
        except* ConnectionClosed:
            pass
        finally:
            self._queues.discard(queue)


async def _send_all(
    client: WebSocketConnection, messages: trio.MemoryReceiveChannel[str | bytes]
) -> None:
    async for message in messages:
        await client.send_message(message)


if __name__ == "__main__":
    trio.run(partial(Relay().run, *sys.argv[1:]))
