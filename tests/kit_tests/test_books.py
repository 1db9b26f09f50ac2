from __future__ import annotations

import json

import pytest

from tests.kit.books import BinanceBook, BrokenSequence, CoinbaseBook, CoinbaseSequence

SNAPSHOT = '{"lastUpdateId":100,"bids":[["9.10","1"],["10.0","2"]],"asks":[["11.0","3"]]}'


def delta(first: int, last: int, bids: object = (), asks: object = ()) -> str:
    return json.dumps({"e": "depthUpdate", "U": first, "u": last, "b": bids, "a": asks})


def test_binance_book_follows_the_documented_rules() -> None:
    book = BinanceBook(SNAPSHOT)
    assert not book.apply(delta(90, 100, bids=[["9.10", "99"]]))  # the snapshot has it
    bridge = delta(95, 103, bids=[["10.0", "0.000"], ["7", "1"]], asks=[["12.50", "4.0"]])
    assert book.apply(f'{{"stream":"a@depth","data":{bridge}}}')
    assert book.apply(delta(104, 104, asks=[["13", "0"]]))  # a level that it never had
    assert book.levels() == ([("9.10", "1"), ("7", "1")], [("11.0", "3"), ("12.50", "4.0")])
    assert book.last_update_id == 104


@pytest.mark.parametrize("first", [102, 200])
def test_binance_book_needs_a_bridge(first: int) -> None:
    with pytest.raises(BrokenSequence, match="expected update 101"):
        BinanceBook(SNAPSHOT).apply(delta(first, 300))


@pytest.mark.parametrize(("first", "last"), [(106, 107), (104, 106), (101, 104)])
def test_binance_book_notices_loss_and_repetition(first: int, last: int) -> None:
    book = BinanceBook(SNAPSHOT)
    book.apply(delta(101, 104))
    with pytest.raises(BrokenSequence, match="expected update 105"):
        book.apply(delta(first, last))


def coinbase(kind: str, product: str, side: str, price: str, quantity: str) -> str:
    update = {"side": side, "price_level": price, "new_quantity": quantity}
    event = {"type": kind, "product_id": product, "updates": [update]}
    return json.dumps({"channel": "l2_data", "sequence_num": 0, "events": [event]})


def test_coinbase_book() -> None:
    book = CoinbaseBook("A")
    book.apply(coinbase("update", "B", "bid", "5", "5"))  # another product's
    with pytest.raises(BrokenSequence):
        book.apply(coinbase("update", "A", "bid", "5", "5"))
    book.apply(coinbase("snapshot", "A", "bid", "5.10", "0.0100"))
    book.apply(coinbase("update", "A", "offer", "6", "1e-8"))
    book.apply(coinbase("update", "A", "offer", "7", "0"))
    assert book.levels() == ([("5.10", "0.0100")], [("6", "1e-8")])
    book.apply(coinbase("snapshot", "A", "offer", "8", "1"))
    assert book.levels() == ([], [("8", "1")])
    assert book.snapshots == 2


def test_coinbase_sequence() -> None:
    sequence = CoinbaseSequence()
    sequence.check('{"sequence_num":0}')
    with pytest.raises(BrokenSequence):
        sequence.check('{"sequence_num":2}')
