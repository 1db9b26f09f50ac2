"""The bench counts right; how fast anything is, is not for tests."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.bench import fanout
from tests.bench.fanout import Measurement, measure, rates, recording_cost, run, too_slow
from tests.bench.load import FRAME_BYTES, MESSAGE_BYTES, STREAMS, chunks, cut, message
from tests.bench.tables import markdown, plain, put
from wsproxy.venues.base import Span
from wsproxy.venues.binance import Binance
from wsproxy.wire.frames import Splitter


def test_every_message_has_the_same_size_and_names_its_stream() -> None:
    dice = Random(7)
    for stream in STREAMS:
        payload = message(stream, 7, dice)
        assert len(payload) == MESSAGE_BYTES
        assert Binance().key(payload) == stream.encode()


def test_the_numbers_of_a_stream_have_no_gap() -> None:
    venue, stream, dice = Binance(), STREAMS[0], Random(7)
    first, second = (venue.mark(message(stream, n, dice), stream) for n in (0, 1))
    assert isinstance(first, Span)
    assert isinstance(second, Span)
    assert second.first == first.last + 1


def test_what_is_sent_is_so_many_whole_frames() -> None:
    runs = chunks()
    count = 3 + sum(map(len, runs)) // FRAME_BYTES
    payloads = [p for run in cut(runs, count) for p in Splitter(MESSAGE_BYTES).feed(run).payloads]
    assert len(payloads) == count
    assert {len(payload) for payload in payloads} == {MESSAGE_BYTES}


def test_every_relay_brings_every_client_every_byte(capsys: pytest.CaptureFixture[str]) -> None:
    results = run(1, {relay: {1: 300, 3: 200} for relay in fanout.RELAYS})
    assert sorted(results) == [(relay, n) for relay in sorted(fanout.RELAYS) for n in (1, 3)]
    assert len(plain(rates(results)).splitlines()) == 7
    assert capsys.readouterr().err == ""


def test_a_relay_that_fails_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout, "_command", lambda *_: ["-c", "raise SystemExit('no luck')"])
    with pytest.raises(RuntimeError, match="no luck"):
        measure("plain", 1, 1)


def _results(**rate: float) -> fanout.Rounds:
    return {
        (relay, 50): [Measurement(50, 1000, 1000 / per_second, None) for _ in range(3)]
        for relay, per_second in rate.items()
    }


def test_costs_are_shares_of_the_rate_without_recording() -> None:
    results = _results(proxy=1000, record=800, plain=1)
    assert recording_cost(results)[1] == ["", "50", "20 %", "20 to 20 %"]


def test_floors_name_what_is_too_slow() -> None:
    assert too_slow(_results(proxy=1000, record=800, plain=10)) == []
    slow = too_slow(_results(proxy=1000, record=400, plain=100))
    assert [text.split(":")[0] for text in slow] == list(fanout.FLOORS)


def test_a_table_is_put_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- t -->\nold\n<!-- /t -->\nb\n")
    put(page, "t", markdown([["", "n"], ["x", "10"]]))
    put(page, "t", markdown([["", "n"], ["x", "10"]]))
    assert page.read_text() == (
        "a\n<!-- t -->\n|   |  n |\n| - | -: |\n| x | 10 |\n<!-- /t -->\nb\n"
    )
    with pytest.raises(ValueError, match="other"):
        put(page, "other", "")
