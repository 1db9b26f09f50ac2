"""Order books by the venues' documented rules, independent of wsproxy.

Prices and quantities stay the text that the venue sent, so that two books can be compared
exactly.
"""

from __future__ import annotations

import json
from decimal import Decimal

Levels = list[tuple[str, str]]


class BrokenSequence(Exception):
    """A message is missing, repeated or out of order."""


class BinanceBook:
    """A spot book from a REST snapshot and ``depthUpdate`` events.

    Source: Binance Spot API docs, "How to manage a local order book correctly" (2026-09).
    """

    def __init__(self, snapshot: str | bytes) -> None:
        start = json.loads(snapshot)
        self.last_update_id: int = start["lastUpdateId"]
        self.bids: dict[str, str] = dict(start["bids"])
        self.asks: dict[str, str] = dict(start["asks"])
        self._bridged = False

    def apply(self, event: str | bytes) -> bool:
        """Take in one event, raw or combined; False if the snapshot already holds it.

        Raises BrokenSequence where the event does not follow the one before.
        """
        update = json.loads(event)
        update = update.get("data", update)
        first, last = update["U"], update["u"]
        expected = self.last_update_id + 1
        if not self._bridged and last < expected:
            return False
        if first > expected or (self._bridged and first != expected):
            raise BrokenSequence(f"expected update {expected}, got {first} to {last}")
        self._bridged = True
        self.last_update_id = last
        for side, changes in ((self.bids, update["b"]), (self.asks, update["a"])):
            _change(side, changes)
        return True

    def levels(self) -> tuple[Levels, Levels]:
        """Bids and asks, each from the best price on."""
        return _sorted(self.bids, self.asks)

    def snapshot(self) -> str:
        """The book as the REST interface spells it."""
        bids, asks = self.levels()
        body = {"lastUpdateId": self.last_update_id, "bids": bids, "asks": asks}
        return json.dumps(body, separators=(",", ":"))


class CoinbaseBook:
    """One product's book from ``l2_data`` messages; other products' events are passed over."""

    def __init__(self, product: str) -> None:
        self.product = product
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.snapshots = 0
        """How many snapshots came; the first message has to be one."""

    def apply(self, message: str | bytes) -> None:
        """Take in one message. Raises BrokenSequence for an update before any snapshot."""
        for event in json.loads(message)["events"]:
            if event["product_id"] != self.product:
                continue
            if event["type"] == "snapshot":
                self.bids.clear()
                self.asks.clear()
                self.snapshots += 1
            elif not self.snapshots:
                raise BrokenSequence(f"{self.product}: an update came before any snapshot")
            for update in event["updates"]:
                side = self.bids if update["side"] == "bid" else self.asks
                _change(side, [(update["price_level"], update["new_quantity"])])

    def levels(self) -> tuple[Levels, Levels]:
        """Bids and asks, each from the best price on."""
        return _sorted(self.bids, self.asks)


class CoinbaseSequence:
    """Checks ``sequence_num``: one counter a connection, from 0, over every message."""

    def __init__(self) -> None:
        self.next = 0

    def check(self, message: str | bytes) -> None:
        """Raises BrokenSequence unless the message carries the next number."""
        number = json.loads(message)["sequence_num"]
        if number != self.next:
            raise BrokenSequence(f"expected sequence_num {self.next}, got {number}")
        self.next += 1


def _change(side: dict[str, str], changes: list[tuple[str, str]]) -> None:
    for price, quantity in changes:
        if quantity.strip("0."):
            side[price] = quantity
        else:
            side.pop(price, None)  # deletes of unknown levels are routine


def _sorted(bids: dict[str, str], asks: dict[str, str]) -> tuple[Levels, Levels]:
    def price(level: tuple[str, str]) -> Decimal:
        return Decimal(level[0])

    return sorted(bids.items(), key=price, reverse=True), sorted(asks.items(), key=price)
