"""Generated Coinbase Advanced Trade traffic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

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
    short,
    utc,
)

PRODUCTS = (
    Instrument("BTC-USD", 6_426_183, 1_000_000, 1, 4_000_000, 30),
    Instrument("ETH-USD", 312_101, 1_000_000, 1, 90_000_000, 40),
    Instrument("SOL-USD", 14_833, 1_000_000, 1, 900_000_000, 60),
)


class Frame(NamedTuple):
    """A message before it has its number. Sorted by its first two fields."""

    offset_ns: int
    order: str
    channel: str
    streams: tuple[str, ...]
    event: dict[str, Any]


class Product:
    """One product's level2 and ticker, and its trades, which are sent in common batches."""

    def __init__(self, instrument: Instrument, dice: Dice) -> None:
        self.trades: list[tuple[int, dict[str, str]]] = []
        """When each trade happened (ms), and its row."""
        self._instrument = instrument
        self._market = Market(instrument, dice)
        self._dice = dice
        self._clock = Clock(dice)
        self._trade_id = 900_000_000 + instrument.price
        self._volume = instrument.size * 60_000
        self._frames: list[Frame] = []

    def run(self, duration_ms: int) -> list[Frame]:
        """The messages in order of arrival; fills ``trades``."""
        name, next_step = self._instrument.name, 0
        self._trade(0, Trade(self._instrument.price, self._instrument.size, buyer_is_maker=False))
        self._tell(0, "ticker", "snapshot", {"tickers": [self._ticker(self._instrument.price)]})
        book = self._updates(0, self._market.levels(0), self._market.levels(1))
        self._tell(0, "l2_data", "snapshot", {"product_id": name, "updates": book})
        for now in range(1, duration_ms + 1):
            while next_step <= now:
                next_step += 1 + self._dice.below(2 * self._instrument.pace_ms)
                if trade := self._market.step():
                    self._trade(now, trade)
                    self._tell(now, "ticker", "update", {"tickers": [self._ticker(trade.price)]})
            if now % 50 == 0 and self._market.changed:
                changes = self._market.take_changes(0), self._market.take_changes(1)
                updates = self._updates(now, *changes)
                self._tell(now, "l2_data", "update", {"product_id": name, "updates": updates})
        return self._frames

    def _updates(
        self, now: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]
    ) -> list[dict[str, str]]:
        event_time = utc(now * MS, digits=6)
        return [
            {
                "side": side,
                "event_time": event_time,
                "price_level": short(price * self._instrument.tick),
                "new_quantity": short(lots * self._instrument.lot),
            }
            for side, levels in (("bid", bids), ("offer", asks))
            for price, lots in levels
        ]

    def _trade(self, now: int, trade: Trade) -> None:
        self._trade_id += 1
        self._volume += trade.lots
        row = {
            "product_id": self._instrument.name,
            "trade_id": str(self._trade_id),
            "price": short(trade.price * self._instrument.tick),
            "size": short(trade.lots * self._instrument.lot),
            "time": utc(now * MS, digits=6),
            "side": "BUY" if trade.buyer_is_maker else "SELL",
        }
        self.trades.append((now, row))

    def _ticker(self, price: int) -> dict[str, str]:
        bid, bid_lots, ask, ask_lots = self._market.best()
        tick, lot, first = self._instrument.tick, self._instrument.lot, self._instrument.price
        return {
            "type": "ticker",
            "product_id": self._instrument.name,
            "price": short(price * tick),
            "volume_24_h": short(self._volume * lot),
            "low_24_h": short((first - 900) * tick),
            "high_24_h": short((first + 900) * tick),
            "low_52_w": short(first * tick // 2),
            "high_52_w": short(first * tick * 2),
            "price_percent_chg_24_h": short(abs(price - first + 211) * 100 * UNIT // first),
            "best_bid": short(bid * tick),
            "best_ask": short(ask * tick),
            "best_bid_quantity": short(bid_lots * lot),
            "best_ask_quantity": short(ask_lots * lot),
        }

    def _tell(self, now: int, channel: str, kind: str, body: dict[str, Any]) -> None:
        name = self._instrument.name
        stream = f"{'level2' if channel == 'l2_data' else channel}:{name}"
        offset = self._clock.arrival(now)
        self._frames.append(Frame(offset, name, channel, (stream,), {"type": kind, **body}))


def trade_batches(trades: list[tuple[int, dict[str, str]]]) -> Iterator[Frame]:
    """The trades of each quarter of a second, newest first, whatever their product."""
    batches: dict[int, list[tuple[int, dict[str, str]]]] = {}
    for now, row in trades:
        batches.setdefault(-(-now // 250) * 250, []).append((now, row))
    for end, batch in sorted(batches.items()):
        if end == 0:  # what happened before: each product's snapshot
            for index, (_, row) in enumerate(batch):
                streams = (f"market_trades:{row['product_id']}",)
                event: dict[str, Any] = {"type": "snapshot", "trades": [row]}
                yield Frame(50_000 + index, "trades", "market_trades", streams, event)
        else:
            batch.sort(key=lambda trade: trade[0], reverse=True)
            rows = [row for _, row in batch]
            names = tuple(dict.fromkeys(f"market_trades:{row['product_id']}" for row in rows))
            event = {"type": "update", "trades": rows}
            yield Frame(end * MS + 950_000, "trades", "market_trades", names, event)


def heartbeat(second: int) -> Frame:
    """The heartbeat of one second."""
    offset = second * 1_000 * MS + 990_000
    now = utc(offset, digits=9).replace("T", " ").removesuffix("Z")
    counter = 41_691 + second
    event = {
        "current_time": f"{now} +0000 UTC m=+{counter}.260485341",
        "heartbeat_counter": counter,
    }
    return Frame(offset, "heartbeats", "heartbeats", ("heartbeats",), event)


def numbered(frame: Frame, number: int) -> Event:
    """The message as it arrives."""
    message = {
        "channel": frame.channel,
        "timestamp": utc(frame.offset_ns, digits=9),
        "sequence_num": number,
        "events": [frame.event],
    }
    return Event(frame.offset_ns, "coinbase", frame.streams, compact(message))
