from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from random import Random

import pytest

from tests.kit.books import CoinbaseBook
from tests.kit.traffic import COINBASE, load, requires_traffic
from wsproxy.venues import coinbase_state
from wsproxy.venues.base import Body, Numbered
from wsproxy.venues.coinbase_frames import ITEMS
from wsproxy.venues.coinbase_state import Book, LateJoin, late_join

Update = tuple[str, str, str]
"""Side, price and quantity, as texts."""


def frame(channel: str, *events: object, at: str = "t") -> bytes:
    whole = {"channel": channel, "timestamp": at, "sequence_num": 3, "events": events}
    return json.dumps(whole, separators=(",", ":")).encode()


def l2(kind: str, updates: Iterable[Update], product: str = "BTC-USD", at: str = "t") -> object:
    levels = [
        {"side": side, "event_time": at, "price_level": price, "new_quantity": quantity}
        for side, price, quantity in updates
    ]
    return {"type": kind, "product_id": product, "updates": levels}


def book(kind: str, *updates: Update, at: str = "t") -> bytes:
    return frame("l2_data", l2(kind, updates, at=at), at=at)


def trades(kind: str, *numbers: int, product: str = "BTC-USD") -> object:
    return {"type": kind, "trades": [{"product_id": product, "trade_id": f"{n}"} for n in numbers]}


def candles(kind: str, *candles: tuple[int, str]) -> bytes:
    items = [{"start": f"{s}", "close": c, "product_id": "BTC-USD"} for s, c in candles]
    return frame("candles", {"type": kind, "candles": items})


def status(kind: str, **products: str) -> bytes:
    items = [{"id": f"{base}-USD", "status": said} for base, said in products.items()]
    return frame("status", {"type": kind, "products": items})


def state(stream: str, *messages: bytes) -> LateJoin:
    made = late_join(stream)
    assert made is not None
    for message in messages:
        made.feed(message)
    return made


def text(body: Body | None) -> bytes:
    assert isinstance(body, Numbered)
    return body.head + b"3" + body.tail


SNAPSHOT = book(
    "snapshot", ("bid", "10.50", "1.0"), ("bid", "9", "2"), ("offer", "11", "3"), at="t0"
)


def test_before_the_venues_snapshot_nothing_is_known() -> None:
    assert state("level2:BTC-USD").snapshot() is None
    assert state("level2:BTC-USD", book("update", ("bid", "1", "1"))).snapshot() is None


def test_the_venues_own_snapshot_comes_back_byte_for_byte() -> None:
    spaced = SNAPSHOT.replace(b'"updates":', b'"new" : 1.50, "updates" : ')
    made = state("level2:BTC-USD", book("update", ("bid", "1", "1")), spaced)
    assert text(made.snapshot()) == spaced
    assert text(made.snapshot()) == spaced


def test_a_book_is_folded_in_the_venues_shape_with_its_tokens() -> None:
    made = state(
        "level2:BTC-USD",
        SNAPSHOT,
        book("update", ("bid", "10.5", "0"), ("bid", "8", "0.00000000"), ("offer", "12", "7.70")),
        book("update", ("bid", "9.750", "4"), ("offer", "11.0", "3.30"), at="t2"),
    )
    assert text(made.snapshot()) == (
        b'{"channel":"l2_data","timestamp":"t2","sequence_num":3,"events":['
        b'{"type":"snapshot","product_id":"BTC-USD","updates":['
        b'{"side":"bid","event_time":"t2","price_level":"9.750","new_quantity":"4"},'
        b'{"side":"bid","event_time":"t0","price_level":"9","new_quantity":"2"},'
        b'{"side":"offer","event_time":"t2","price_level":"11.0","new_quantity":"3.30"},'
        b'{"side":"offer","event_time":"t","price_level":"12","new_quantity":"7.70"}]}]}'
    )


def test_messages_that_carry_nothing_else_need_not_be_looked_at() -> None:
    messages = [
        SNAPSHOT,
        book("update", ("bid", "10.5", "0"), ("offer", "12", "7.70")),
        book("update", ("bid", "9.750", "4"), at="t2"),
        book("snapshot", ("bid", "1", "1")),
        book("update", ("bid", "2", "2")),
    ]
    alone, usual = state("level2:BTC-USD"), state("level2:BTC-USD")
    assert alone.snapshot() is None
    for message in messages:
        alone.feed_alone(message)
        usual.feed(message)
        assert text(alone.snapshot()) == text(usual.snapshot())
    alone.feed_alone(SNAPSHOT)
    alone.feed_alone(SNAPSHOT.replace(b'"snapshot"', b'"update"')[:-9])
    assert alone.snapshot() is None, "what cannot be read may have changed anything"


@pytest.mark.parametrize(
    "spelling", ["9.75", "9.7500", "09.75", "9.75000000000000000000", "0000000000000000009.75"]
)
def test_a_price_is_the_same_however_it_is_spelled(spelling: str) -> None:
    made = state(
        "level2:BTC-USD",
        book("snapshot", ("bid", "9.75", "1"), ("bid", "9", "2")),
        book("update", ("bid", spelling, "0")),
    )
    levels = json.loads(text(made.snapshot()))["events"][0]["updates"]
    assert [level["price_level"] for level in levels] == ["9"]


def test_prices_are_ordered_as_numbers_however_long() -> None:
    prices = ["9", "10", "0.30000000000000001", "0.30000000000000000001", "100"]
    made = state(
        "level2:BTC-USD",
        book("snapshot"),
        book("update", *(("offer", price, "1") for price in prices)),
    )
    levels = json.loads(text(made.snapshot()))["events"][0]["updates"]
    assert [level["price_level"] for level in levels] == [
        "0.30000000000000000001",
        "0.30000000000000001",
        "9",
        "10",
        "100",
    ]


def test_asking_again_and_going_on() -> None:
    made = state("level2:BTC-USD", SNAPSHOT, book("update", ("bid", "9", "0")))
    first = made.snapshot()
    assert made.snapshot() == first
    made.feed(book("update", ("bid", "9", "2"), at="t0"))
    made.feed(book("update", ("bid", "10.5", "1.0"), at="t0"))
    levels = json.loads(text(made.snapshot()))["events"][0]["updates"]
    assert [level["price_level"] for level in levels] == ["10.5", "9", "11"]


def test_a_new_snapshot_replaces_everything() -> None:
    made = state("level2:BTC-USD", SNAPSHOT, book("update", ("bid", "9", "0")))
    made.snapshot()
    again = book("snapshot", ("offer", "5", "1"), at="t9")
    made.feed(book("update", ("bid", "7", "1")))
    made.feed(again)
    assert text(made.snapshot()) == again


def test_a_frame_of_several_products_gives_each_state_its_own_part() -> None:
    snapshot = frame(
        "l2_data",
        l2("update", [("bid", "1", "1")], "ETH-USD"),
        l2("snapshot", [("bid", "5", "1")]),
    )
    update = frame(
        "l2_data",
        l2("snapshot", [("bid", "7", "7")], "ETH-USD"),
        l2("update", [("bid", "6", "1")]),
    )
    made = state("level2:BTC-USD", snapshot)
    assert text(made.snapshot()) == frame("l2_data", l2("snapshot", [("bid", "5", "1")]))
    made.feed(update)
    assert text(made.snapshot()) == (
        frame("l2_data", l2("snapshot", [("bid", "6", "1"), ("bid", "5", "1")]))
    )


def test_the_backlog_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    class Spy(Book):
        def take(self, message: bytes) -> Iterator[None]:
            taken.append(message)
            return super().take(message)

    changes = [book("update", ("bid", f"{n % 7}", f"{n % 3}"), at=f"t{n}") for n in range(10, 60)]
    monkeypatch.setattr(coinbase_state, "_BACKLOG_BYTES", 3 * len(changes[0]))
    made = LateJoin("level2:BTC-USD", Spy)
    lazy = state("level2:BTC-USD", SNAPSHOT)
    for number, message in enumerate([SNAPSHOT, *changes]):
        made.feed(message)
        assert number - 3 <= len(taken) <= number + 1
    monkeypatch.undo()
    for change in changes:
        lazy.feed(change)
    assert made.snapshot() == lazy.snapshot()


def settled(made: LateJoin, *meanwhile: bytes) -> int:
    """Settle it wholly; messages come meanwhile, one behind each step. How many steps it took."""
    steps, more = 0, iter(meanwhile)
    while made.settle():
        steps += 1
        made.feed(next(more, book("update")))
    assert next(more, None) is None
    return steps


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little is much."""
    monkeypatch.setattr(coinbase_state, "_SETTLED_BYTES", 200)
    monkeypatch.setattr(coinbase_state, "_SLICE", 2)


@pytest.mark.usefixtures("small")
def test_a_book_is_folded_in_slices_while_messages_come() -> None:
    levels = [("bid", f"{n}", "1") for n in range(1, 9)]
    changes = [book("update", ("bid", f"{n}", "2"), at=f"t{n}") for n in range(1, 4)]
    whole = state("level2:BTC-USD", book("snapshot", *levels), *changes)
    made = state("level2:BTC-USD", book("snapshot", *levels), changes[0])
    assert settled(made, *changes[1:]) >= 4
    assert made.same(whole)
    assert made.settle() is False


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("steps", range(8))
def test_a_fold_that_has_begun_is_finished_when_somebody_asks(steps: int) -> None:
    messages = book("snapshot", *[("bid", f"{n}", "1") for n in range(1, 9)]), book("update")
    made, whole = (state("level2:BTC-USD", *messages) for _ in range(2))
    for _ in range(steps):
        made.settle()
    assert made.snapshot() == whole.snapshot()
    assert made.settle() is False


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("last", [SNAPSHOT, b"garbage"])
def test_a_fold_that_has_begun_is_dropped_with_its_book(last: bytes) -> None:
    made = state("level2:BTC-USD", book("snapshot", *[("bid", "5", "1")] * 9), book("update"))
    assert made.settle()
    made.feed(last)
    settled(made)
    assert made.same(state("level2:BTC-USD", last))


@pytest.mark.usefixtures("small")
def test_what_nobody_can_read_is_forgotten_while_it_settles() -> None:
    made = state("level2:BTC-USD", SNAPSHOT, book("update", ("bid", "much", "1")))
    settled(made)
    assert made.snapshot() is None


def test_little_is_folded_when_somebody_asks() -> None:
    """As is a snapshot, byte for byte, behind which nothing came."""
    large = book("snapshot", *[("bid", f"{n}", "1") for n in range(1, 2_000)])
    assert len(large) > coinbase_state._SETTLED_BYTES
    assert state("level2:BTC-USD", large).settle() is False
    assert state("level2:BTC-USD", SNAPSHOT, book("update")).settle() is False
    assert state("level2:BTC-USD", large, book("update")).settle() is True


@pytest.mark.parametrize(
    "broken",
    [
        b"garbage",
        frame("l2_data", {"type": "update", "product_id": "BTC-USD"}),
        frame("l2_data", {"product_id": "BTC-USD", "updates": []}),
        book("update", ("bid", "much", "1")),
        book("update", ("bid", "NaN", "1")),
        book("update", ("bid", "sNaN", "1")),
        book("update", ("offer", "Infinity", "1")),
        book("update", ("bid", "1", "1"))[:-4],
    ],
)
def test_after_a_broken_message_the_next_snapshot_is_awaited(broken: bytes) -> None:
    made = state("level2:BTC-USD", SNAPSHOT, broken)
    assert made.snapshot() is None
    made.feed(book("update", ("bid", "1", "1")))
    assert made.snapshot() is None
    made.feed(SNAPSHOT)
    assert text(made.snapshot()) == SNAPSHOT


def test_trades_are_the_last_hundred_newest_first() -> None:
    snapshot = frame("market_trades", trades("snapshot", *range(100, 0, -1)))
    made = state("market_trades:BTC-USD", snapshot)
    assert text(made.snapshot()) == snapshot
    made.feed(frame("market_trades", trades("update", 102, 101)))
    made.feed(frame("market_trades", trades("update", 103), trades("update", 9, product="X-Y")))
    assert text(made.snapshot()) == (frame("market_trades", trades("snapshot", *range(103, 3, -1))))


def test_older_trades_are_not_looked_at() -> None:
    newer = [frame("market_trades", trades("update", number)) for number in range(1, 101)]
    first = frame("market_trades", trades("snapshot", 0))
    made = state("market_trades:BTC-USD", first, b"garbage", *newer)
    assert text(made.snapshot()) == frame("market_trades", trades("snapshot", *range(100, 0, -1)))
    assert state("market_trades:BTC-USD", first, b"garbage", *newer[1:]).snapshot() is None


@pytest.mark.parametrize("stream", ["market_trades:BTC-USD", "ticker:BTC-USD"])
def test_what_comes_is_taken_in_now_and_then(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames of several products, too: each of their states has its own part."""
    channel = stream.partition(":")[0]

    def both(kind: str, number: int) -> bytes:
        items = [{"product_id": f"{base}-USD", "trade_id": f"{number}"} for base in ("BTC", "ETH")]
        return frame(channel, {"type": kind, ITEMS[channel]: items})

    monkeypatch.setattr(coinbase_state, "_BACKLOG_BYTES", 1_000)
    made = state(stream, both("snapshot", 0))
    for number in range(1, 300):
        made.feed(both("update", number))
    kept = json.loads(text(made.snapshot()))["events"][0][ITEMS[channel]]
    assert {item["product_id"] for item in kept} == {"BTC-USD"}
    numbers = [int(item["trade_id"]) for item in kept]
    assert numbers == (list(range(299, 199, -1)) if channel == "market_trades" else [299])


def test_candles_are_kept_by_their_start() -> None:
    made = state(
        "candles:BTC-USD",
        candles("snapshot", (900, "1"), (1200, "2")),
        candles("update", (1200, "2.50")),
        candles("update", (1500, "3")),
    )
    assert text(made.snapshot()) == candles("snapshot", (900, "1"), (1200, "2.50"), (1500, "3"))
    for start in range(1800, 1800 + 300 * 150, 300):
        made.feed(candles("update", (start, "4")))
    kept = json.loads(text(made.snapshot()))["events"][0]["candles"]
    assert len(kept) == 100
    assert kept[-1]["start"] == f"{1800 + 300 * 149}"


@pytest.mark.parametrize("channel", ["ticker", "ticker_batch"])
def test_a_ticker_is_its_last_one(channel: str) -> None:
    def ticker(kind: str, *prices: str) -> bytes:
        items = [{"type": "ticker", "product_id": "BTC-USD", "price": price} for price in prices]
        return frame(channel, {"type": kind, "tickers": items})

    made = state(f"{channel}:BTC-USD", ticker("snapshot", "1.0"), ticker("update", "2.0", "3.0"))
    assert text(made.snapshot()) == ticker("snapshot", "3.0")


def test_a_status_is_its_last_one() -> None:
    made = state("status:BTC-USD", status("snapshot", BTC="online", ETH="online"))
    assert text(made.snapshot()) == status("snapshot", BTC="online")
    made.feed(status("update", ETH="offline", BTC="delisted"))
    assert text(made.snapshot()) == status("snapshot", BTC="delisted")


def test_states_are_the_same_where_their_content_is() -> None:
    stream = "level2:BTC-USD"
    made = state(stream, SNAPSHOT, book("update", ("bid", "9", "0"), ("bid", "8", "1.50")))
    again = book(
        "snapshot", ("bid", "10.50", "1"), ("bid", "8.0", "1.5"), ("offer", "11", "3"), at="t9"
    )
    assert made.same(state(stream, again))
    assert state(stream, again).same(made)
    assert not made.same(state(stream, SNAPSHOT))
    assert not made.same(state(stream, again, book("update", ("offer", "11", "30"))))
    assert not made.same(state(stream, again.replace(b"bid", b"offer")))


def test_comparing_leaves_a_state_as_it_is() -> None:
    made = state("level2:BTC-USD", SNAPSHOT)
    assert made.same(state("level2:BTC-USD", SNAPSHOT))
    assert text(made.snapshot()) == SNAPSHOT
    made.feed(book("update", ("bid", "9", "0")))
    assert not made.same(state("level2:BTC-USD", SNAPSHOT))
    assert b'"9"' not in text(made.snapshot())


def test_states_that_know_nothing_are_the_same() -> None:
    nothing = state("level2:BTC-USD")
    assert nothing.same(state("level2:BTC-USD"))
    assert not nothing.same(state("level2:BTC-USD", SNAPSHOT))
    assert nothing.same(state("level2:BTC-USD", book("snapshot", ("bid", "much", "1"))))


@pytest.mark.parametrize(
    ("stream", "first", "update", "both"),
    [
        (
            "market_trades:BTC-USD",
            frame("market_trades", trades("snapshot", 2, 1)),
            frame("market_trades", trades("update", 3)),
            frame("market_trades", trades("snapshot", 3, 2, 1)),
        ),
        (
            "candles:BTC-USD",
            candles("snapshot", (900, "1"), (1200, "2")),
            candles("update", (1200, "3")),
            candles("snapshot", (900, "1"), (1200, "3")),
        ),
        (
            "status:BTC-USD",
            status("snapshot", BTC="online"),
            status("update", BTC="delisted"),
            status("snapshot", BTC="delisted"),
        ),
    ],
)
def test_other_states_that_are_the_same(
    stream: str, first: bytes, update: bytes, both: bytes
) -> None:
    assert state(stream, first, update).same(state(stream, both))
    assert not state(stream, first).same(state(stream, both))


def test_heartbeats_have_no_state() -> None:
    assert late_join("heartbeats") is None


@requires_traffic
@pytest.mark.parametrize("product", ["BTC-USD", "ETH-USD"])
def test_the_recorded_book_at_random_points(product: str) -> None:
    made = state(f"level2:{product}")
    whole = CoinbaseBook(product)
    frames = [line.m for line in load(COINBASE) if '"l2_data"' in line.m[:30]]
    frames = [m for m in frames if f'"product_id":"{product}"' in m[:200]]
    points = set(Random(7).sample(range(len(frames)), 2)) | {0, len(frames) - 1}
    for number, message in enumerate(frames):
        made.feed(message.encode())
        whole.apply(message)
        if number in points:
            body = text(made.snapshot())
            late = CoinbaseBook(product)
            late.apply(body)
            assert late.levels() == whole.levels()
            snapshot = json.loads(body)
            assert snapshot["timestamp"] == json.loads(message)["timestamp"]
            shape = [(list(update), update["side"]) for update in snapshot["events"][0]["updates"]]
            members = ["side", "event_time", "price_level", "new_quantity"]
            assert shape == sorted(((members, side) for _, side in shape), key=lambda x: x[1])


@requires_traffic
@pytest.mark.parametrize("product", ["BTC-USD", "ETH-USD"])
@pytest.mark.parametrize(
    ("channel", "items"),
    [("market_trades", "trades"), ("candles", "candles"), ("ticker", "tickers")],
)
def test_recorded_items_reach_late_joiners(channel: str, items: str, product: str) -> None:
    made = state(f"{channel}:{product}")
    everything: list[dict[str, str]] = []
    for line in load(COINBASE):
        if line.dir == "in" and f'"channel":"{channel}"' in line.m[:40] and product in line.m:
            made.feed(line.m.encode())
            everything += reversed(json.loads(line.m)["events"][0][items])
    late = json.loads(text(made.snapshot()))["events"][0][items]
    if channel == "market_trades":
        assert late == everything[:-101:-1]
    elif channel == "candles":
        starts = {candle["start"]: candle for candle in reversed(everything[:100])}
        starts |= {candle["start"]: candle for candle in everything[100:]}
        assert late == [starts[start] for start in sorted(starts)]
    else:
        assert late == everything[-1:]
