"""Believable traffic of both venues from a seed: the same text on every machine.

One minute of market time, six Binance symbols and three Coinbase products. Prices are whole
ticks, quantities whole lots, and the only source of chance is ``random.Random.random``, whose
sequence Python guarantees, so no platform or version changes a byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.kit.exchange_coinbase import CoinbaseScript, script_of
from tests.kit.golden_binance import SYMBOLS, Symbol
from tests.kit.golden_coinbase import PRODUCTS, Frame, Product, heartbeat, numbered, trade_batches
from tests.kit.golden_market import Dice, Event
from tests.kit.peer import Cue


class Session(NamedTuple):
    """What one seed makes."""

    events: list[Event]
    """In order of arrival; the Coinbase messages are numbered as on one connection."""
    depth_snapshots: dict[str, str]
    """For each Binance symbol (``BTCUSDT``) a REST depth body that bridges into its deltas."""

    def binance_script(self) -> list[Cue]:
        """The Binance messages for a stand-in."""
        return [Cue(event.streams, event.text) for event in self._of("binance")]

    def coinbase_script(self) -> CoinbaseScript:
        """The Coinbase messages for a stand-in."""
        return script_of([event.text for event in self._of("coinbase")])

    def _of(self, venue: str) -> Iterator[Event]:
        return (event for event in self.events if event.venue == venue)


def generate(seed: int = 1, seconds: int = 60) -> Session:
    """The traffic of so many seconds (at most 3,600)."""
    events: list[Event] = []
    snapshots: dict[str, str] = {}
    for index, instrument in enumerate(SYMBOLS):
        dice = Dice(seed * 1_000 + index)
        symbol = Symbol(instrument, dice)
        events += symbol.run(seconds * 1_000)
        snapshots[instrument.name] = symbol.snapshot
    frames: list[Frame] = []
    trades: list[tuple[int, dict[str, str]]] = []
    for index, instrument in enumerate(PRODUCTS):
        product = Product(instrument, Dice(seed * 1_000 + 500 + index))
        frames += product.run(seconds * 1_000)
        trades += product.trades
    frames += trade_batches(trades)
    frames += (heartbeat(second) for second in range(seconds))
    frames.sort(key=lambda frame: frame[:2])
    events += (numbered(frame, number) for number, frame in enumerate(frames))
    events.sort(key=lambda event: event[:2])  # stable: one venue's order is kept
    return Session(events, snapshots)
