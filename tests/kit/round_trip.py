"""The main job, in the two steps that most end-to-end tests are made of: record, replay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import wsproxy
from tests.kit.books import CoinbaseBook, CoinbaseSequence
from tests.kit.exchange import Exchange
from tests.kit.peer import Cue, frame
from tests.kit.proxy import PATIENCE_S, Process
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.wishes import Wish, data
from wsproxy.app.asking import ask
from wsproxy.model import Kind, Message


def join_all(floor: TradingFloor, venue_url: str, wishes: Sequence[Wish]) -> list[Strategy]:
    """Connect a client for each wish and wait until all have all their streams."""
    strategies = [wish.join(floor, venue_url) for wish in wishes]
    for wish, strategy in zip(wishes, strategies, strict=True):
        strategy.wait_for(len(wish.requests), PATIENCE_S)
    return strategies


def replay(
    floor: TradingFloor, recording: Path, venue: str, wishes: Sequence[Wish], *options: str
) -> list[Strategy]:
    """Replay a recording to a client for each wish, until its end.

    Also checks the exit code and the digests that the replay prints.
    """
    waiting = ("--clients", str(len(wishes)), "--settle", "0.2")
    with running_wsproxy("replay", str(recording), *waiting, *options) as process:
        strategies = [wish.join(floor, f"{process.url}/{venue}") for wish in wishes]
        for strategy in strategies:
            assert strategy.wait_closed(PATIENCE_S) == (1000, "the replay is over")
        ended = process.wait()
    assert ended.code == 0
    printed = sorted(line.split()[0] for line in ended.out.splitlines())
    assert printed == sorted(map(digest, strategies))
    return strategies


def digest(strategy: Strategy) -> str:
    """SHA-256 of the frames in which this client got its messages."""
    return hashlib.sha256(b"".join(map(frame, strategy.received))).hexdigest()


def records(recording: Path, *kinds: Kind) -> list[Message]:
    """The records of these kinds."""
    return list(wsproxy.open(recording).messages(kinds=kinds))


def assert_recorded(recording: Path, exchange: Exchange) -> None:
    """The recording holds every message that crossed a connection to the exchange, both ways."""
    connections = sorted({record.connection for record in records(recording, Kind.OPENED)})
    assert len(connections) == len(exchange.peers)
    came = records(recording, Kind.MESSAGE)
    went = records(recording, Kind.REQUEST)
    for number, peer in zip(connections, exchange.peers, strict=True):
        sent = [_bytes(sent.payload) for sent in peer.sent]
        assert [record.payload for record in came if record.connection == number] == sent
        asked = [f.data for f in exchange.frames if f.peer == peer.number and f.kind == "text"]
        assert [record.payload for record in went if record.connection == number] == asked


def assert_obeyed(exchange: Exchange, *, cap: int) -> None:
    """Each stream was subscribed once, and no limit of the exchange was broken or tried."""
    assert exchange.violations == []
    assert exchange.refused == []
    assert exchange.doubled == set()
    assert set(exchange.times_subscribed.values()) <= {1}
    assert exchange.peak <= cap


def gaps(recording: Path) -> dict[str, int]:
    """How many gap records name each stream."""
    found: dict[str, int] = {}
    for record in records(recording, Kind.GAP):
        for stream in record.streams:
            found[stream] = found.get(stream, 0) + 1
    return found


def play(exchange: Exchange, cues: Iterable[Cue], rate: float | None = None) -> None:
    """Play to the end."""
    exchange.play(cues, rate).result(PATIENCE_S)


def trades(stream: str, count: int, size: int = 0) -> list[Cue]:
    """Numbered Binance messages of one stream, with so many characters that hardly compress."""
    head, noise = f'{{"stream":"{stream}","data":{{"e":"trade"', Random(count)
    return [
        Cue((stream,), f'{head},"t":{number},"x":"{noise.randbytes(size // 2).hex()}"}}}}')
        for number in range(count)
    ]


def level2_book(strategy: Strategy) -> CoinbaseBook:
    """The book of BTC-USD that this client came to hold; checks the numbers of all messages."""
    book, numbers = CoinbaseBook("BTC-USD"), CoinbaseSequence()
    for message in strategy.received:
        numbers.check(message)
    for message in data(strategy.received):
        book.apply(message)
    return book


def order(admin: Path, what: str, **body: object) -> None:
    """Tell the replay at this address what to do."""
    ask(admin, "POST", f"/replay/{what}", json.dumps(body).encode())


def stop(process: Process) -> None:
    """Stop a proxy in order."""
    ended = process.stop()
    assert ended.code == 0, ended.err


def _bytes(payload: str | bytes) -> bytes:
    return payload.encode() if isinstance(payload, str) else payload
