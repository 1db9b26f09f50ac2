from __future__ import annotations

import json

from wsproxy.app.bench.load import (
    FRAME_BYTES,
    MESSAGE_BYTES,
    STREAMS,
    frames,
    stamped,
    stamps,
)
from wsproxy.venues.binance import Binance
from wsproxy.wire.frames import Splitter


def test_messages_are_of_binance_and_of_one_length() -> None:
    count = 3 * len(STREAMS)
    made = frames(count)
    assert {len(frame) for frame in made} == {FRAME_BYTES}
    payloads = Splitter(MESSAGE_BYTES).feed(b"".join(made)).payloads
    assert len(set(payloads)) == count
    keys = Binance().keys(payloads)
    assert [Binance().streams(key, "/") for key in keys] == [(stream,) for stream in STREAMS] * 3
    for payload in payloads:
        assert len(payload) == MESSAGE_BYTES
        assert json.loads(payload)["data"].keys() == {"lastUpdateId", "bids", "asks"}


def test_streams_are_of_binance() -> None:
    assert tuple(map(Binance().stream, STREAMS)) == STREAMS


def test_a_frame_carries_its_time() -> None:
    first, second, third = frames(3)
    data = stamped(first, 12) + stamped(second, 9_876_543_210_123_456) + third[:-1]
    assert list(stamps(data)) == [12, 9_876_543_210_123_456]
    assert len(data) == 3 * FRAME_BYTES - 1
    json.loads(Splitter(MESSAGE_BYTES).feed(data).payloads[0])
