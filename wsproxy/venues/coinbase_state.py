"""What a client that joins a Coinbase stream late is told first.

A state keeps the venue's last snapshot and the messages since then as they came, and folds them
together only when somebody asks or the backlog grows large: feeding costs next to nothing. A
snapshot after which nothing came is given back byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Protocol

import msgspec

from wsproxy.venues import coinbase_frames as frames
from wsproxy.venues.base import Body, State
from wsproxy.venues.jsontext import BAD_JSON, Fields

_BACKLOG_BYTES = 1024 * 1024
_TRADES = 100
_CANDLES = 100
"""As many as the venue's own snapshots hold (recorded session of 2026-08-09)."""


class Fold(Protocol):
    """The content of one stream, brought up to date event by event."""

    def take(self, event: Fields) -> None:
        """Take in one event of this stream, snapshot or update."""

    def event(self) -> object:
        """The snapshot event that says the same as everything taken in."""

    def content(self) -> object:
        """A value that is equal where the content is, however it came about."""


class Level(msgspec.Struct, gc=False):
    """One price level, its members in the venue's order, its numbers as the venue's text."""

    side: str
    event_time: str
    price_level: str
    new_quantity: str


_levels = msgspec.json.Decoder(list[Level]).decode


class Book:
    """A whole order book: bids from the best down, then offers from the best up."""

    def __init__(self) -> None:
        self._product = msgspec.Raw()
        self._bids: dict[Decimal, Level] = {}
        self._offers: dict[Decimal, Level] = {}

    def take(self, event: Fields) -> None:
        """Set levels; one of quantity zero goes, and need not have been there."""
        if _is_snapshot(event):
            self._bids.clear()
            self._offers.clear()
        self._product = event["product_id"]
        for level in _levels(event["updates"]):
            side = self._bids if level.side == "bid" else self._offers
            price = Decimal(level.price_level)
            if not price.is_finite():
                raise InvalidOperation(f"a price of {level.price_level}")
            if level.new_quantity.strip("0."):
                side[price] = level
            else:
                side.pop(price, None)

    def event(self) -> object:
        """``{"type":"snapshot","product_id":...,"updates":[...]}``."""
        bids = [self._bids[price] for price in sorted(self._bids, reverse=True)]
        offers = [self._offers[price] for price in sorted(self._offers)]
        return {"type": "snapshot", "product_id": self._product, "updates": bids + offers}

    def content(self) -> object:
        """Prices and quantities as numbers; a snapshot gives all levels one ``event_time``."""
        return [
            {price: _plain(level.new_quantity) for price, level in side.items()}
            for side in (self._bids, self._offers)
        ]


class Trades:
    """The last hundred trades, newest first."""

    def __init__(self) -> None:
        self._trades: deque[msgspec.Raw] = deque(maxlen=_TRADES)

    def take(self, event: Fields) -> None:
        """Put the event's trades, which are newest first themselves, before the others."""
        if _is_snapshot(event):
            self._trades.clear()
        self._trades.extendleft(reversed(frames.items("market_trades", event)))

    def event(self) -> object:
        """``{"type":"snapshot","trades":[...]}``."""
        return {"type": "snapshot", "trades": list(self._trades)}

    def content(self) -> object:
        """The trades as they came."""
        return [bytes(trade) for trade in self._trades]


class Candles:
    """The last hundred candles, by their start."""

    def __init__(self) -> None:
        self._candles: dict[int, msgspec.Raw] = {}

    def take(self, event: Fields) -> None:
        """Replace candles of the same start."""
        if _is_snapshot(event):
            self._candles.clear()
        for candle in frames.items("candles", event):
            start = msgspec.json.decode(candle, type=Fields)["start"]
            self._candles[msgspec.json.decode(start, type=int, strict=False)] = candle
        while len(self._candles) > _CANDLES:
            del self._candles[min(self._candles)]

    def event(self) -> object:
        """``{"type":"snapshot","candles":[...]}``."""
        candles = [self._candles[start] for start in sorted(self._candles)]
        return {"type": "snapshot", "candles": candles}

    def content(self) -> object:
        """The candles as they came."""
        return {start: bytes(candle) for start, candle in self._candles.items()}


class Latest:
    """The last item of a stream each of whose items says everything."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._item: list[msgspec.Raw] = []

    def take(self, event: Fields) -> None:
        """Keep the event's last item."""
        self._item = frames.items(self._channel, event)[-1:] or self._item

    def event(self) -> object:
        """``{"type":"snapshot","tickers":[...]}``, or ``products``."""
        return {"type": "snapshot", frames.ITEMS[self._channel]: self._item}

    def content(self) -> object:
        """The item as it came."""
        return [bytes(item) for item in self._item]


class LateJoin:
    """The late-join state of one stream."""

    def __init__(self, stream: str, fold: Callable[[], Fold]) -> None:
        self._wanted = frozenset((stream,))
        self._new_fold = fold
        self._forget()

    def _forget(self) -> None:
        # Either a message that says everything up to the backlog, or a fold that does, or neither.
        self._message: bytes | None = None
        self._fold: Fold | None = None
        self._members: Fields = {}
        self._backlog: list[bytes] = []
        self._backlog_bytes = 0

    def feed(self, payload: bytes) -> None:
        """Take in one message; before the venue's first snapshot nothing is known."""
        try:
            mine = frames.own(payload, self._wanted)
        except frames.Unreadable:
            self._forget()
            return
        if b'"snapshot"' in mine:
            self._forget()
            self._message = mine
        elif self._message is not None or self._fold is not None:
            self._backlog.append(mine)
            self._backlog_bytes += len(mine)
            if self._backlog_bytes > _BACKLOG_BYTES:
                self._fold_backlog()

    def snapshot(self) -> Body | None:
        """The state as one snapshot message, with the time of the last message taken in."""
        if self._backlog:
            self._fold_backlog()
        if self._message is None and self._fold is not None:
            self._message = frames.closed(self._members, [self._fold.event()])
        return None if self._message is None else frames.numbered(self._message)

    def same(self, other: State) -> bool:
        """Whether both know the same content, or both know nothing."""
        if not isinstance(other, LateJoin):
            return False
        return self._content() == other._content()

    def _content(self) -> object:
        message = None if self._backlog else self._message
        if self._fold is None and self._message is None:
            return None
        self._fold_backlog()
        self._message = message
        return None if self._fold is None else self._fold.content()

    def _fold_backlog(self) -> None:
        try:
            if self._fold is None:
                self._fold = self._new_fold()
                self._take(self._fold, self._message or b"")
            for message in self._backlog:
                self._take(self._fold, message)
        except (*BAD_JSON, KeyError, InvalidOperation, frames.Unreadable):
            # What cannot be read may have changed anything: wait for the next snapshot.
            self._forget()
        else:
            self._message = None
            self._backlog.clear()
            self._backlog_bytes = 0

    def _take(self, fold: Fold, message: bytes) -> None:
        self._members, _, events = frames.opened(message)
        for event in events:
            fold.take(event)


def late_join(stream: str) -> LateJoin | None:
    """A fresh state for this stream; None for heartbeats, which tell a late joiner nothing."""
    channel = stream.partition(":")[0]
    match channel:
        case "level2":
            return LateJoin(stream, Book)
        case "market_trades":
            return LateJoin(stream, Trades)
        case "candles":
            return LateJoin(stream, Candles)
        case "ticker" | "ticker_batch" | "status":
            return LateJoin(stream, lambda: Latest(channel))
    return None


def _plain(quantity: str) -> str:
    return quantity.rstrip("0").rstrip(".") if "." in quantity else quantity


def _is_snapshot(event: Fields) -> bool:
    return bytes(event["type"]) == b'"snapshot"'
