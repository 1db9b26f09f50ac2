"""What generated traffic is made of: chance, a clock, an order book, the spelling of numbers."""

from __future__ import annotations

import json
from random import Random
from typing import NamedTuple

START_NS = 1_788_264_000_000_000_000
"""2026-09-01 12:00:00 UTC."""
MS = 1_000_000
UNIT = 100_000_000
"""Prices and quantities are counted in units of 1e-8."""


class Event(NamedTuple):
    """One message: when it arrived, ns after ``START_NS``, and on which streams."""

    offset_ns: int
    venue: str
    streams: tuple[str, ...]
    text: str


class Instrument(NamedTuple):
    """What is traded; tick and lot in units of 1e-8."""

    name: str
    price: int
    """First price, in ticks."""
    tick: int
    lot: int
    size: int
    """Typical quantity, in lots."""
    pace_ms: int
    """Mean time between two changes of the book."""


class Dice:
    """Whole numbers from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random

    def below(self, end: int) -> int:
        """A number from 0 to end - 1."""
        return int(self._random() * end)


class Trade(NamedTuple):
    price: int
    lots: int
    buyer_is_maker: bool


class Market:
    """An order book in ticks and lots that changes one level at a time and never crosses."""

    def __init__(self, instrument: Instrument, dice: Dice) -> None:
        self.instrument = instrument
        self._dice = dice
        self.sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
        """Bids and asks: lots by price."""
        for side, sign in enumerate((-1, 1)):
            price = instrument.price
            for _ in range(60):
                price += sign * (1 + dice.below(4))
                self.sides[side][price] = self._lots()
        self.changed: dict[tuple[int, int], int] = {}
        """What changed since somebody last took it: (side, price) to lots, 0 for none."""

    def best(self) -> tuple[int, int, int, int]:
        """Bid, its lots, ask, its lots."""
        bid, ask = max(self.sides[0]), min(self.sides[1])
        return bid, self.sides[0][bid], ask, self.sides[1][ask]

    def levels(self, side: int) -> list[tuple[int, int]]:
        """Price and lots, best first."""
        return sorted(self.sides[side].items(), reverse=side == 0)

    def step(self) -> Trade | None:
        """Change one level; the trade, if it was one."""
        side, what = self._dice.below(2), self._dice.below(100)
        bid, _, ask, _ = self.best()
        touch, sign = (bid, -1) if side == 0 else (ask, 1)
        if what < 16:
            lots = min(1 + self._lots() // 3, self.sides[side][touch])
            self._set(side, touch, self.sides[side][touch] - lots)
            return Trade(touch, lots, side == 0)
        if what < 26 and ask - bid > 1:
            self._set(side, touch - sign, self._lots())
        elif what < 40:
            prices = [price for price, _ in self.levels(side)]
            self._set(side, prices[self._dice.below(8)], 0)
        else:
            self._set(side, touch + sign * self._dice.below(25), self._lots())
        return None

    def take_changes(self, side: int) -> list[tuple[int, int]]:
        """The changed levels of a side, best first; they count as told."""
        found = [(price, lots) for (at, price), lots in self.changed.items() if at == side]
        for price, _ in found:
            del self.changed[side, price]
        return sorted(found, reverse=side == 0)

    def _lots(self) -> int:
        size = self.instrument.size
        return 1 + self._dice.below(size) * (1 + self._dice.below(4)) // 2

    def _set(self, side: int, price: int, lots: int) -> None:
        levels = self.sides[side]
        if lots:
            levels[price] = lots
        else:
            del levels[price]
        self.changed[side, price] = lots
        if len(levels) < 40:
            far = min(levels) - 3 if side == 0 else max(levels) + 3
            levels[far] = self.changed[side, far] = self._lots()


class Clock:
    """Arrival times: the event's millisecond and some delay, never backwards."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice
        self._last = 0

    def arrival(self, at_ms: int) -> int:
        self._last = max(self._last + 1_000, at_ms * MS + 200_000 + self._dice.below(700_000))
        return self._last


def epoch_ms(at_ms: int) -> int:
    """Milliseconds since the Unix epoch."""
    return START_NS // MS + at_ms


def utc(offset_ns: int, digits: int) -> str:
    """A time of the session's first hour, with so many digits of the second."""
    seconds, ns = divmod(offset_ns, 1_000 * MS)
    fraction = f"{ns:09d}"[:digits]
    return f"2026-09-01T12:{seconds // 60:02d}:{seconds % 60:02d}.{fraction}Z"


def padded(units: int) -> str:
    """Binance prints eight decimals."""
    return f"{units // UNIT}.{units % UNIT:08d}"


def short(units: int) -> str:
    """Coinbase prints no trailing zeros."""
    return padded(units).rstrip("0").rstrip(".")


def compact(body: object) -> str:
    """JSON as the venues print it."""
    return json.dumps(body, separators=(",", ":"))
