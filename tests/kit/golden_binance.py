"""Generated Binance spot traffic."""

from __future__ import annotations

from typing import Any

from tests.kit.golden_market import (
    MS,
    UNIT,
    Clock,
    Dice,
    Event,
    Instrument,
    Market,
    Trade,
    compact,
    epoch_ms,
    padded,
)

SYMBOLS = (
    Instrument("BTCUSDT", 6_425_017, 1_000_000, 1_000, 40_000, 16),
    Instrument("ETHUSDT", 312_048, 1_000_000, 10_000, 25_000, 20),
    Instrument("SOLUSDT", 14_832, 1_000_000, 100_000, 40_000, 30),
    Instrument("BNBUSDT", 58_710, 1_000_000, 100_000, 6_000, 45),
    Instrument("XRPUSDT", 5_213, 10_000, 100 * MS, 900, 50),
    Instrument("DOGEUSDT", 10_312, 1_000, 100 * MS, 9_000, 60),
)


class Symbol:
    """One symbol's trade, bookTicker, depth@100ms, kline_1m and miniTicker."""

    def __init__(self, instrument: Instrument, dice: Dice) -> None:
        self.snapshot = ""
        """A REST depth body, taken between two deltas' borders."""
        self._market = Market(instrument, dice)
        self._instrument = instrument
        self._dice = dice
        self._clock = Clock(dice)
        self._update_id = 50_000_000_000 + instrument.price
        self._told_id = self._update_id
        self._trade_id = 3_700_000_000 + instrument.price
        self._candle: dict[str, int] = {}
        self._day = {"high": instrument.price + 900, "low": instrument.price - 900}
        self._volume = instrument.size * 50_000
        self._events: list[Event] = []

    def run(self, duration_ms: int) -> list[Event]:
        """The messages in order of arrival; sets ``snapshot``."""
        next_step, price = 0, self._instrument.price
        self._new_candle(price)
        for now in range(1, duration_ms + 1):
            while next_step <= now:
                next_step += 1 + self._dice.below(2 * self._instrument.pace_ms)
                price = self._step(now, price)
            if now % 100 == 0:
                self._tell_depth(now)
            if now == 350:
                self.snapshot = self._rest()
            if now % 1_000 == 0:
                self._tell_mini_ticker(now, price)
            if now % 2_000 == 0:
                self._tell_candle(now, price)
        return self._events

    def _step(self, now: int, price: int) -> int:
        before = self._market.best()
        trade = self._market.step()
        self._update_id += 1
        if trade:
            price = trade.price
            self._trade_id += 1
            self._count(trade)
            self._tell(
                now,
                "trade",
                {
                    "e": "trade",
                    "E": epoch_ms(now),
                    "s": self._instrument.name,
                    "t": self._trade_id,
                    "p": self._price(trade.price),
                    "q": self._quantity(trade.lots),
                    "T": epoch_ms(now),
                    "m": trade.buyer_is_maker,
                    "M": True,
                },
            )
        bid, bid_lots, ask, ask_lots = best = self._market.best()
        if best != before:
            self._tell(
                now,
                "bookTicker",
                {
                    "u": self._update_id,
                    "s": self._instrument.name,
                    "b": self._price(bid),
                    "B": self._quantity(bid_lots),
                    "a": self._price(ask),
                    "A": self._quantity(ask_lots),
                },
            )
        return price

    def _tell_depth(self, now: int) -> None:
        bids, asks = (
            [[self._price(price), self._quantity(lots)] for price, lots in changes]
            for changes in (self._market.take_changes(0), self._market.take_changes(1))
        )
        if bids or asks:
            body = {"e": "depthUpdate", "E": epoch_ms(now), "s": self._instrument.name}
            ids = {"U": self._told_id + 1, "u": self._update_id}
            self._told_id = self._update_id
            self._tell(now, "depth@100ms", {**body, **ids, "b": bids, "a": asks})

    def _rest(self) -> str:
        sides = {
            name: [[self._price(price), self._quantity(lots)] for price, lots in levels]
            for name, levels in (("bids", self._market.levels(0)), ("asks", self._market.levels(1)))
        }
        return compact({"lastUpdateId": self._update_id, **sides})

    def _new_candle(self, price: int) -> None:
        self._candle = {"open": price, "high": price, "low": price, "lots": 0, "value": 0}
        self._candle |= {"first": self._trade_id + 1, "taker_lots": 0, "taker_value": 0}

    def _count(self, trade: Trade) -> None:
        candle, value = self._candle, trade.lots * trade.price
        candle["high"] = max(candle["high"], trade.price)
        candle["low"] = min(candle["low"], trade.price)
        candle["lots"] += trade.lots
        candle["value"] += value
        if not trade.buyer_is_maker:
            candle["taker_lots"] += trade.lots
            candle["taker_value"] += value
        self._volume += trade.lots

    def _tell_candle(self, now: int, price: int) -> None:
        candle, minute = self._candle, (now - 1) // 60_000 * 60_000
        closed = now % 60_000 == 0
        body = {
            "t": epoch_ms(minute),
            "T": epoch_ms(minute + 59_999),
            "s": self._instrument.name,
            "i": "1m",
            "f": candle["first"],
            "L": self._trade_id,
            "o": self._price(candle["open"]),
            "c": self._price(price),
            "h": self._price(candle["high"]),
            "l": self._price(candle["low"]),
            "v": self._quantity(candle["lots"]),
            "n": self._trade_id - candle["first"] + 1,
            "x": closed,
            "q": self._value(candle["value"]),
            "V": self._quantity(candle["taker_lots"]),
            "Q": self._value(candle["taker_value"]),
            "B": "0",
        }
        kline = {"e": "kline", "E": epoch_ms(now), "s": self._instrument.name, "k": body}
        self._tell(now, "kline_1m", kline)
        if closed:
            self._new_candle(price)

    def _tell_mini_ticker(self, now: int, price: int) -> None:
        day = self._day
        day["high"], day["low"] = max(day["high"], price), min(day["low"], price)
        body = {
            "e": "24hrMiniTicker",
            "E": epoch_ms(now),
            "s": self._instrument.name,
            "c": self._price(price),
            "o": self._price(self._instrument.price - 211),
            "h": self._price(day["high"]),
            "l": self._price(day["low"]),
            "v": self._quantity(self._volume),
            "q": self._value(self._volume * self._instrument.price),
        }
        self._tell(now, "miniTicker", body)

    def _tell(self, now: int, kind: str, data: dict[str, Any]) -> None:
        stream = f"{self._instrument.name.lower()}@{kind}"
        text = compact({"stream": stream, "data": data})
        self._events.append(Event(self._clock.arrival(now), "binance", (stream,), text))

    def _price(self, ticks: int) -> str:
        return padded(ticks * self._instrument.tick)

    def _quantity(self, lots: int) -> str:
        return padded(lots * self._instrument.lot)

    def _value(self, lots_times_ticks: int) -> str:
        return padded(lots_times_ticks * self._instrument.lot * self._instrument.tick // UNIT)
