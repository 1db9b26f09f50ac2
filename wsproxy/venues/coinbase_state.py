"""What a client that joins a Coinbase stream late is told first.

A state keeps the venue's last snapshot and the messages since then (the last one of a ticker, a
hundred of trades) as they came, and folds them together later: feeding costs next to nothing.
Whoever has time lets it fold a slice (``settle``); the rest is folded when somebody asks or the
backlog grows large. A snapshot after which nothing came is given back byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Protocol

import msgspec

from wsproxy.venues import coinbase_frames as frames
from wsproxy.venues.base import Body, State
from wsproxy.venues.jsontext import BAD_JSON, Fields

_BACKLOG_BYTES = 1024 * 1024
_SETTLED_BYTES = 64 * 1024
"""What is folded in no time (1 ms), and need not be before somebody asks."""
_SLICE = 2_000
"""Levels that are folded in one go (about 1 ms)."""
_TRADES = 100
_CANDLES = 100
"""As many as the venue's own snapshots hold (recorded session of 2026-08-09)."""


_CHANNEL = len(b'{"channel"')

_BAD = (*BAD_JSON, KeyError, ValueError, InvalidOperation, frames.Unreadable)
"""What a fold raises for a message that it cannot read."""

_END = object()


class Fold(Protocol):
    """The content of one stream, brought up to date message by message."""

    def take(self, message: bytes) -> Iterator[None]:
        """Take in a message of this stream only, snapshot or update; a long one in several steps.

        Raises what ``_BAD`` lists where it cannot be read.
        """

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


_EXACT = 15
"""Numbers of so many digits are different as floats if they are different at all."""


def _exact(text: str) -> float | Decimal:
    """A number that equals every other spelling of it."""
    short = text.strip("0") if "." in text else text
    return float(text) if len(short) <= _EXACT else Decimal(short)


class _BookEvent(msgspec.Struct, gc=False):
    type: str
    product_id: str
    updates: list[Level]


class _BookFrame(msgspec.Struct, gc=False):
    events: list[_BookEvent]


_book_frame = msgspec.json.Decoder(_BookFrame).decode


class Book:
    """A whole order book: bids from the best down, then offers from the best up."""

    def __init__(self) -> None:
        self._product = ""
        self._bids: dict[float | Decimal, Level] = {}
        self._offers: dict[float | Decimal, Level] = {}

    def take(self, message: bytes) -> Iterator[None]:
        """Set levels; one of quantity zero goes, and need not have been there."""
        for event in _book_frame(message).events:
            if event.type == "snapshot":
                self._bids.clear()
                self._offers.clear()
            self._product = event.product_id
            levels = event.updates
            for start in range(0, len(levels), _SLICE):
                if start:
                    yield
                self._set(levels[start : start + _SLICE])

    def _set(self, levels: Iterable[Level]) -> None:
        bids, offers = self._bids, self._offers
        for level in levels:
            side = bids if level.side == "bid" else offers
            text = level.price_level
            price = float(text) if len(text) <= _EXACT else _exact(text)
            if not isfinite(price):
                raise ValueError(f"a price of {text}")
            quantity = level.new_quantity
            if quantity != "0" and quantity.strip("0."):
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

    def take(self, message: bytes) -> Iterator[None]:
        """Put an event's trades, which are newest first themselves, before the others."""
        for event in frames.opened(message)[2]:
            if _is_snapshot(event):
                self._trades.clear()
            self._trades.extendleft(reversed(frames.items("market_trades", event)))
        yield from ()

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

    def take(self, message: bytes) -> Iterator[None]:
        """Replace candles of the same start."""
        for event in frames.opened(message)[2]:
            if _is_snapshot(event):
                self._candles.clear()
            for candle in frames.items("candles", event):
                start = msgspec.json.decode(candle, type=Fields)["start"]
                self._candles[msgspec.json.decode(start, type=int, strict=False)] = candle
        while len(self._candles) > _CANDLES:
            del self._candles[min(self._candles)]
        yield from ()

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

    def take(self, message: bytes) -> Iterator[None]:
        """Keep the last item."""
        for event in frames.opened(message)[2]:
            self._item = frames.items(self._channel, event)[-1:] or self._item
        yield from ()

    def event(self) -> object:
        """``{"type":"snapshot","tickers":[...]}``, or ``products``."""
        return {"type": "snapshot", frames.ITEMS[self._channel]: self._item}

    def content(self) -> object:
        """The item as it came."""
        return [bytes(item) for item in self._item]


class LateJoin:
    """The late-join state of one stream.

    ``most`` says how many of the last messages tell everything; None if each of them may.
    """

    def __init__(self, stream: str, fold: Callable[[], Fold], most: int | None = None) -> None:
        self._wanted = frozenset((stream,))
        self._new_fold = fold
        self._most = most
        self._forget()

    def _forget(self) -> None:
        # Either a message that says everything up to the backlog, or a fold that does, or neither.
        self._message: bytes | None = None
        self._fold: Fold | None = None
        self._members: Fields = {}
        self._backlog: deque[bytes] = deque(maxlen=self._most)
        self._backlog_bytes = 0
        """Taken in since the last fold."""
        self._is_mixed = False
        """Messages of the backlog may tell of other streams, too."""
        self._folding: Iterator[None] | None = None
        """What is left of a fold that has begun; until its end nothing else may look."""

    def feed(self, payload: bytes) -> None:
        """Take in one message; before the venue's first snapshot nothing is known."""
        if b'"snapshot"' in payload:
            try:
                payload = frames.own(payload, self._wanted)
            except frames.Unreadable:
                self._forget()
                return
        else:
            self._is_mixed = True
        self.feed_alone(payload)

    def feed_alone(self, payload: bytes) -> None:
        """Take in a message that says nothing of other streams."""
        # Mostly there is no h behind "channel", and a single byte is found much faster.
        if payload.find(b"h", _CHANNEL) >= 0 and b'"snapshot"' in payload:
            self._forget()
            self._message = payload
        elif self._message is not None or self._fold is not None:
            self._backlog.append(payload)
            self._backlog_bytes += len(payload)
            if self._backlog_bytes > _BACKLOG_BYTES:
                self._fold_backlog()

    def settle(self) -> bool:
        """Fold a slice, if folding all would take long; whether there is more to fold."""
        if self._folding is None:
            due_bytes = len(self._message or b"") + self._backlog_bytes
            if not self._backlog or due_bytes < _SETTLED_BYTES:
                return False
            self._folding = self._slices()
        if next(self._folding, _END) is _END:
            self._folding = None
        return self._folding is not None

    def snapshot(self) -> Body | None:
        """The state as one snapshot message, with the time of the last message taken in."""
        if self._backlog or self._folding is not None:
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
        deque(self._folding or self._slices(), maxlen=0)
        self._folding = None

    def _slices(self) -> Iterator[None]:
        """Fold everything, a slice at each step; what comes meanwhile is folded, too."""
        try:
            last, folded_bytes = self._message, 0
            if self._fold is None:
                self._fold = self._new_fold()
                last = self._message or b""
                yield from self._fold.take(last)
                folded_bytes = len(last)
            self._message = None
            while self._backlog:
                message = self._backlog.popleft()
                self._backlog_bytes -= len(message)
                last = frames.own(message, self._wanted) if self._is_mixed else message
                yield from self._fold.take(last)
                folded_bytes += len(message)
                if folded_bytes > _SETTLED_BYTES:
                    yield
                    folded_bytes = 0
            self._backlog_bytes = 0
            self._is_mixed = False
            if last is not None:
                self._members = frames.opened(last)[0]
        except _BAD:
            # What cannot be read may have changed anything: wait for the next snapshot.
            self._forget()


def late_join(stream: str) -> LateJoin | None:
    """A fresh state for this stream; None for heartbeats, which tell a late joiner nothing."""
    channel = stream.partition(":")[0]
    match channel:
        case "level2":
            return LateJoin(stream, Book)
        case "market_trades":
            return LateJoin(stream, Trades, _TRADES)
        case "candles":
            return LateJoin(stream, Candles)
        case "ticker" | "ticker_batch" | "status":
            return LateJoin(stream, lambda: Latest(channel), 1)
    return None


def _plain(quantity: str) -> str:
    return quantity.rstrip("0").rstrip(".") if "." in quantity else quantity


def _is_snapshot(event: Fields) -> bool:
    return bytes(event["type"]) == b'"snapshot"'
