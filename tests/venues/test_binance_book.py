from __future__ import annotations

import json
from random import Random

import pytest

from tests.kit.books import BinanceBook as IndependentBook
from wsproxy.venues.base import Book
from wsproxy.venues.binance_book import BinanceBook

BODY = b'{"lastUpdateId":7,"bids":[["9.50","1.0"],["10.0","2.0"]],"asks":[["11.0","3.0"]]}'


def update(number: int, bids: str = "[]", asks: str = "[]", *, raw: bool = False) -> bytes:
    data = f'{{"e":"depthUpdate","s":"X","U":{number},"u":{number},"b":{bids},"a":{asks}}}'
    return (data if raw else f'{{"stream":"x@depth","data":{data}}}').encode()


@pytest.mark.parametrize("raw", [False, True])
def test_levels_are_set_and_removed_and_the_best_come_first(raw: bool) -> None:
    book: Book = BinanceBook(BODY)
    book.feed(update(8, '[["10.0","0.000"],["9.7","4.0"],["1.0","0"]]', '[["10.9","5"]]', raw=raw))
    assert book.number == 8
    assert json.loads(book.text(9)) == {
        "lastUpdateId": 8,
        "bids": [["9.7", "4.0"], ["9.50", "1.0"]],
        "asks": [["10.9", "5"], ["11.0", "3.0"]],
    }
    assert book.text(1) == '{"lastUpdateId":8,"bids":[["9.7","4.0"]],"asks":[["10.9","5"]]}'


def test_prices_are_sorted_as_numbers() -> None:
    book = BinanceBook(b'{"lastUpdateId":1,"bids":[["9","1"],["10","1"],["0.5","1"]],"asks":[]}')
    assert [price for price, _ in json.loads(book.text(9))["bids"]] == ["10", "9", "0.5"]


def test_it_is_the_book_that_the_documents_describe() -> None:
    dice = Random(5)
    book, truth = BinanceBook(BODY), IndependentBook(BODY)

    def some() -> str:
        levels = [[f"{dice.randint(1, 30)}.0", f"{dice.randint(0, 3)}.00"] for _ in range(5)]
        return json.dumps(levels)

    for number in range(8, 500):
        event = update(number, some(), some())
        book.feed(event)
        truth.apply(event)
        assert json.loads(book.text(5000)) == json.loads(truth.snapshot())


@pytest.mark.parametrize("body", [b"", b'{"lastUpdateId":1}', b"[]"])
def test_what_is_no_snapshot_is_said(body: bytes) -> None:
    with pytest.raises(ValueError, match="no depth snapshot"):
        BinanceBook(body)


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"data":3}'])
def test_what_is_no_update_is_said(payload: bytes) -> None:
    with pytest.raises(ValueError, match="no depth update"):
        BinanceBook(BODY).feed(payload)


def test_what_is_no_price_is_said() -> None:
    book = BinanceBook(BODY)
    book.feed(update(8, '[["-","1"]]'))
    with pytest.raises(ValueError, match="'-' is no price"):
        book.text(1)
