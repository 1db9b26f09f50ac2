"""Coinbase frames as bytes: which streams one carries, its parts, its sequence number.

A frame is ``{"channel":...,"timestamp":...,"sequence_num":...,"events":[...]}``. An event of
``l2_data`` names its product itself; the others hold a list whose items name theirs, so that one
frame can carry several products.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import lru_cache

import msgspec

from wsproxy.venues.base import Body, Numbered
from wsproxy.venues.jsontext import BAD_JSON, Fields

HEARTBEATS = "heartbeats"
"""The one public channel without products, and the name of its stream."""

PRODUCT_CHANNELS = ("candles", "level2", "market_trades", "status", "ticker", "ticker_batch")
"""Public channels, as one subscribes to them."""

ITEMS = {
    "candles": "candles",
    "market_trades": "trades",
    "status": "products",
    "ticker": "tickers",
    "ticker_batch": "tickers",
}
"""Where the events of a channel keep their list of items."""

_DATA_NAMES = {"level2": "l2_data"}
_SUBSCRIBE_NAMES = {data: name for name, data in _DATA_NAMES.items()}

# In the venue's product list of 2026-08-09 (/api/v3/brokerage/market/products) each of the 405
# -USDC products is an alias of the -USD one, except these.
_NO_ALIAS = frozenset({"USDT-USDC", "EURC-USDC", "XSGD-USDC", "TGBP-USDC", "AUDD-USDC"})

_product = re.compile(r"[A-Z0-9]{1,32}(?:-[A-Z0-9]{1,32}){1,4}").fullmatch
_channel = re.compile(rb'\{"channel":"([a-z0-9_]+)",').match
_sequence = re.compile(rb'"sequence_num"\s*:\s*(\d{1,20})\b').search

_timestamp = re.compile(
    rb'"timestamp"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z"'
).search

# A frame up to its events, as the venue writes it. Anything else goes the slow way.
_head = re.compile(
    rb'\{"channel":"[a-z0-9_]+","timestamp":"[^"\\]*","sequence_num":\d+,"events":'
).match

_product_ids = re.compile(rb'"product_id"(?::"([A-Z0-9-]+)")?').findall
_QUICK = frozenset({b"l2_data", b"market_trades", b"ticker", b"ticker_batch", b"candles"})

# A frame up to its first product, as the venue writes it, and what is not behind that where it is
# the only one: the end of a list of levels before the frame's own end, or another item.
_EVENT = rb'","timestamp":"[^"\\]*","sequence_num":\d+,"events":\[\{"type":"[a-z]+",'
_PRODUCT = rb'"product_id":"([A-Z0-9-]+)"'
_ALONE = {
    b"l2_data": (_EVENT + _PRODUCT + rb',"updates":\[', b"]"),
    b"market_trades": (_EVENT + rb'"trades":\[\{' + _PRODUCT, b"{"),
    b"ticker": (_EVENT + rb'"tickers":\[\{"type":"ticker",' + _PRODUCT, b"{"),
    b"ticker_batch": (_EVENT + rb'"tickers":\[\{"type":"ticker",' + _PRODUCT, b"{"),
}
_first = re.compile(
    rb'\{"channel":"(?:%b)' % b"|".join(name + rest for name, (rest, _) in _ALONE.items())
).match
_NAMES = (b"", *(name + b" " for name in _ALONE))
_OTHERS = (b"", *(other for _, other in _ALONE.values()))
"""Both by the number of the group that holds the product."""
_CLOSING = -len(b"]}]}")

_new = tuple.__new__
"""What makes a NamedTuple: its own constructor is one call more."""


class Unreadable(Exception):
    """A frame is not one of market data; the text says why."""


def is_product(text: str) -> bool:
    """Whether this could be a product: ``BTC-USD``, ``BIT-28JUL23-CDE``."""
    return _product(text) is not None


def stream_name(channel: str, product: str) -> str:
    """The stream of a product on a channel, by the name of either side (``level2``, ``l2_data``).

    On public channels a -USDC product is its -USD one under another name.
    """
    channel = _SUBSCRIBE_NAMES.get(channel, channel)
    if product.endswith("-USDC") and product not in _NO_ALIAS:
        product = product[:-1]
    return f"{channel}:{product}"


def key(frame: bytes) -> bytes | None:
    """``l2_data BTC-USD``: the channel and, sorted, all products of the frame.

    None where looking at the bytes is not certain to tell. Inside a JSON string a quote is
    escaped, so ``"product_id"`` with its quotes can be nothing but a member's name.
    """
    first = _first(frame)
    if first is not None:
        group = first.lastindex or 0
        if frame.find(_OTHERS[group], first.end(), _CLOSING) < 0:
            return _NAMES[group] + first[group]
    channel = _channel(frame)
    if channel is None:
        return None
    name = channel[1]
    if name == b"heartbeats":
        return name
    if name not in _QUICK:
        return None
    products = set(_product_ids(frame, channel.end()))
    if not products or b"" in products:
        return None
    return b" ".join((name, *sorted(products)))


@lru_cache(maxsize=1024)
def streams(key: bytes) -> tuple[str, ...]:
    """The streams of a key, in its order."""
    channel, *products = key.decode().split(" ")
    return names(channel, products)


def names(channel: str, products: Iterable[str]) -> tuple[str, ...]:
    """The streams of these products, each once; ``heartbeats`` has none and is one."""
    if channel == HEARTBEATS:
        return (HEARTBEATS,)
    return tuple(dict.fromkeys(stream_name(channel, product) for product in products))


def opened(frame: bytes) -> tuple[Fields, str, list[Fields]]:
    """A frame's members, its channel by its subscribe name, and its events; raises Unreadable."""
    try:
        members = msgspec.json.decode(frame, type=Fields)
        channel = msgspec.json.decode(members["channel"], type=str)
        events = msgspec.json.decode(members["events"], type=list[Fields])
    except (*BAD_JSON, KeyError) as error:
        raise Unreadable(f"not a frame: {error}") from error
    return members, _SUBSCRIBE_NAMES.get(channel, channel), events


def closed(members: Fields, events: Iterable[object]) -> bytes:
    """The frame of these members with other events."""
    return msgspec.json.encode({**members, "events": list(events)})


def items(channel: str, event: Fields) -> list[msgspec.Raw]:
    """The items of an event; raises Unreadable."""
    try:
        return msgspec.json.decode(event[ITEMS[channel]], type=list[msgspec.Raw])
    except (*BAD_JSON, KeyError) as error:
        raise Unreadable(f"an event of {channel} without its list: {error}") from error


def product(channel: str, item: Fields | msgspec.Raw) -> str:
    """The product that an item (of ``level2``: an event) names; raises Unreadable."""
    try:
        fields = item if isinstance(item, dict) else msgspec.json.decode(item, type=Fields)
        token = fields["id" if channel == "status" else "product_id"]
        return msgspec.json.decode(token, type=str)
    except (*BAD_JSON, KeyError) as error:
        raise Unreadable(f"an event of {channel} names no product: {error}") from error


def products(frame: bytes) -> tuple[str, list[str]]:
    """The channel (by its subscribe name) and all products of a frame; raises Unreadable."""
    _, channel, events = opened(frame)
    if channel == HEARTBEATS:
        return channel, []
    if channel not in PRODUCT_CHANNELS:
        raise Unreadable(f"{channel} is no public channel")
    if channel == "level2":
        found = {product(channel, event) for event in events}
    else:
        found = {product(channel, item) for event in events for item in items(channel, event)}
    if not found:
        raise Unreadable(f"a frame of {channel} without a product")
    return channel, sorted(found)


def only(frame: bytes, wanted: Collection[str]) -> bytes:
    """The frame with nothing but the events and items of the wanted streams; raises Unreadable."""
    members, channel, events = opened(frame)
    if channel == "level2":
        kept = [
            event for event in events if stream_name(channel, product(channel, event)) in wanted
        ]
    else:
        kept = []
        for event in events:
            mine = [
                item
                for item in items(channel, event)
                if stream_name(channel, product(channel, item)) in wanted
            ]
            if mine:
                kept.append({**event, ITEMS[channel]: msgspec.Raw(msgspec.json.encode(mine))})
    return closed(members, kept)


def own(frame: bytes, wanted: frozenset[str]) -> bytes:
    """The frame itself where it has nothing but the wanted streams, else ``only``."""
    name = key(frame)
    return frame if name is not None and wanted.issuperset(streams(name)) else only(frame, wanted)


def content(frame: bytes, stream: str) -> bytes:
    """The stream's events in the frame, as text; raises Unreadable."""
    mine = own(frame, frozenset((stream,)))
    head = _head(mine)
    if head is not None and mine.endswith(b"]}"):
        text = mine[head.end() : -1]
    else:
        text = msgspec.json.encode(opened(mine)[2])
    if text == b"[]":
        raise Unreadable(f"a frame without {stream}")
    return text


def sequence(frame: bytes) -> int | None:
    """The frame's number, if it has one."""
    number = _sequence(frame)
    return None if number is None else int(number[1])


def event_time(frame: bytes) -> int | None:
    """The frame's timestamp, ns since the Unix epoch; None if it has none that can be read.

    ``2026-08-09T21:05:52.89675333Z``: up to nine decimals, zeros at the end left out (cryptofeed's
    recorded session of 2026-08-09).
    """
    found = _timestamp(frame)
    if found is None:
        return None
    seconds = _seconds(found[1])
    return None if seconds is None else seconds * 10**9 + int((found[2] or b"").ljust(9, b"0"))


@lru_cache(maxsize=64)
def _seconds(text: bytes) -> int | None:
    """Since the Unix epoch. Most frames come in the same second as the one before."""
    try:
        return int(datetime.fromisoformat(text.decode() + "+00:00").timestamp())
    except ValueError:
        return None


def numbered(frame: bytes) -> Body:
    """The frame with a place for the client's own sequence number."""
    number = _sequence(frame)
    if number is None:
        return frame
    start, end = number.span(1)
    return _new(Numbered, (frame[:start], frame[end:]))
