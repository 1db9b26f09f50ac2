from __future__ import annotations

from itertools import islice

import pytest

from tests.kit.campaign import Market, item, knob, microsecond_wish, resident_bytes
from tests.kit.chaos import Item
from tests.kit.exchange_coinbase import streams_of

STREAMS = ["a@trade", "a@depth@100ms", "level2:A-USD"]


def test_a_market_numbers_each_stream_and_tells_its_last() -> None:
    market = Market(STREAMS, 1)
    assert [item(text) for text in market.openings.values()] == [Item("level2:A-USD", 1, True)]
    playing = market.cues()
    cues = [*market.round(), *islice(playing, 300)]
    market.stop()
    assert next(playing, None) is None
    for stream in STREAMS:
        mine = [item(cue.text) for cue in cues if cue.streams == (stream,)]
        first = 2 if stream.startswith("level2:") else 1
        assert mine == [Item(stream, n) for n in range(first, market.last[stream] + 1)]
        assert len(mine) > 50
    assert {streams_of(cue.text) for cue in cues if "l2_data" in cue.text} == {("level2:A-USD",)}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"e":"trade","E":7,"s":"A","t":7}', Item("a@trade", 7)),
        ('{"stream":"a@trade","data":{"e":"trade","E":7,"s":"A","t":7}}', Item("a@trade", 7)),
        ('{"e":"depthUpdate","s":"A","U":7,"u":7}', Item("a@depth@100ms", 7)),
        ('{"result":null,"id":1}', None),
        ('{"channel":"heartbeats","events":[]}', None),
        ("[]", None),
        ("no json", None),
        (b"\xff", None),
    ],
)
def test_items(payload: str | bytes, expected: Item | None) -> None:
    assert item(payload) == expected


def test_knobs_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KILLS", raising=False)
    assert knob("KILLS", 5) == 5
    monkeypatch.setenv("KILLS", "100")
    assert knob("KILLS", 5) == 100


def test_a_microsecond_wish_subscribes_by_message() -> None:
    wish = microsecond_wish(["a@trade"])
    assert wish.path == "/stream?timeUnit=MICROSECOND"
    assert len(wish.requests) == 2
    assert wish.streams == {"a@trade"}


def test_memory_of_nobody_is_nothing() -> None:
    assert resident_bytes(1 << 30) == 0
