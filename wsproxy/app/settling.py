"""Prepares, when there is time, what those who join late are told first."""

from __future__ import annotations

import trio

from wsproxy.hub.hub import Hub

_REST_SECONDS = 0.05


async def settle(hub: Hub) -> None:
    """Have the hub prepare what is due, a little in each turn of the event loop."""
    while True:
        if hub.settle():
            await trio.lowlevel.checkpoint()
        else:
            await trio.sleep(_REST_SECONDS)
