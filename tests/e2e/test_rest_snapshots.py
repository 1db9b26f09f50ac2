"""A recording of differences holds what its books begin with, fetched beside the streams."""

from __future__ import annotations

import json
import time
from pathlib import Path

import wsproxy as library
from tests.kit.books import BinanceBook
from tests.kit.campaign import wait_until
from tests.kit.depth import DEPTH, EMPTY, STREAM, attachments, diffs, recording, truth
from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import wsproxy
from tests.kit.rest import EXCHANGE_INFO, BinanceRest, serving
from tests.kit.round_trip import play, records, stop
from wsproxy.model import Kind
from wsproxy.recording.events import read_event


def book_from(out: Path, number: int) -> BinanceBook:
    """The book that attachment ``number`` gives with all messages of the unbroken run around it."""
    runs: list[list[bytes]] = []
    last = None
    for message in library.open(out).messages(f"binance:{STREAM}"):
        update = json.loads(message.payload)["data"]
        if last is None or update["U"] != last + 1:
            runs.append([])
        runs[-1].append(message.payload)
        last = update["u"]
    assert len(runs) == len(attachments(out))
    book = BinanceBook(attachments(out)[number][1]["body"])
    assert sum(map(book.apply, runs[number])) > 0
    return book


def test_a_book_can_be_built_from_the_recording_also_behind_a_gap(out: Path) -> None:
    first, second, third = diffs(101, 200), diffs(701, 100), diffs(1001, 200)
    with recording(out) as (exchange, rest, _):
        playing = exchange.play(first, 100)
        rest.wait_for(DEPTH)
        playing.result(30)
        exchange.drop(exchange.peers[0], len(second), streams=[STREAM])
        play(exchange, second)
        playing = exchange.play(third, 100)
        playing.result(30)
        wait_until(lambda: len(attachments(out)) == 2, 30)
    assert rest.violations == []
    before, behind = attachments(out)
    (gap,) = records(out, Kind.GAP)
    assert before[0].seq < gap.seq < behind[0].seq
    assert read_event(gap.payload)["missed"] == 300
    for record, fields in (before, behind):
        assert record.venue == "binance"
        assert record.streams == (STREAM,)
        assert fields["status"] == 200
        assert fields["asked"] <= record.time
        assert str(fields["url"]).endswith("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        assert fields["headers"]["content-type"] == "application/json"
        assert "x-mbx-used-weight-1m" in fields["headers"]
    assert book_from(out, 0).levels() == truth(first).levels()
    assert book_from(out, 1).levels() == truth([*first, *second, *third]).levels()
    assert len(rest.wait_for(DEPTH)) == 2
    ((_, info),) = attachments(out, "exchangeInfo")
    assert info["body"] == EXCHANGE_INFO.encode()


def test_only_what_needs_it_is_fetched_and_weights_are_kept(out: Path) -> None:
    books = [f"r{n}usdt@depth" for n in range(20)]
    with recording(out, "--rest-depth=5000", streams=[*books, "a@trade"]) as (_, rest, _):
        wait_until(lambda: len(attachments(out)) == 11, 30)
    assert rest.violations == []
    asked = [one.path for one in rest.wait_for(DEPTH)]
    assert len(asked) == len(set(asked)) == 11  # 3000 is ours, and 1 was for the time
    assert {path.partition("limit=")[2] for path in asked} == {"5000"}


def test_the_venues_clock_is_compared(out: Path) -> None:
    with recording(out, ahead_ms=5_000) as (_, rest, _):
        rest.wait_for(DEPTH)
    of_venue, _ = records(out, Kind.CLOCK)
    fields = read_event(of_venue.payload)
    assert of_venue.venue == "binance"
    assert str(fields["source"]).endswith("/api/v3/time")
    offset, error = fields["offset"], fields["error"]
    assert isinstance(offset, int)
    assert isinstance(error, int)
    assert abs(offset - 5_000_000_000) <= error + 1_000_000


def test_who_is_told_to_wait_waits(out: Path) -> None:
    exchange = BinanceExchange(snapshots={"BTCUSDT": EMPTY})
    rest = BinanceRest(exchange.depth_snapshot)
    rest.refuse(429, retry_after_s=2)
    rest.refuse(418, retry_after_s=1)
    with (
        running(exchange) as url,
        serving(rest) as rest_url,
        wsproxy(
            *("record", f"binance={url}", f"--out={out}", f"--rest-url=binance={rest_url}"),
            f"--subscribe=binance:{STREAM}",
        ) as proxy,
    ):
        rest.wait_for(DEPTH)
        proxy.wait_for("HTTP 429; nothing is asked for in the next 2 s")
        proxy.wait_for("HTTP 418; nothing is asked for in the next 1 s")
        rest.wait_for("/api/v3/exchangeInfo")  # which comes behind the book
        stop(proxy)
    assert rest.violations == []
    assert [asked.status for asked in rest.asked][:3] == [429, 418, 200]
    assert len(attachments(out)) == 1


def test_a_server_that_hangs_delays_nobody(out: Path) -> None:
    with recording(out) as (exchange, rest, proxy):
        rest.hang()
        rest.wait_for("/api/v3/")
        play(exchange, diffs(101, 500))
        began = time.monotonic()
        stop(proxy)
        assert time.monotonic() - began < 25  # less than it would wait for an answer
    assert attachments(out) == []
    assert len(records(out, Kind.MESSAGE)) == 501


def test_a_server_that_is_not_there_is_tried_again(out: Path) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        wsproxy(
            *("record", f"binance={url}", f"--out={out}"),
            *("--rest-url=binance=http://127.0.0.1:1", f"--subscribe=binance:{STREAM}"),
        ) as proxy,
    ):
        proxy.wait_for("Connection refused; trying again in 1 s")
        proxy.wait_for("Connection refused; trying again in 2 s")
        stop(proxy)


def test_without_a_rest_url_another_exchange_is_not_asked(out: Path) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        wsproxy(
            *("record", f"binance={url}", f"--out={out}", f"--subscribe=binance:{STREAM}")
        ) as proxy,
    ):
        proxy.wait_for("without --rest-url binance=URL there are no snapshots")
        exchange.wait_for(lambda: exchange.subscribed == {STREAM})
        stop(proxy)
    assert attachments(out, "") == []


def test_a_symbol_that_is_refused_is_not_asked_for_again(out: Path) -> None:
    with recording(out, streams=["x@depth", STREAM]) as (_, rest, proxy):
        rest.wait_for(DEPTH, 2)
        rest.wait_for("/api/v3/exchangeInfo")
    assert "Invalid symbol." in proxy.err
    statuses = {asked.path: asked.status for asked in rest.wait_for(DEPTH)}
    assert sorted(statuses.values()) == [200, 400]
    assert len(rest.wait_for(DEPTH)) == 2
