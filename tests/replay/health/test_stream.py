from __future__ import annotations

from wsproxy.model import StreamKey
from wsproxy.replay.health.stream import StreamHealth
from wsproxy.venues.binance import Binance
from wsproxy.venues.coinbase import Coinbase

MS = 10**6


def _trades() -> StreamHealth:
    return StreamHealth(StreamKey("binance", "a@trade"), Binance(), None)


def _trade(number: int) -> bytes:
    return b'{"stream":"a@trade","data":{"e":"trade","t":%d}}' % number


def test_latencies_and_what_came_too_early() -> None:
    stream = _trades()
    for number in range(200):
        stream.message(1, _trade(number), number, -7 if number < 3 else 100)
    assert (stream.latency.count, stream.early) == (200, 3)
    assert (stream.offset, stream.slowness) == (7, 100)


def test_one_message_too_early_is_the_venues_mistake() -> None:
    stream = _trades()
    for number in range(200):
        stream.message(1, _trade(number), number, -7 if number == 3 else 100)
    assert (stream.early, stream.offset) == (1, 0)


def test_few_latencies_tell_nothing() -> None:
    stream = _trades()
    for number in range(99):
        stream.message(1, _trade(number), number, -7)
    assert (stream.offset, stream.slowness) == (None, None)


def test_a_stream_without_numbers() -> None:
    beats = StreamHealth(StreamKey("coinbase", "heartbeats"), Coinbase(), None)
    beats.message(1, b"{}", 0, None)
    unknown = StreamHealth(StreamKey("elsewhere", "a"), None, None)
    unknown.message(1, b"{}", 0, None)
    assert (beats.numbers, unknown.numbers) == (None, None)
    assert unknown.messages == 1


def test_granted_and_mute() -> None:
    stream = _trades()
    stream.granted(1, 0)
    stream.finish(100)
    assert stream.is_mute
    never = _trades()
    never.cover.ask(0)
    never.finish(100)
    assert not never.is_mute


def test_stragglers_do_not_bring_a_stream_back() -> None:
    stream = _trades()
    stream.granted(1, 0)
    stream.message(1, _trade(1), 10 * MS, None)
    stream.given_up(1, 20 * MS)
    stream.message(1, _trade(2), 21 * MS, None)
    stream.finish(1_000 * MS)
    assert stream.messages == 2
    assert stream.cover.wanted == 20 * MS
    assert stream.silence.longest.length == 10 * MS


def test_what_it_skips_while_nobody_wants_it_is_not_missing() -> None:
    stream = _trades()
    stream.message(1, _trade(1), 0, None)
    stream.given_up(1, 1)
    stream.granted(1, 50)
    stream.message(1, _trade(90), 51, None)
    assert stream.numbers is not None
    assert stream.numbers.missing == 0


def test_holes_are_told_of() -> None:
    told = []
    key = StreamKey("binance", "a@trade")
    stream = StreamHealth(key, Binance(), lambda *hole: told.append(hole))
    stream.granted(1, 0)
    stream.closed(9, 4, by_us=False)
    stream.closed(1, 5, by_us=False)
    stream.granted(2, 9)
    assert told == [(key, 5, 9)]
