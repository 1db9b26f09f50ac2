from __future__ import annotations

import hashlib
import json
import zlib
from functools import cache
from itertools import pairwise

from tests.kit.books import BinanceBook, BrokenSequence, CoinbaseBook, CoinbaseSequence
from tests.kit.golden import Session, generate


@cache
def session() -> Session:
    return generate(1)


def test_the_same_seed_gives_the_same_bytes_everywhere() -> None:
    digest = hashlib.sha256()
    for event in generate(7, seconds=5).events:
        digest.update(f"{event.offset_ns} {event.text}\n".encode())
    # Computed once; a change here changes every golden recording.
    assert digest.hexdigest() == "875ed9923cc6e0c128f943ea2243256f340c0162ad2ed0790e907be8c561571b"
    assert generate(8, seconds=5).events != generate(7, seconds=5).events


def test_size_and_order() -> None:
    events = session().events
    assert 12_000 <= len(events) <= 20_000
    assert all(a.offset_ns <= b.offset_ns for a, b in pairwise(events))
    assert 59e9 < events[-1].offset_ns < 61e9
    assert len(zlib.compress("\n".join(event.text for event in events).encode())) < 1_500_000


def test_binance_books_bridge_and_never_cross() -> None:
    snapshots = session().depth_snapshots
    assert len(snapshots) == 6
    for symbol, snapshot in snapshots.items():
        book, applied, skipped = BinanceBook(snapshot), 0, 0
        for cue in session().binance_script():
            if cue.streams == (f"{symbol.lower()}@depth@100ms",):
                if book.apply(cue.text):
                    applied += 1
                else:
                    skipped += 1
                bids, asks = book.bids, book.asks
                assert max(map(float, bids)) < min(map(float, asks))
        assert skipped > 0  # the snapshot was taken after the stream began
        assert applied > 100


def test_book_tickers_agree_with_the_book() -> None:
    book = BinanceBook(session().depth_snapshots["BTCUSDT"])
    best: dict[int, dict[str, str]] = {}
    agreed = 0
    for cue in session().binance_script():
        data = json.loads(cue.text)["data"]
        if cue.streams == ("btcusdt@bookTicker",):
            best[data["u"]] = data
        if cue.streams == ("btcusdt@depth@100ms",) and book.apply(cue.text):
            bids, asks = book.levels()
            if ticker := best.get(book.last_update_id):
                assert (ticker["b"], ticker["B"]) == bids[0]
                assert (ticker["a"], ticker["A"]) == asks[0]
                agreed += 1
    assert agreed > 50


def test_every_binance_stream_is_there() -> None:
    names = {event.streams[0] for event in session().events if event.venue == "binance"}
    kinds = ("bookTicker", "depth@100ms", "kline_1m", "miniTicker", "trade")
    assert names == {f"{s.lower()}@{k}" for s in session().depth_snapshots for k in kinds}


def test_coinbase_is_numbered_and_its_books_build() -> None:
    sequence, products = CoinbaseSequence(), ("BTC-USD", "ETH-USD", "SOL-USD")
    books = {f"level2:{product}": CoinbaseBook(product) for product in products}
    widths, heartbeats = set(), 0
    for event in session().events:
        if event.venue == "coinbase":
            sequence.check(event.text)
            heartbeats += event.streams == ("heartbeats",)
            if event.streams[0].startswith("market_trades:"):
                widths.add(len(event.streams))
            if event.streams[0] in books:
                book = books[event.streams[0]]
                book.apply(event.text)
                bids, asks = book.levels()
                assert float(bids[0][0]) < float(asks[0][0])
    assert heartbeats == 60
    assert widths == {1, 2, 3}
    assert all(book.snapshots == 1 for book in books.values())


def test_a_lost_delta_would_be_noticed() -> None:
    book = BinanceBook(session().depth_snapshots["ETHUSDT"])
    deltas = [c.text for c in session().binance_script() if c.streams == ("ethusdt@depth@100ms",)]
    del deltas[50]
    try:
        for text in deltas:
            book.apply(text)
    except BrokenSequence:
        return
    raise AssertionError("nobody noticed")


def test_the_coinbase_script_opens_each_stream() -> None:
    script = session().coinbase_script()
    assert len(script.openings) == 9
    assert not any("sequence_num" in cue.text for cue in script.cues)
