"""A whole book of Binance spot, kept as its clients are told to keep it.

The venue's "How to manage a local order book correctly" (Spot API docs, web socket streams,
2026-09-24): quantities in an event are absolute, and 0 removes the level. Prices and quantities
stay the venue's own text.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

import msgspec

from wsproxy.venues.jsontext import BAD_JSON

_Levels = list[tuple[str, str]]


class _Body(msgspec.Struct):
    last: int = msgspec.field(name="lastUpdateId")
    bids: _Levels
    asks: _Levels


class _Update(msgspec.Struct):
    last: int = msgspec.field(name="u")
    bids: _Levels = msgspec.field(name="b")
    asks: _Levels = msgspec.field(name="a")


class _Envelope(msgspec.Struct):
    data: _Update | None = None


_body = msgspec.json.Decoder(_Body).decode
_update = msgspec.json.Decoder(_Update).decode
_envelope = msgspec.json.Decoder(_Envelope).decode


class BinanceBook:
    """A book that begins with the body of a depth snapshot; ValueError where that is none."""

    def __init__(self, body: bytes) -> None:
        try:
            start = _body(body)
        except BAD_JSON as error:
            raise ValueError(f"no depth snapshot: {error}") from None
        self.number = start.last
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        _apply(self._bids, start.bids)
        _apply(self._asks, start.asks)

    def feed(self, payload: bytes) -> None:
        """Take in a ``depthUpdate``, raw or combined; ValueError where it is none."""
        try:
            update = _envelope(payload).data or _update(payload)
        except BAD_JSON as error:
            raise ValueError(f"no depth update: {error}") from None
        _apply(self._bids, update.bids)
        _apply(self._asks, update.asks)
        self.number = update.last

    def text(self, levels: int) -> str:
        """The body of a depth snapshot with so many levels of each side, the best first.

        ValueError where a price is no number.
        """
        body = _Body(
            self.number,
            sorted(self._bids.items(), key=_price, reverse=True)[:levels],
            sorted(self._asks.items(), key=_price)[:levels],
        )
        return msgspec.json.encode(body).decode()


def _apply(side: dict[str, str], levels: Iterable[tuple[str, str]]) -> None:
    for price, quantity in levels:
        if quantity.strip("0."):
            side[price] = quantity
        else:
            side.pop(price, None)  # the venue removes levels that nobody has been told of


def _price(level: tuple[str, str]) -> Decimal:
    try:
        return Decimal(level[0])
    except InvalidOperation:
        raise ValueError(f"{level[0]!r} is no price") from None
