from __future__ import annotations

from tests.kit import traffic
from tests.kit.books import BinanceBook, CoinbaseBook
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.strategy import trading_floor


@traffic.requires_traffic
def test_the_recorded_snapshots_bridge_into_the_recorded_deltas() -> None:
    for name, books in ((traffic.BINANCE_BTC, 1), (traffic.BINANCE_MANY, 10)):
        snapshots = traffic.binance_snapshots(name)
        assert len(snapshots) == books
        script = traffic.binance_script(name)
        for symbol, snapshot in snapshots.items():
            book = BinanceBook(snapshot)
            stream = (f"{symbol.lower()}@depth@100ms",)
            assert sum(book.apply(cue.text) for cue in script if cue.streams == stream) > 50


@traffic.requires_traffic
def test_plays_the_recorded_binance_session() -> None:
    script = traffic.binance_script(traffic.BINANCE_BTC)
    assert len(script) == 41_248
    exchange = BinanceExchange()
    with running(exchange) as url, trading_floor() as floor:
        kinds = ("bookTicker", "trade", "depth@100ms")
        streams = "/".join(f"btcusdt@{kind}" for kind in kinds)
        client = floor.strategy(f"{url}/stream?streams={streams}")
        exchange.wait_for(lambda: len(exchange.subscribed) == 3)
        exchange.play(script).result(60)
        assert client.wait_for(len(script), 60) == [cue.text for cue in script]


@traffic.requires_traffic
def test_plays_the_recorded_coinbase_session() -> None:
    openings, cues = traffic.coinbase_script()
    assert len(openings) == 8
    assert len(openings) + len(cues) == 1_025
    exchange = CoinbaseExchange(openings=openings)
    subscribe = '{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}'
    with running(exchange) as url, trading_floor() as floor:
        early = floor.strategy(url, [subscribe])
        early.wait_for(2, 30)
        exchange.play(cues).result(60)
        late = floor.strategy(url, [subscribe])
        late.wait_for(2, 60)
        early.wait_for(401, 30)
    books = CoinbaseBook("BTC-USD"), CoinbaseBook("BTC-USD")
    for book, client in zip(books, (early, late), strict=True):
        for message in client.received:
            if '"l2_data"' in str(message)[:30]:
                book.apply(message)
    assert books[0].levels() == books[1].levels()
    assert len(books[0].bids) > 10_000
