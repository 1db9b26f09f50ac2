"""What one writes without wsproxy: ``python -m tests.bench.plain_server RECORDING CLIENTS``.

A trio-websocket server that has read all messages, waits for its clients, and sends each message
to each of them, one task a client. Prints its port, and ``playing to`` them when it begins.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

import wsproxy

_SETTLE_SECONDS = 0.2


class Server:
    """Sends everything to everybody, once all are there."""

    def __init__(self, messages: list[str], clients: int) -> None:
        self._messages = messages
        self._clients = clients
        self._missing = clients
        self._complete = trio.Event()
        self._began = trio.Event()
        self._left = trio.Event()

    async def run(self) -> None:
        """Until everybody got everything."""
        async with trio.open_nursery() as nursery:
            server = await nursery.start(serve_websocket, self._serve, "127.0.0.1", 0, None)
            print(server.port, flush=True)
            await self._complete.wait()
            await trio.sleep(_SETTLE_SECONDS)
            self._began.set()
            print(f"playing to {self._clients} client(s)", flush=True)
            await self._left.wait()
            nursery.cancel_scope.cancel()

    async def _serve(self, request: WebSocketRequest) -> None:
        async with await request.accept() as client:
            await client.get_message()
            await client.send_message('{"result":null,"id":1}')
            self._missing -= 1
            if not self._missing:
                self._complete.set()
            await self._began.wait()
            with suppress(ConnectionClosed):  # it has all it wants
                for message in self._messages:
                    await client.send_message(message)
        self._missing += 1
        if self._missing == self._clients:
            self._left.set()


if __name__ == "__main__":
    recorded = [message.text for message in wsproxy.open(sys.argv[1]).messages()]
    trio.run(Server(recorded, int(sys.argv[2])).run)
