"""Coinbase Advanced Trade: ``wss://advanced-trade-ws.coinbase.com``, public market data.

Streams are products on channels, ``level2:BTC-USD``; heartbeats is one without a product. A frame
can carry several of them, and every frame of a connection has the next ``sequence_num``, so that
clients get frames with numbers of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wsproxy.venues import coinbase_frames as frames
from wsproxy.venues.base import (
    Body,
    Data,
    Denied,
    Holding,
    Mark,
    Numbers,
    Reading,
    Same,
    Snapshot,
    State,
    Unknown,
)
from wsproxy.venues.coinbase_session import CoinbaseSession
from wsproxy.venues.coinbase_state import late_join
from wsproxy.venues.jsontext import BAD_JSON
from wsproxy.venues.profile import Fact, Profile, Rate

_SECOND = 1_000_000_000
_DOCS = "https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/websocket/"
_RECORDED = "https://github.com/bmoscon/cryptofeed (a session recorded there)"

PROFILE = Profile(
    name="coinbase",
    title="Coinbase Advanced Trade",
    url="wss://advanced-trade-ws.coinbase.com",
    streams_per_connection=None,
    streams_per_request=100,
    requests=Rate(8, _SECOND),
    connects=Rate(8, _SECOND),
    silence_ns=30 * _SECOND,
    keepalive=frames.HEARTBEATS,
    max_message_bytes=32 * 1024 * 1024,
    requests_per_ip=Rate(8, _SECOND),
    first_subscription_ns=5 * _SECOND,
    replaced=r"ticker(_batch)?:.+",
    facts=(
        Fact(
            "at most 8 connections and 8 unauthenticated messages per second and IP address",
            _DOCS + "websocket-rate-limits",
            "2026-09-24",
            ("connects", "requests", "requests_per_ip"),
        ),
        Fact(
            "the first subscription has to come within 5 s",
            _DOCS + "websocket-overview",
            "2026-09-24",
            ("first_subscription_ns",),
        ),
        Fact(
            "channels close after 60 to 90 s without updates unless heartbeats, one a second, "
            "are subscribed",
            _DOCS + "websocket-channels",
            "2026-09-24",
            ("keepalive", "silence_ns"),
        ),
        Fact(
            "no limit of subscriptions or of a connection's age is published, nor of products "
            "per request: 100 is ours",
            _DOCS + "websocket-overview",
            "2026-09-24",
            ("streams_per_request",),
        ),
        Fact(
            "a ticker states price, best bid and ask and the day's statistics, and is itself "
            "batched when matches cascade: nobody can count trades by it",
            "https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/websocket/ticker",
            "2026-11-22",
            ("replaced",),
        ),
        Fact(
            "a -USDC product on a public channel is the -USD one, but for USDT, EURC, XSGD, TGBP "
            "and AUDD",
            "https://api.coinbase.com/api/v3/brokerage/market/products",
            "2026-08-09",
        ),
        Fact(
            "sequence_num counts all frames of a connection from 0; replies to requests list "
            "everything held, channels sorted, and come after the snapshots",
            _RECORDED,
            "2026-08-09",
        ),
        Fact(
            "frames have no client_id any more; a level2 snapshot of BTC-USD has 5 MB",
            _RECORDED,
            "2026-08-09",
        ),
    ),
)


class _Event(msgspec.Struct):
    subscriptions: dict[str, list[str]]


class _Reply(msgspec.Struct):
    """What the venue says that is no market data."""

    type: str = ""
    message: str = ""
    reason: str = ""
    channel: str = ""
    events: msgspec.Raw = msgspec.Raw(b"[]")


_reply = msgspec.json.Decoder(_Reply).decode
_events = msgspec.json.Decoder(list[_Event]).decode


class Coinbase:
    """The venue ``coinbase``."""

    profile = PROFILE
    rest = None

    def session(self, path: str, query: str) -> CoinbaseSession:
        """A client of ``/``; raises PathRefused for any other address."""
        return CoinbaseSession(path, query)

    def render(self, payload: bytes, view: str, wanted: frozenset[str] | None) -> Body:
        """The frame, or what it holds of the wanted streams, to be numbered for each client."""
        if wanted is not None:
            try:
                payload = frames.only(payload, wanted)
            except frames.Unreadable:
                return payload
        return frames.numbered(payload)

    def render_all(self, payloads: Sequence[bytes], view: str) -> Sequence[Body]:
        """The frames, to be numbered for each client."""
        return list(map(frames.numbered, payloads))

    def state(self, stream: str) -> State | None:
        """The book, the last trades, candles, ticker or status; None for heartbeats."""
        return late_join(stream)

    def resnapshots(self, stream: str) -> bool:
        """True: each channel begins with a snapshot, and a heartbeat stands for itself."""
        return True

    def stream(self, text: str) -> str:
        """``level2:BTC-USD`` also for ``level2:BTC-USDC``; raises ValueError."""
        channel, _, product = text.partition(":")
        if text == frames.HEARTBEATS:
            return text
        if channel not in frames.PRODUCT_CHANNELS or not frames.is_product(product):
            channels = ", ".join(frames.PRODUCT_CHANNELS)
            raise ValueError(
                f"{text!r} names no Coinbase stream: write CHANNEL:PRODUCT as in level2:BTC-USD, "
                f"with one of the channels {channels}, or heartbeats alone"
            )
        return frames.stream_name(channel, product)

    def endpoint(self, stream: str) -> str:
        """``/`` for all streams."""
        return "/"

    def group(self, stream: str) -> str | None:
        """None: channel and product say all."""
        return None

    def batches(self, streams: Sequence[str]) -> list[tuple[str, ...]]:
        """One channel and at most 100 products a request."""
        channels: dict[str, list[str]] = {}
        for stream in streams:
            channels.setdefault(stream.partition(":")[0], []).append(stream)
        most = PROFILE.streams_per_request
        return [
            tuple(held[start : start + most])
            for held in channels.values()
            for start in range(0, len(held), most)
        ]

    def subscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        """``{"type":"subscribe",...}``; the venue knows no request ids."""
        return _request("subscribe", streams)

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        """``{"type":"unsubscribe",...}``."""
        return _request("unsubscribe", streams)

    def key(self, payload: bytes) -> bytes | None:
        """Channel and products, ``l2_data BTC-USD``; None for status, replies and the unusual."""
        return frames.key(payload)

    def keys(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """The key of each, or nothing."""
        return [frames.key(payload) or b"" for payload in payloads]

    def streams(self, key: bytes, endpoint: str) -> tuple[str, ...]:
        """``level2:BTC-USD`` for ``l2_data BTC-USD``."""
        return frames.streams(key)

    def mark(self, payload: bytes, stream: str) -> Mark:
        """The stream's events in the frame: time and number are the connection's own."""
        try:
            content = frames.content(payload, stream)
        except frames.Unreadable:
            return Same(payload)
        return Snapshot() if b'"snapshot"' in content else Same(content)

    def numbers(self, stream: str) -> Numbers | None:
        """None: the venue numbers the messages of a connection, not those of a stream."""
        return None

    def sequence(self, payload: bytes) -> int | None:
        """``sequence_num``, which counts the frames of a connection."""
        return frames.sequence(payload)

    def event_time(self, payload: bytes) -> int | None:
        """The frame's ``timestamp``."""
        return frames.event_time(payload)

    def read(self, payload: bytes, endpoint: str) -> Reading:
        """Understand any message, by decoding it."""
        try:
            reply = _reply(payload)
            if reply.type == "error":
                why = ": ".join(filter(None, (reply.message, reply.reason)))
                return Denied(None, why or "refused without a reason")
            if reply.channel == "subscriptions":
                return Holding(_held(reply.events))
            return Data(frames.names(*frames.products(payload)))
        except (*BAD_JSON, frames.Unreadable) as error:
            return Unknown(str(error))


def _held(events: msgspec.Raw) -> frozenset[str]:
    return frozenset(
        stream
        for event in _events(events)
        for channel, products in event.subscriptions.items()
        for stream in frames.names(channel, products)
    )


def _request(kind: str, streams: Sequence[str]) -> bytes:
    channel = streams[0].partition(":")[0]
    if channel == frames.HEARTBEATS:
        return msgspec.json.encode({"type": kind, "channel": channel})
    products = [stream.partition(":")[2] for stream in streams]
    return msgspec.json.encode({"type": kind, "product_ids": products, "channel": channel})
