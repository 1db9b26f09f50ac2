"""What a client asks for, in one of the ways that its venue knows, and what it has to receive.

The last request of every client only asks for a list, so that its last reply says: ready.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from tests.kit.exchange_coinbase import only
from tests.kit.peer import Cue
from tests.kit.strategy import Strategy, TradingFloor

_NUMBER = re.compile(r'"sequence_num":\d+,')


class Wish(NamedTuple):
    """One client: the path behind the venue's, its requests, the streams that it gets so."""

    path: str
    requests: tuple[str, ...]
    streams: frozenset[str]
    raw: bool = False
    """Binance: whether it sees payloads without their envelope."""

    def join(self, floor: TradingFloor, venue_url: str) -> Strategy:
        """Connect a client with this wish."""
        return floor.strategy(venue_url + self.path, self.requests)


def binance(streams: Sequence[str], *, how: str = "url", raw: bool = True) -> Wish:
    """A Binance client; ``how`` is url, message, or both (the first stream by either way)."""
    by_url = {"url": streams, "message": (), "both": streams[:1]}[how]
    names = "/".join(by_url)
    path = ("/ws" + "/" * bool(names) if raw else "/stream?streams=") + names
    requests = () if how == "url" else (request("SUBSCRIBE", *streams, id=1),)
    listing = request("LIST_SUBSCRIPTIONS", id="ready")
    return Wish(path.removesuffix("?streams="), (*requests, listing), frozenset(streams), raw)


def some_binance(dice: Random, streams: Sequence[str]) -> Wish:
    """A Binance client that wants some of these streams, in some way."""
    chosen = dice.sample(streams, dice.randint(1, min(8, len(streams))))
    how = dice.choice(["url", "message", "both"])
    return binance(chosen, how=how, raw=dice.random() < 0.5)


def request(method: str, *params: str, id: object = 1) -> str:  # noqa: A002  the venue's word
    """One Binance request."""
    return json.dumps({"method": method, "params": params, "id": id})


def coinbase(streams: Iterable[str]) -> Wish:
    """A Coinbase client: one request for each channel."""
    channels: dict[str, list[str]] = {}
    for stream in streams:
        channel, _, product = stream.partition(":")
        channels.setdefault(channel, []).extend([product] if product else [])
    requests = [
        json.dumps({"type": "subscribe", "product_ids": products, "channel": channel})
        for channel, products in channels.items()
    ]
    return Wish("", tuple(requests), frozenset(streams))


def some_coinbase(dice: Random, streams: Sequence[str]) -> Wish:
    """A Coinbase client that wants some of these streams."""
    return coinbase(dice.sample(streams, dice.randint(1, len(streams))))


def binance_data(wish: Wish, cues: Iterable[Cue]) -> list[str]:
    """The messages of its streams, as this client sees them."""
    return [
        cue.text[cue.text.index('"data":') + 7 : -1] if wish.raw else cue.text
        for cue in cues
        if cue.streams[0] in wish.streams
    ]


def coinbase_data(wish: Wish, cues: Iterable[Cue]) -> list[str]:
    """The messages of its streams, without numbers: what is not its own is cut out."""
    found = []
    for cue in cues:
        mine = [stream for stream in cue.streams if stream in wish.streams]
        if len(mine) == len(cue.streams):
            found.append(cue.text)
        elif mine:
            found.append(only(cue.text, {stream.partition(":")[2] for stream in mine}))
    return found


def replies(received: Iterable[str | bytes]) -> list[str]:
    """The answers to requests among what a client received."""
    return [text for text in received if isinstance(text, str) and _is_reply(text)]


def data(received: Iterable[str | bytes]) -> list[str | bytes]:
    """All the rest."""
    return [text for text in received if not (isinstance(text, str) and _is_reply(text))]


def unnumbered(received: Iterable[str | bytes]) -> list[str]:
    """Coinbase messages without their sequence numbers."""
    return [_NUMBER.sub("", text, count=1) for text in received if isinstance(text, str)]


def _is_reply(text: str) -> bool:
    return text.startswith(('{"result":', '{"error":', '{"channel":"subscriptions"'))
