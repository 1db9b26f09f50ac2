from __future__ import annotations

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_mirrors import Shared, play_mirrored
from tests.kit.peer import Cue
from tests.kit.strategy import trading_floor

STREAM = "btcusdt@trade"
TRADES = [
    Cue((STREAM,), f'{{"stream":"{STREAM}","data":{{"e":"trade","t":{number}}}}}')
    for number in range(300)
]


def test_every_reader_gets_all_of_it() -> None:
    source = iter(TRADES)
    shared = Shared(source)
    first, second = iter(shared), iter(shared)
    assert [next(first) for _ in range(3)] == TRADES[:3]
    assert list(second) == TRADES
    assert list(first) == TRADES[3:]
    assert next(source, None) is None


def test_two_exchanges_say_the_same() -> None:
    exchanges = [BinanceExchange(), BinanceExchange()]
    with trading_floor() as floor, running(exchanges[0]) as left, running(exchanges[1]) as right:
        assert left != right
        clients = [floor.strategy(f"{url}/stream?streams={STREAM}") for url in (left, right, right)]
        exchanges[0].wait_for(lambda: len(exchanges[0].holders(STREAM)) == 1)
        exchanges[1].wait_for(lambda: len(exchanges[1].holders(STREAM)) == 2)
        for playing in play_mirrored(exchanges, (cue for cue in TRADES)):
            playing.result(10)
        for client in clients:
            assert client.wait_for(300) == [cue.text for cue in TRADES]
    assert exchanges[0].played_on(STREAM) == exchanges[1].played_on(STREAM)
    assert [peer.sent_on(STREAM) for peer in exchanges[1].peers] == [
        [cue.text for cue in TRADES]
    ] * 2
