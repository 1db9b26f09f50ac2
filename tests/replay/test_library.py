from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import wsproxy
from wsproxy.errors import RecordingError
from wsproxy.model import StreamKey
from wsproxy.replay.library import late_join

DEMO = Path(__file__).parents[2] / "recordings" / "demo"
BOOK = "coinbase:level2:BTC-USD"


def test_a_state_is_what_the_venue_tells_a_late_joiner() -> None:
    recording = wsproxy.open(DEMO)
    found = recording.state_at("+20s", BOOK)
    (payload,) = found.values()
    (key,) = found
    assert str(key) == BOOK
    snapshot = msgspec.json.decode(payload)
    assert snapshot["sequence_num"] == 0
    assert [event["type"] for event in snapshot["events"]] == ["snapshot"]

    state = late_join(key)
    assert state is not None
    for message in recording.messages(key, end="+20s"):
        state.feed(message.payload)
    assert state.snapshot() == payload


def test_streams_that_tell_nothing_are_left_out() -> None:
    states = wsproxy.open(DEMO).state_at("+20s")
    assert {key.venue for key in states} == {"coinbase"}
    assert StreamKey("coinbase", "heartbeats") not in states


def test_unknown_venues_have_no_states() -> None:
    assert late_join(StreamKey("nasdaq", "x")) is None
    assert late_join(StreamKey("binance", "btcusdt@trade")) is None


def test_a_path_that_is_none() -> None:
    with pytest.raises(RecordingError, match="none does not exist"):
        wsproxy.open("none")
