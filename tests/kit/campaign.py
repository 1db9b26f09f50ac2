"""Long trials of a running wsproxy: numbered markets, clients that come back, the verdict.

How long they are is the environment's to say (see ``knob``): ``make test`` runs them for seconds,
``make chaos`` for minutes.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import wsproxy
from tests.kit.books import CoinbaseSequence
from tests.kit.chaos import Gap, Item, Witness, judge
from tests.kit.exchange import Exchange
from tests.kit.peer import Cue
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.wishes import Wish, data, request
from wsproxy.model import Kind, Message
from wsproxy.recording.events import read_event

MICROSECONDS = "?timeUnit=MICROSECOND"
POLL_S = 0.02

_TELLING = (Kind.MESSAGE, Kind.SUBSCRIBED, Kind.CLOSED, Kind.GAP)


def knob(name: str, default: int) -> int:
    """A length or seed of a campaign, from the environment."""
    return int(os.environ.get(name, default))


# --- messages ----------------------------------------------------------------------------------


class Market:
    """Numbered messages on these streams, at random, until it is stopped.

    Binance ``...@trade`` and ``...@depth@100ms``, where a message is one update, and Coinbase
    ``level2:...``, a book of one level with the number as its quantity. It begins with 1; that is
    the opening of a Coinbase stream.
    """

    def __init__(self, streams: Sequence[str], seed: int) -> None:
        self.streams = streams
        self.last = {stream: int(stream.startswith("level2:")) for stream in streams}
        """The number of each stream's last message."""
        self._dice = Random(seed)
        self._stopped = False

    @property
    def openings(self) -> dict[str, str]:
        """The first message of each Coinbase stream."""
        books = [stream for stream in self.streams if stream.startswith("level2:")]
        return {stream: _spell(stream, 1, "snapshot") for stream in books}

    def cues(self) -> Iterator[Cue]:
        """What to play."""
        while not self._stopped:
            yield self._next(self._dice.choice(self.streams))

    def round(self) -> list[Cue]:
        """One more message of every stream: with it a campaign begins and ends."""
        return [self._next(stream) for stream in self.streams]

    def stop(self) -> None:
        """End ``cues``."""
        self._stopped = True

    def _next(self, stream: str) -> Cue:
        self.last[stream] += 1
        return Cue((stream,), _spell(stream, self.last[stream], "update"))


def _spell(stream: str, n: int, kind: str) -> str:
    symbol = stream.partition("@")[0].upper()
    if stream.startswith("level2:"):
        level = {"side": "bid", "event_time": "t", "price_level": "1", "new_quantity": str(n)}
        event = {"type": kind, "product_id": stream[7:], "updates": [level]}
        return _compact({"channel": "l2_data", "timestamp": "t", "events": [event]})
    body: dict[str, object] = {"e": "trade", "E": n, "s": symbol, "t": n}
    if "@depth" in stream:
        body = {"e": "depthUpdate", "E": n, "s": symbol, "U": n, "u": n, "b": [], "a": []}
    return _compact({"stream": stream, "data": body})


def item(payload: str | bytes) -> Item | None:
    """Which message of a market this is, raw or combined; None for anything else."""
    with suppress(ValueError, TypeError, KeyError, AttributeError):
        body: Any = json.loads(payload)
        if body.get("channel") == "l2_data":
            (event,) = body["events"]
            number = int(event["updates"][-1]["new_quantity"])
            return Item(f"level2:{event['product_id']}", number, event["type"] == "snapshot")
        body = body.get("data", body)
        if body["e"] == "trade":
            return Item(f"{body['s'].lower()}@trade", body["t"])
        return Item(f"{body['s'].lower()}@depth@100ms", body["u"])
    return None


def _compact(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))


# --- clients -----------------------------------------------------------------------------------


def microsecond_wish(streams: Sequence[str]) -> Wish:
    """A Binance client whose streams are on another endpoint than those without microseconds."""
    requests = (request("SUBSCRIBE", *streams), request("LIST_SUBSCRIPTIONS", id="ready"))
    return Wish("/stream" + MICROSECONDS, requests, frozenset(streams))


class Trader:
    """A client that connects again whenever it is closed or refused."""

    def __init__(self, floor: TradingFloor, venue_url: str, wish: Wish) -> None:
        self.wish = wish
        self._floor = floor
        self._url = venue_url
        self._seen = 0
        self.sessions: list[Strategy] = [wish.join(floor, venue_url)]

    def tend(self) -> None:
        """Come back, if it is time to."""
        session = self.sessions[-1]
        if session.closed or session.refused or session.failed:
            self.sessions.append(self.wish.join(self._floor, self._url))
            self._seen = 0
            return
        new = session.received[self._seen :]
        self._seen += len(new)
        if any(isinstance(text, str) and text.startswith('{"error"') for text in new):
            session.abort()

    def items(self, session: Strategy) -> dict[str, list[Item]]:
        """What came in a session, by stream."""
        found: dict[str, list[Item]] = defaultdict(list)
        for one in filter(None, map(item, data(session.received))):
            found[one.stream].append(one)
        return found

    def has(self, last: Mapping[str, int]) -> bool:
        """Whether these numbers have come on the present connection."""
        newest: dict[str, int] = {}
        for one in filter(None, map(item, reversed(self.sessions[-1].received))):
            newest.setdefault(one.stream, one.number)
            if len(newest) == len(self.wish.streams):
                break
        return all(newest.get(stream) == last[stream] for stream in self.wish.streams)


def wait_until(done: Callable[[], bool], timeout: float, traders: Iterable[Trader] = ()) -> bool:
    """Tend the traders until this is so; False if it is not in time."""
    deadline = time.monotonic() + timeout
    while not done():
        if time.monotonic() > deadline:
            return False
        for trader in traders:
            trader.tend()
        time.sleep(POLL_S)
    return True


# --- the verdict -------------------------------------------------------------------------------


class Evidence(NamedTuple):
    """What a recording tells of a campaign."""

    witnesses: dict[str, Witness]
    """By stream, as the venue names it."""
    gaps: list[Message]
    losses: Counter[str]
    """How often a connection that carried the stream ended."""

    def of(self, stream: str) -> Witness:
        """The witness of a stream; an empty one if nothing was recorded."""
        return self.witnesses.get(stream, Witness())


def evidence(recording: Path) -> Evidence:
    """Read a recording; a gap record that names no stream stands for all of its connection."""
    witnesses: dict[str, Witness] = defaultdict(Witness)
    carried: dict[int, set[str]] = defaultdict(set)
    gaps: list[Message] = []
    losses: Counter[str] = Counter()
    for record in wsproxy.open(recording).messages(kinds=_TELLING):
        streams = [stream.removesuffix(MICROSECONDS) for stream in record.streams]
        if record.kind is Kind.MESSAGE and (one := item(record.payload)):
            witnesses[one.stream].saw(one, record.time)
        elif record.kind is Kind.SUBSCRIBED:
            carried[record.connection].update(streams)
        elif record.kind is Kind.CLOSED:
            losses.update(carried[record.connection])
        elif record.kind is Kind.GAP:
            gaps.append(record)
            gap = _gap(record)
            for stream in streams or carried[record.connection]:
                witnesses[stream].gaps.append(gap)
    return Evidence(dict(witnesses), gaps, losses)


def _gap(record: Message) -> Gap:
    fields: dict[str, Any] = read_event(record.payload)
    return Gap(fields["since"], record.time, fields.get("missed"))


def doubled(exchange: Exchange) -> dict[str, frozenset[int]]:
    """The numbers that the exchange itself sent twice, by stream."""
    found: dict[str, set[int]] = defaultdict(set)
    for peer in exchange.peers:
        for one in filter(None, (item(sent.payload) for sent in peer.doubled)):
            found[one.stream].add(one.number)
    return {stream: frozenset(numbers) for stream, numbers in found.items()}


def complaints(
    traders: Sequence[Trader],
    market: Market,
    seen: Evidence,
    *,
    holes_allowed: Callable[[str], bool],
    doubled: Mapping[str, frozenset[int]],
) -> Iterator[str]:
    """Everything that is wrong with what the clients received, as sentences."""
    for number, trader in enumerate(traders):
        for index, session in enumerate(trader.sessions):
            name = f"client {number}, session {index}"
            if trader.wish.path == "":
                yield from (f"{name}: {wrong}" for wrong in _misnumbered(session))
            for stream, items in trader.items(session).items():
                if index == 0 and items[0].number != 1:
                    yield f"{name}, {stream}: began with {items[0].number}"
                for wrong in judge(
                    items,
                    seen.of(stream),
                    holes_allowed=holes_allowed(stream),
                    doubled=doubled.get(stream, frozenset()),
                ):
                    yield f"{name}, {stream}: {wrong}"
        if not trader.has(market.last):
            end = trader.sessions[-1].closed
            yield f"client {number}: the last messages never came ({end or 'still open'})"


def unfounded(seen: Evidence) -> Iterator[str]:
    """Gap records without a reason: nothing is missing, and no connection of the stream ended."""
    for stream, witness in seen.witnesses.items():
        numbers = sorted(witness.times)
        missing = bool(numbers) and len(numbers) < numbers[-1] - numbers[0] + 1
        if witness.gaps and not missing and not seen.losses[stream]:
            yield f"{stream}: {len(witness.gaps)} gap records and nothing is missing"


def _misnumbered(session: Strategy) -> Iterator[str]:
    numbers = CoinbaseSequence()
    try:
        for message in list(session.received):
            numbers.check(message)
    except Exception as error:  # of the first that is wrong
        yield str(error)


def resident_bytes(pid: int) -> int:
    """How much memory a process uses; 0 where there is no /proc."""
    with suppress(OSError):
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
