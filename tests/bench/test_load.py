from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

from tests.bench.load import (
    FRAME_BYTES,
    FUTURES,
    PIECE,
    SIZES,
    STREAMS,
    chunks,
    frame,
    message,
    names,
    onward,
    pattern,
    wire_bytes,
)
from tests.kit import traffic
from wsproxy.venues.base import Data, Span
from wsproxy.venues.binance import Binance
from wsproxy.wire.frames import Splitter


@pytest.mark.parametrize("size", [161, 179, 300, 301, 9161])
def test_a_message_has_the_size_that_is_asked_for_and_names_its_stream(size: int) -> None:
    dice = Random(7)
    for stream in STREAMS:
        payload = message(stream, 7, dice, size=size)
        assert len(payload) == size
        assert Binance().read(payload, "/stream") == Data((stream,))


def test_a_message_has_a_smallest_size() -> None:
    with pytest.raises(ValueError, match="too few"):
        message(STREAMS[0], 7, Random(7), size=150)


def test_the_numbers_of_a_stream_have_no_gap() -> None:
    venue, stream, dice = Binance(), STREAMS[0], Random(7)
    first, second = (venue.mark(message(stream, n, dice), stream) for n in (0, 1))
    assert isinstance(first, Span)
    assert isinstance(second, Span)
    assert second.first == first.last + 1


@pytest.mark.parametrize("sizes", list(SIZES))
def test_behind_a_pattern_numbers_can_go_on(sizes: str) -> None:
    streams = 4_000
    frames = list(map(frame, pattern(streams, sizes)))
    passes = [[onward(frames, streams, n * len(frames) + at) for at in (1, 4_001)] for n in (0, 1)]
    assert passes[0] == [frames[1], frames[4_001]]
    assert [len(frame) for frame in passes[1]] == [len(frames[1]), len(frames[4_001])]
    numbers, stream = Binance().numbers(names(streams)[1]), names(streams)[1]
    assert numbers is not None
    payloads = Splitter(1 << 20).feed(b"".join(passes[0] + passes[1])).payloads
    assert {Binance().read(payload, "/stream") for payload in payloads} == {Data((stream,))}
    spans = [span for span in numbers(payloads) if span is not None]
    assert [after[0] - before[1] for before, after in pairwise(spans)] == [1, 1, 1]


@pytest.mark.parametrize("sizes", list(SIZES))
def test_a_pattern_holds_each_stream_and_is_as_long_as_it_says(sizes: str) -> None:
    payloads = pattern(9_000, sizes)
    frames = b"".join(map(frame, payloads))
    assert Splitter(1 << 20).feed(frames).payloads == payloads
    assert len(payloads) == 9_000
    carried = {Binance().streams(key, "/stream") for key in Binance().keys(payloads)}
    assert carried == {(name,) for name in names(9_000)}
    assert wire_bytes(sizes, 9_000) == len(frames)
    with pytest.raises(ValueError, match="pieces"):
        wire_bytes(sizes, PIECE + 1)


def test_chunks_are_whole_frames() -> None:
    assert {len(chunk) % FRAME_BYTES for chunk in chunks()} == {0}


@traffic.requires_traffic
def test_sizes_are_those_of_recorded_traffic() -> None:
    lines = traffic.load("binance_futures__hftb-btcusdt_20240808")
    sizes = sorted(len(line.m.encode()) for line in lines)
    parts = [sizes[n * len(sizes) // PIECE : (n + 1) * len(sizes) // PIECE] for n in range(PIECE)]
    means = sorted(size for size, times in FUTURES.items() for _ in range(times))
    assert means == [round(sum(part) / len(part)) for part in parts]
