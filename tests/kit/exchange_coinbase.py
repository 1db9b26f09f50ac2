"""Coinbase Advanced Trade (public channels), as documented and as recorded in August 2026.

On subscribing, the snapshots come first, one message a product, then the cumulative list; all of
them are numbered, as every message of a connection is.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import defaultdict
from typing import Any, NamedTuple

from websockets.frames import Opcode

from tests.kit.books import CoinbaseBook
from tests.kit.exchange import Exchange
from tests.kit.peer import Cue, Limit, Peer, Sent

CHANNELS = (
    *("candles", "heartbeats", "level2", "market_trades", "status", "ticker", "ticker_batch"),
    "user",
)
ROWS = {
    "candles": "candles",
    "market_trades": "trades",
    "ticker": "tickers",
    "ticker_batch": "tickers",
}
"""Where the messages of a channel name their products, if not in the event itself."""

_NUMBER = re.compile(r'"sequence_num":\d+,')


class CoinbaseScript(NamedTuple):
    """What a Coinbase stand-in needs: each stream's first message, and all that follows."""

    openings: dict[str, str]
    cues: list[Cue]


class CoinbaseExchange(Exchange):
    """Plays messages without ``sequence_num``; it numbers them itself.

    ``openings`` gives for each stream (``level2:BTC-USD``) the message that a subscriber gets
    first. For level2 it moves with what is played; the other channels always open with theirs.
    With ``heartbeat_s`` it makes heartbeats of its own (a script may hold recorded ones).
    ``client_id`` adds that field, as the documents have it and the recordings have not.
    """

    venue = "coinbase"
    attempts = Limit(8, 1.0)
    requests = Limit(8, 1.0)
    requests_shared = True

    def __init__(
        self,
        *,
        openings: dict[str, str] | None = None,
        first_subscribe_s: float = 5,
        heartbeat_s: float | None = None,
        client_id: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.first_subscribe_s = first_subscribe_s
        self.heartbeat_s = heartbeat_s
        self.client_id = client_id
        self._openings = dict(openings or {})
        self._unapplied: dict[str, list[str]] = defaultdict(list)
        self._books: dict[str, CoinbaseBook] = {}

    def resnapshot(self, stream: str) -> None:
        """Send every holder of a stream its first message afresh, in mid-stream."""

        def now() -> None:
            text = self._opening(stream)
            assert text is not None, f"{stream} has no opening"
            for peer in self._audience((stream,)):
                self._deliver(peer, Cue((stream,), text))
                peer.flush()

        self._do(now)

    def _admit(self, path: str) -> str | None:
        return None if path.partition("?")[0] == "/" else "no such path"

    def _opened(self, peer: Peer) -> None:
        self._loop.call_later(self.first_subscribe_s, self._expect_subscription, peer)
        if self.heartbeat_s:
            self._spawn(self._beat(peer, self.heartbeat_s))

    def _expect_subscription(self, peer: Peer) -> None:
        if not peer.asked and peer.closed is None:
            self._gate.violated(f"{peer}: no subscription in {self.first_subscribe_s:g} s")
            self._end(peer, 1008, "no subscription")

    async def _beat(self, peer: Peer, every_s: float) -> None:
        counter = 0
        while peer.closed is None:
            await asyncio.sleep(every_s)
            if "heartbeats" in peer.held and not peer.doomed:
                event = {"current_time": f"{_timestamp()} UTC", "heartbeat_counter": counter}
                self._queue(peer, ("heartbeats",), _message("heartbeats", [event]))
                peer.flush()
                counter += 1

    def _counts(self, opcode: Opcode) -> bool:
        return opcode in {Opcode.TEXT, Opcode.BINARY}

    def _punish_requests(self, peer: Peer) -> None:
        self._queue(peer, None, _error("rate limit exceeded"))
        self._end(peer, 1008, "rate limit exceeded")

    def _request(self, peer: Peer, message: str | bytes) -> list[Sent]:
        try:
            request = json.loads(message)
        except ValueError:
            return [Sent(None, _error("invalid JSON"))]
        if not isinstance(request, dict):
            return [Sent(None, _error("malformed request"))]
        kind, channel = request.get("type"), request.get("channel")
        products = request.get("product_ids", [])
        if kind not in {"subscribe", "unsubscribe"}:
            return [Sent(None, _error("unknown type"))]
        if not isinstance(channel, str) or channel not in CHANNELS:
            return [Sent(None, _error("one known channel is needed"))]
        if channel == "user" and not request.get("jwt"):
            return [Sent(None, _error("authentication failure"))]
        names = [channel] if channel in {"heartbeats", "user"} else []
        if not names and not products:
            return [Sent(None, _error("product_ids are needed"))]
        if not names:
            names = [f"{channel}:{_product(product)}" for product in dict.fromkeys(products)]
        if kind == "unsubscribe":
            for stream in names:
                self._release(peer, stream)
            fresh = []
        else:
            fresh = [stream for stream in names if self._hold(peer, stream)]
        if fresh == ["user"]:  # a careless venue: the token comes back
            event = {"type": "snapshot", "orders": [], "token": request["jwt"]}
            self._openings["user"] = _message("user", [event])
        openings = [Sent((stream,), text) for stream in fresh if (text := self._opening(stream))]
        return [*openings, Sent(None, _message("subscriptions", [_subscriptions(peer)]))]

    def _error(self, message: str | bytes, why: str) -> str:
        del message
        return _error(why)

    def _render(
        self, peer: Peer, text: str, held: tuple[str, ...], streams: tuple[str, ...]
    ) -> str:
        return text if held == streams else only(text, {name.partition(":")[2] for name in held})

    def _stamp(self, peer: Peer, text: str) -> str:
        if text.startswith('{"type":"error"'):
            return text
        head, middle, tail = text.partition('"events":')
        if self.client_id and '"client_id"' not in head:
            head = head.replace('"timestamp":', '"client_id":"","timestamp":', 1)
        number = peer.sequence
        peer.sequence += 1
        return f'{head}"sequence_num":{number},{middle}{tail}'

    def _remember(self, cue: Cue) -> None:
        for stream in cue.streams:
            if stream in self._openings and stream.startswith("level2:"):
                self._unapplied[stream].append(cue.text)

    def _opening(self, stream: str) -> str | None:
        """What a new subscriber is told first."""
        updates = self._unapplied.pop(stream, [])
        if updates:
            product = stream.partition(":")[2]
            if stream not in self._books:
                self._books[stream] = CoinbaseBook(product)
                self._books[stream].apply(self._openings[stream])
            for text in updates:
                self._books[stream].apply(text)
            self._openings[stream] = _snapshot(self._books[stream])
        return self._openings.get(stream)


def streams_of(text: str) -> tuple[str, ...]:
    """The streams that a recorded message belongs to, in order of appearance."""
    message = json.loads(text)
    channel = message["channel"]
    if channel == "heartbeats":
        return ("heartbeats",)
    if channel == "l2_data":
        return tuple(dict.fromkeys(f"level2:{e['product_id']}" for e in message["events"]))
    if channel not in ROWS:
        return ()
    rows = [row for event in message["events"] for row in event[ROWS[channel]]]
    return tuple(dict.fromkeys(f"{channel}:{row['product_id']}" for row in rows))


def script_of(texts: list[str]) -> CoinbaseScript:
    """Messages of one connection without their numbers and without acks."""
    openings: dict[str, str] = {}
    cues = []
    for text in texts:
        streams = streams_of(text)
        if not streams:
            continue
        if '"type":"snapshot"' in text[:300] and streams[0] not in openings:
            openings[streams[0]] = _unnumbered(text)
        else:
            cues.append(Cue(streams, _unnumbered(text)))
    return CoinbaseScript(openings, cues)


def _unnumbered(text: str) -> str:
    """A recorded message without its ``sequence_num``."""
    return _NUMBER.sub("", text, count=1)


def only(text: str, products: set[str]) -> str:
    """The message with the events and rows of these products only."""
    message = json.loads(text)
    rows = ROWS.get(message["channel"])
    events = []
    for event in message["events"]:
        if rows is None:
            if event["product_id"] in products:
                events.append(event)
        elif kept := [row for row in event[rows] if row["product_id"] in products]:
            events.append({**event, rows: kept})
    return _compact({**message, "events": events})


def _snapshot(book: CoinbaseBook) -> str:
    bids, asks = book.levels()
    now = _timestamp()
    updates = [
        {"side": side, "event_time": now, "price_level": price, "new_quantity": quantity}
        for side, levels in (("bid", bids), ("offer", asks))
        for price, quantity in levels
    ]
    event = {"type": "snapshot", "product_id": book.product, "updates": updates}
    return _message("l2_data", [event])


def _subscriptions(peer: Peer) -> dict[str, dict[str, list[str]]]:
    """The connection's whole list; heartbeats list themselves (recorded 2026-08-09)."""
    channels: dict[str, list[str]] = defaultdict(list)
    for stream in peer.held:
        channel, _, product = stream.partition(":")
        channels[channel].append(product or channel)
    return {"subscriptions": {channel: channels[channel] for channel in sorted(channels)}}


def _product(name: str) -> str:
    """Books against USDC are those against USD (documented alias)."""
    return name.removesuffix("C") if name.endswith("-USDC") else name


def _message(channel: str, events: list[Any]) -> str:
    return _compact({"channel": channel, "timestamp": _timestamp(), "events": events})


def _error(why: str) -> str:
    return _compact({"type": "error", "message": why})


def _compact(body: object) -> str:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False)


def _timestamp() -> str:
    seconds, ns = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{ns:09d}Z"
