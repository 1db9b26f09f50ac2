"""What Binance spot tells by REST only: whole books, the list of markets, its clock."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import msgspec

from wsproxy.venues.base import Past, RestAnswer, RestRequest
from wsproxy.venues.binance_answers import INFO, answer, symbol_of
from wsproxy.venues.binance_book import BinanceBook
from wsproxy.venues.binance_session import shown
from wsproxy.venues.jsontext import BAD_JSON

_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1000, 50))
_MOST_DEPTH_WEIGHT = 250
"""By the number of levels; the fact with its source stands in the profile."""


class _Snapshot(msgspec.Struct):
    last: int = msgspec.field(name="lastUpdateId")


class _Time(msgspec.Struct):
    ms: int = msgspec.field(name="serverTime")


_snapshot = msgspec.json.Decoder(_Snapshot).decode
_time = msgspec.json.Decoder(_Time).decode


class BinanceRest:
    """``/api/v3``, as far as recordings and replays need it."""

    once = (RestRequest(INFO, 20),)
    time = RestRequest("/api/v3/time", 1)

    def time_ns(self, body: bytes) -> int | None:
        """``serverTime``, which has milliseconds."""
        try:
            return _time(body).ms * 1_000_000
        except BAD_JSON:
            return None

    def snapshot(self, stream: str, depth: int) -> RestRequest | None:
        """The whole book of a diff stream's symbol; every other stream stands for itself."""
        symbol, _, kind = shown(stream).partition("@")
        if kind.partition("@")[0] != "depth":
            return None
        weights = (weight for levels, weight in _DEPTH_WEIGHTS if depth <= levels)
        path = f"/api/v3/depth?symbol={quote(symbol.upper())}&limit={depth}"
        return RestRequest(path, next(weights, _MOST_DEPTH_WEIGHT))

    def number(self, body: bytes) -> int | None:
        """``lastUpdateId``: the stream goes on with the event that holds the number after it."""
        try:
            return _snapshot(body).last
        except BAD_JSON:
            return None

    def concerns(self, url: str, stream: str) -> bool | None:
        """By the parameter ``symbol``."""
        try:
            symbols = parse_qs(urlsplit(url).query).get("symbol")
        except ValueError:
            return None
        return None if symbols is None else symbols[0].upper() == symbol_of(stream)

    def book(self, body: bytes) -> BinanceBook:
        """A book from ``lastUpdateId``, ``bids`` and ``asks``."""
        return BinanceBook(body)

    def answer(self, path: str, query: str, past: Past) -> RestAnswer | None:
        """Everything below ``/api/``."""
        return answer(path, query, past)
