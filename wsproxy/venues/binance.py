"""Binance spot: ``wss://stream.binance.com``, public market data.

Upstream connections are always combined (``/stream``), so that each message names its stream; a
client that sees raw messages gets the payload sliced out of the original bytes.

Names of streams are kept as they were given: Binance does not fold case either (a stream with an
upper-case symbol is granted and stays silent). ``timeUnit=MICROSECOND`` is a switch of a whole
connection; streams behind it are told apart by a suffix that only the hub sees.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter

import msgspec

from wsproxy.config import Mirror
from wsproxy.venues.base import (
    Acknowledged,
    Body,
    Data,
    Denied,
    Mark,
    Notice,
    Numbers,
    Reading,
    Session,
    State,
    Unknown,
)
from wsproxy.venues.binance_marks import mark, numbers
from wsproxy.venues.binance_private import API_HOST, API_PATH, BinanceApiSession
from wsproxy.venues.binance_rest import BinanceRest
from wsproxy.venues.binance_session import MICROSECONDS, BinanceSession, is_stream, shown
from wsproxy.venues.jsontext import BAD_JSON
from wsproxy.venues.profile import Fact, Pings, Profile, Rate

_SECOND = 1_000_000_000
_HOUR = 3600 * _SECOND
_REQUEST_BYTES = 4096
_DOCS = "https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams"

PROFILE = Profile(
    name="binance",
    title="Binance spot",
    url="wss://stream.binance.com:9443",
    streams_per_connection=1024,
    streams_per_request=200,
    requests=Rate(5, _SECOND),
    connects=Rate(300, 300 * _SECOND),
    silence_ns=60 * _SECOND,
    keepalive=None,
    max_message_bytes=16 * 1024 * 1024,
    bytes_per_request=_REQUEST_BYTES,
    max_age_ns=24 * _HOUR,
    rotate_ns=23 * _HOUR,
    penalty_ns=120 * _SECOND,
    mirrors=(
        Mirror("wss://stream.binance.com:443", 1),
        Mirror("wss://data-stream.binance.vision", 1),
    ),
    private_hosts=((API_PATH, API_HOST),),
    pings=Pings(every_ns=20 * _SECOND, patience_ns=60 * _SECOND),
    replaced=r"[^!@]+@(bookTicker|miniTicker|ticker(_\w+)?|avgPrice|depth(5|10|20)(@100ms)?)"
    + f"({re.escape(MICROSECONDS)})?",
    rest_url="https://api.binance.com",
    rest_weight=Rate(6000, 60 * _SECOND),
    rest_used="x-mbx-used-weight-1m",
    facts=(
        Fact(
            "the same streams at stream.binance.com, ports 9443 and 443, and, market data only, "
            "at data-stream.binance.vision",
            _DOCS,
            "2026-09-24",
            ("mirrors",),
        ),
        Fact(
            "at most 1024 streams per connection", _DOCS, "2026-09-24", ("streams_per_connection",)
        ),
        Fact(
            "at most 5 messages per second from the client, pings and pongs counted; "
            "beyond that close 1008, and bans for repetition",
            _DOCS,
            "2026-09-24",
            ("requests", "too_fast"),
        ),
        Fact(
            "that limit is a strict window without burst: 250 ms apart works, 220 ms does not",
            "https://github.com/QuantConnect/Lean/issues/5583",
            "2026-09-17",
            ("requests",),
        ),
        Fact(
            "who goes on after close 1008 is shut out for about 2 minutes",
            "https://github.com/nautechsystems/nautilus_trader/issues/5012",
            "2026-09-17",
            ("penalty_ns",),
        ),
        Fact(
            "at most 300 connection attempts per 5 minutes and IP address",
            _DOCS,
            "2026-09-24",
            ("connects",),
        ),
        Fact(
            "the server pings every 20 s and wants the pong within 60 s",
            _DOCS,
            "2026-09-24",
            ("pings", "silence_ns"),
        ),
        Fact(
            "a connection lives for 24 h at most; it is replaced an hour before",
            _DOCS,
            "2026-09-24",
            ("max_age_ns", "rotate_ns"),
        ),
        Fact(
            "orders and accounts are at ws-api.binance.com, /ws-api/v3",
            "https://developers.binance.com/docs/binance-spot-api-docs/websocket-api",
            "2026-09-24",
            ("private_hosts",),
        ),
        Fact(
            "a symbol's bookTicker, miniTicker, ticker, avgPrice and partial book state all there "
            "is in each message; the arrays of all symbols only what changed, and the last message "
            "of a candle is its close",
            _DOCS,
            "2026-09-24",
            ("replaced",),
        ),
        Fact("serverShutdown is announced, without a fixed lead time", _DOCS, "2026-06-09"),
        Fact(
            "REST requests of an IP address may weigh 6000 a minute; beyond that HTTP 429, then "
            "418 and a ban of 2 minutes to 3 days, both with Retry-After",
            "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits",
            "2026-09-24",
            ("rest_url", "rest_weight", "rest_used"),
        ),
        Fact(
            "a depth snapshot weighs 5 up to 100 levels, 25 up to 500, 50 up to 1000, 250 up to "
            "5000; exchangeInfo weighs 20, time 1",
            "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/"
            "market-data-endpoints",
            "2026-09-24",
        ),
        Fact(
            "no limit of streams or bytes per SUBSCRIBE is published; client libraries send 100 "
            "to 250 streams, about 4 KB",
            "https://github.com/nautechsystems/nautilus_trader",
            "2026-09-17",
            ("streams_per_request", "bytes_per_request"),
        ),
    ),
)

_SHUTDOWN = "!serverShutdown"

# The envelope as Binance writes it. Anything else (spaces, another order) goes the slow way.
_STREAM, _DATA = b'{"stream":"', b',"data":'
_envelope = re.compile(rb'(\{"stream":"([^"\\]+)"),"data":').match
_head = re.compile(rb'\{"stream":"[^"\\]+"').fullmatch
_ENDS = (b"}}", b"]}")
_first = itemgetter(0)


# "All time and timestamp related fields are milliseconds by default", microseconds on request:
# _DOCS, 2026-09-24. Both have had these numbers of digits since 2001, and will until 2286. E comes
# before T in every message that has both. A quote inside a JSON string is escaped.
_event_time = re.compile(rb'"[ET]":(\d{13}(?:\d{3})?)\b').search
_NS_OF_DIGITS = {13: 1_000_000, 16: 1_000}


class _Error(msgspec.Struct):
    code: int | None = None
    msg: str = ""


class _Message(msgspec.Struct):
    """Any message of the venue; ``code`` and ``msg`` because the docs show errors unwrapped."""

    stream: str | None = None
    data: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: _Error | None = None
    id: int | str | None = None
    code: int | None = None
    msg: str = ""
    event: str | None = msgspec.field(default=None, name="e")


_decode = msgspec.json.Decoder(_Message).decode


class Binance:
    """The venue ``binance``."""

    profile = PROFILE
    rest = BinanceRest()

    def session(self, path: str, query: str) -> Session:
        """A client of ``/ws``, ``/stream`` or the trading API; raises PathRefused for others."""
        if path.startswith(API_PATH):
            return BinanceApiSession(f"{path}?{query}" if query else path)
        return BinanceSession(path, query)

    def render(self, payload: bytes, view: str, wanted: frozenset[str] | None) -> Body:
        """The message itself for a combined view, its payload for a raw one."""
        if view == "combined":
            return payload
        envelope = _envelope(payload)
        if envelope is not None and payload[-2:] in _ENDS:
            return payload[envelope.end() : -1]
        try:
            data = _decode(payload).data
        except BAD_JSON:
            return payload
        return payload if data is msgspec.UNSET else bytes(data)

    def render_all(self, payloads: Sequence[bytes], view: str) -> Sequence[Body]:
        """The messages themselves for a combined view, their payloads for a raw one."""
        if view == "combined":
            return payloads
        parts = list(map(bytes.partition, payloads, repeat(_DATA)))
        usual = set(filter(_head, set(map(_first, parts))))
        return [
            data[:-1] if data[-2:] in _ENDS and head in usual else self.render(payload, view, None)
            for payload, (head, _, data) in zip(payloads, parts, strict=True)
        ]

    def state(self, stream: str) -> State | None:
        """None: no Binance stream tells a late joiner anything."""
        return None

    def resnapshots(self, stream: str) -> bool:
        """False: a snapshot comes by REST only."""
        return False

    def stream(self, text: str) -> str:
        """The name as it is; raises ValueError where Binance has no stream of such a name."""
        name = shown(text)
        if not is_stream(name):
            raise ValueError(f"{text!r} names no Binance stream; an example is btcusdt@trade")
        symbol = name.partition("@")[0]
        if not name.startswith("!") and symbol != symbol.lower():
            raise ValueError(f"Binance writes symbols of streams in lower case, unlike {text!r}")
        return text

    def endpoint(self, stream: str) -> str:
        """The combined endpoint, with the time unit that the stream's name asks for."""
        return "/stream" + MICROSECONDS if stream.endswith(MICROSECONDS) else "/stream"

    def group(self, stream: str) -> str | None:
        """None: on a combined connection each message names its stream in full."""
        return None

    def batches(self, streams: Sequence[str]) -> list[tuple[str, ...]]:
        """At most 200 streams, and as many as fit into 4 KiB, a request."""
        batches: list[tuple[str, ...]] = []
        batch: list[str] = []
        size = 0
        for stream in streams:
            cost = len(msgspec.json.encode(shown(stream))) + 1
            if batch and (
                len(batch) == PROFILE.streams_per_request or size + cost > _REQUEST_BYTES
            ):
                batches.append(tuple(batch))
                batch = []
            if not batch:
                size = len(_request("UNSUBSCRIBE", (), 2**63))
            batch.append(stream)
            size += cost
        if batch:
            batches.append(tuple(batch))
        return batches

    def subscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        """``{"method":"SUBSCRIBE",...}``."""
        return _request("SUBSCRIBE", streams, request_id)

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        """``{"method":"UNSUBSCRIBE",...}``."""
        return _request("UNSUBSCRIBE", streams, request_id)

    def key(self, payload: bytes) -> bytes | None:
        """What stands before the data, ``{"stream":"btcusdt@trade"``."""
        envelope = _envelope(payload)
        return None if envelope is None or envelope[2] == b"!serverShutdown" else envelope[1]

    def keys(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """What stands before the data, whatever that is."""
        return list(map(_first, map(bytes.partition, payloads, repeat(_DATA))))

    def streams(self, key: bytes, endpoint: str) -> tuple[str, ...]:
        """The stream of this name on this endpoint; none where the name is not UTF-8."""
        try:
            return (_hub_name(key[len(_STREAM) : -1].decode(), endpoint),)
        except UnicodeDecodeError:
            return ()

    def mark(self, payload: bytes, stream: str) -> Mark:
        """Update and trade numbers; other streams have none."""
        return mark(payload, stream)

    def numbers(self, stream: str) -> Numbers | None:
        """Of book differences, trades and aggregate trades."""
        return numbers(stream)

    def sequence(self, payload: bytes) -> int | None:
        """None: Binance does not count the messages of a connection."""
        return None

    def event_time(self, payload: bytes) -> int | None:
        """``E``, the event's time, or ``T``, the trade's; book tickers and partial books have none.

        Whole ms, or µs where the connection asked for them: the number of digits tells.
        """
        found = _event_time(payload)
        return None if found is None else int(found[1]) * _NS_OF_DIGITS[len(found[1])]

    def read(self, payload: bytes, endpoint: str) -> Reading:
        """Understand any message, by decoding it."""
        try:
            message = _decode(payload)
        except BAD_JSON as error:
            return Unknown(f"not a message of Binance: {error}")
        if message.stream == _SHUTDOWN or message.event == "serverShutdown":
            return Notice("the server will shut down", is_leaving=True)
        if message.stream is not None and message.data is not msgspec.UNSET:
            return Data((_hub_name(message.stream, endpoint),))
        request_id = message.id if isinstance(message.id, int) else None
        if message.error is not None:
            return Denied(request_id, _why(message.error.code, message.error.msg))
        if message.code is not None:
            return Denied(request_id, _why(message.code, message.msg))
        if message.result is not msgspec.UNSET and request_id is not None:
            return Acknowledged(request_id)
        return Unknown("neither data nor the answer to a request")


def _why(code: int | None, msg: str) -> str:
    return f"{msg or 'refused without a reason'} (code {code})"


def _hub_name(name: str, endpoint: str) -> str:
    return name + MICROSECONDS if endpoint.endswith(MICROSECONDS) else name


def _request(method: str, streams: Sequence[str], request_id: int) -> bytes:
    return msgspec.json.encode(
        {"method": method, "params": [shown(stream) for stream in streams], "id": request_id}
    )
