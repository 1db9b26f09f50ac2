"""A replay that goes on live, while its recording is still written and after it has ended."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit.campaign import Market, Trader, wait_until
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.proxy import PATIENCE_S, Process
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import play, stop
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import Wish, binance, coinbase
from wsproxy.app.asking import ask

TRADES, DEPTH = "btcusdt@trade", "btcusdt@depth@100ms"
BOOKS = ["level2:BTC-USD", "level2:ETH-USD"]
RATE = 400


class Venue:
    """A market of one venue, an exchange where it goes on, and a recording of it."""

    def __init__(self, name: str, out: Path) -> None:
        self.name = name
        self.out = out
        streams = [TRADES, DEPTH] if name == "binance" else BOOKS
        self.market = Market(streams, 1)
        self.exchange: Exchange = (
            BinanceExchange()
            if name == "binance"
            else CoinbaseExchange(openings=self.market.openings)
        )
        self.wish: Wish = binance(streams) if name == "binance" else coinbase(streams)
        self.url = ""

    def record(self) -> Process:
        """A recorder that has everything from now on."""
        wanted = [f"--subscribe={self.name}:{stream}" for stream in self.market.streams]
        options = ("--listen=127.0.0.1:0", "--admin=off", f"--out={self.out}", *wanted)
        recorder = Process(("record", f"{self.name}={self.url}", *options))
        self.exchange.wait_for(lambda: self.exchange.subscribed >= set(self.market.streams))
        return recorder

    @contextmanager
    def going_on(self) -> Iterator[Future[None]]:
        """The market goes on for as long as the block lasts."""
        playing = self.exchange.play(self.market.cues(), rate=RATE)
        try:
            yield playing
        finally:
            self.market.stop()
            playing.result(PATIENCE_S)

    def has_played(self, count: int) -> bool:
        """Whether so many messages of every stream were played."""
        return min(self.market.last.values()) >= count

    @contextmanager
    def then_live(self, *options: str) -> Iterator[Process]:
        """The replay that is tested."""
        address = f"--upstream={self.name}={self.url}"
        arguments = ("replay", str(self.out), "--then-live", address, "--settle=0", *options)
        with running_wsproxy(*arguments) as process:
            yield process


@pytest.fixture(params=["binance", "coinbase"])
def venue(request: pytest.FixtureRequest, out: Path) -> Iterator[Venue]:
    venue = Venue(request.param, out)
    with running(venue.exchange) as venue.url:
        yield venue


only_binance = pytest.mark.parametrize("venue", ["binance"], indirect=True)


def finish(venue: Venue, trader: Trader) -> None:
    """One more message of everything, which the client gets."""
    play(venue.exchange, venue.market.round())
    assert wait_until(lambda: trader.has(venue.market.last), PATIENCE_S)


def numbers(trader: Trader) -> dict[str, list[int]]:
    (session,) = trader.sessions
    items = trader.items(session).items()
    return {stream: [one.number for one in found] for stream, found in items}


def test_while_it_is_recorded(floor: TradingFloor, venue: Venue) -> None:
    recorder = venue.record()
    with venue.going_on() as playing:
        assert wait_until(partial(venue.has_played, 300), PATIENCE_S)
        with venue.then_live() as process:
            trader = Trader(floor, process.url, venue.wish)
            process.wait_for("live from here")
            count = min(venue.market.last.values())
            assert wait_until(partial(venue.has_played, count + 50), PATIENCE_S)
            venue.market.stop()
            playing.result(PATIENCE_S)
            finish(venue, trader)
            ended = process.stop()
    stop(recorder)
    assert ended.code == 0, ended.err
    assert "missing" not in ended.err
    assert "gap" not in ended.err
    last = venue.market.last
    assert numbers(trader) == {stream: list(range(1, last[stream] + 1)) for stream in last}


def record_some(venue: Venue) -> dict[str, int]:
    """A recording that has ended; gives the last number of each stream."""
    recorder = venue.record()
    play(venue.exchange, [cue for _ in range(50) for cue in venue.market.round()])
    stop(recorder)
    return dict(venue.market.last)


@only_binance
def test_what_follows_the_recording_is_no_gap(floor: TradingFloor, venue: Venue) -> None:
    record_some(venue)
    with venue.then_live() as process:
        trader = Trader(floor, process.url, venue.wish)
        process.wait_for("live from here")
        finish(venue, trader)
        ended = process.stop()
    assert (ended.code, "missing" in ended.err) == (0, False)
    assert numbers(trader) == {stream: list(range(1, 52)) for stream in venue.market.streams}


def test_a_gap_is_told_and_clients_go_on(floor: TradingFloor, tmp_path: Path, venue: Venue) -> None:
    last = record_some(venue)
    play(venue.exchange, [cue for _ in range(7) for cue in venue.market.round()])
    admin = tmp_path / "admin.sock"
    with venue.then_live("--on-gap=continue", f"--admin={admin}") as process:
        trader = Trader(floor, process.url, venue.wish)
        process.wait_for("live from here")
        finish(venue, trader)
        wait_until(lambda: len(status(admin)["gaps"]) == 2, PATIENCE_S)
        gaps = status(admin)["gaps"]
        ended = process.stop()
    assert ended.code == 0
    if venue.name == "binance":
        found = {gap["streams"][0]: (gap["last"], gap["first"], gap["missed"]) for gap in gaps}
        assert found == dict.fromkeys(last, (50, 58, 7))
        assert ended.err.count("7 are missing between ") == 2 * len(last)  # then, and at the end
        expected = [*range(1, 51), 58]
    else:  # the venue's snapshot has the numbers of all, and the clients begin anew with it
        assert ended.err.count("messages may be missing between ") >= 1
        expected = [*range(1, 52), 58, 59]
    assert numbers(trader) == dict.fromkeys(last, expected)


@only_binance
def test_a_gap_closes_who_cannot_be_made_whole(floor: TradingFloor, venue: Venue) -> None:
    record_some(venue)
    play(venue.exchange, [cue for _ in range(7) for cue in venue.market.round()])
    with venue.then_live() as process:
        trader = Trader(floor, process.url, venue.wish)
        process.wait_for("live from here")
        play(venue.exchange, venue.market.round())
        code, reason = trader.sessions[0].wait_closed(PATIENCE_S)
        ended = process.stop()
    assert code == 1012
    assert re.match(
        r"gap in btcusdt@(trade|depth@100ms).*: the sequence jumped from 50 to 58", reason
    )
    assert "7 are missing between " in ended.err


def test_a_venue_that_cannot_be_reached(floor: TradingFloor, out: Path) -> None:
    venue = Venue("binance", out)
    with running(venue.exchange) as venue.url:
        record_some(venue)
    with venue.then_live() as process:
        trader = Trader(floor, process.url, venue.wish)
        process.wait_for("100 recorded messages")
        process.wait_for("binance: ")
        assert wait_until(lambda: trader.has(venue.market.last), PATIENCE_S)
        ended = process.stop(signal.SIGINT)  # while it waits for the venue
    assert ended.code == 1, ended.err
    assert "stopped before everything was live" in ended.err


@only_binance
def test_ctrl_c_while_it_waits_for_clients(venue: Venue) -> None:
    record_some(venue)
    with venue.then_live() as process:
        process.wait_for("the timeline begins")
        ended = process.stop(signal.SIGINT)
    assert ended.code == 1
    assert "stopped before everything was live" in ended.err


def status(admin: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ask(admin, "GET", "/status"))
    return answer
