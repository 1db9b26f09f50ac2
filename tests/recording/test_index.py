from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recording.support import CONNECTIONS, MONO, WALL, expand, record, three_blocks
from wsproxy.model import Batch, Kind, Message, StreamKey
from wsproxy.recording import index as module
from wsproxy.recording.decode import NOT_AS_SPECIFIED
from wsproxy.recording.encode import BlockEncoder
from wsproxy.recording.frames import PRELUDE, checked_body, read_prelude
from wsproxy.recording.index import Index, IndexBuilder, StreamTotal

HEAD_BYTES = 100


def built(blocks: Iterable[Iterable[Batch]]) -> bytes:
    """INDEX and seek table of a part with these blocks."""
    encoder = BlockEncoder(bytes(16))
    encoder.connections.update({info.number: info for info in CONNECTIONS})
    builder, seq = IndexBuilder(HEAD_BYTES), 0
    for block in blocks:
        encoded = encoder.encode(list(block), seq)
        builder.add(encoded)
        seq += encoded.head.count
    return builder.encode(encoder.numbers, encoder.connections)


def body_of(data: bytes) -> bytes:
    end = PRELUDE.size + read_prelude(data[: PRELUDE.size]).rest
    return checked_body(data[PRELUDE.size : end])


def index_of(blocks: Iterable[Iterable[Batch]]) -> Index:
    return Index.decode(body_of(built(blocks)))


def test_it_says_what_the_part_holds() -> None:
    index = index_of(three_blocks())
    messages = expand(batch for block in three_blocks() for batch in block)
    assert index.records == len(messages)
    assert index.payload_bytes == sum(len(message.payload) for message in messages)
    assert index.kinds == {Kind.OPENED: 1, Kind.MESSAGE: 6, Kind.GAP: 1}
    assert index.connections == {info.number: info for info in CONNECTIONS}
    assert {index.streams[number]: total for number, total in index.totals.items()} == {
        StreamKey("binance", "btcusdt@trade"): StreamTotal(2, 9, WALL + 10**9, WALL + 10**9),
        StreamKey("binance", "ethusdt@trade"): StreamTotal(1, 2, WALL + 10**9, WALL + 10**9),
        StreamKey("coinbase", "l2"): StreamTotal(1, 1, WALL + 2 * 10**9, WALL + 2 * 10**9),
    }
    assert list(index.seqs) == [0, 4, 5]
    assert index.offsets[0] == HEAD_BYTES
    assert (index.first, index.last) == (WALL, WALL + 9 * 10**9)


def test_streams_of_a_block_that_could_not_be_written_are_not_in_it() -> None:
    encoder = BlockEncoder(bytes(16))
    encoder.connections.update({info.number: info for info in CONNECTIONS})
    builder = IndexBuilder(HEAD_BYTES)
    for name in "ab":
        encoded = encoder.encode([Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x"], None, [(name,)])], 0)
    builder.add(encoded)
    index = Index.decode(body_of(builder.encode(encoder.numbers, encoder.connections)))
    assert index.streams == {2: StreamKey("binance", "b")}
    assert index.totals == {2: StreamTotal(1, 1, WALL, WALL)}


def test_a_stream_without_messages_has_no_times() -> None:
    asked = Batch(Kind.SUBSCRIBED, 1, WALL, MONO, [b""], None, [("a",)])
    index = index_of([[asked]])
    assert list(index.totals.values()) == [StreamTotal(0, 0, None, None)]


def test_an_empty_part_has_an_index_too() -> None:
    index = index_of([])
    assert list(index.blocks(start=0, end=WALL)) == []
    assert (index.first, index.last, index.records) == (None, None, 0)


def test_keyframes_are_found() -> None:
    blocks = [
        [Batch(kind, 1, WALL, MONO, [b"{}"], None, [("a",)])]
        for kind in (Kind.MESSAGE, Kind.KEYFRAME, Kind.MESSAGE, Kind.KEYFRAME)
    ]
    assert list(index_of(blocks).keyframes) == [1, 3]


_names = st.sampled_from("abc")
_blocks = st.lists(
    st.lists(
        st.builds(
            lambda kind, wall, name: Batch(kind, 1, wall, 0, [b""], None, [(name,)]),
            st.sampled_from(Kind),
            st.integers(0, 30),
            _names,
        ),
        min_size=1,
        max_size=3,
    ),
    max_size=12,
)


@settings(deadline=None)
@given(_blocks, st.none() | st.integers(0, 30), st.none() | st.integers(0, 30), st.sets(_names))
def test_no_block_that_is_wanted_is_left_out(
    blocks: list[list[Batch]], start: int | None, end: int | None, names: set[str]
) -> None:
    """Also where the wall clock steps back and forth."""

    def is_wanted(message: Message) -> bool:
        return (
            (start is None or start <= message.time)
            and (end is None or message.time < end)
            and (not names or message.streams[0] in names)
        )

    streams = {StreamKey("binance", name) for name in names} if names else None
    found = list(index_of(blocks).blocks(start, end, streams))
    wanted = {number for number, block in enumerate(blocks) if any(map(is_wanted, expand(block)))}
    assert wanted <= set(found)
    assert found == sorted(found)
    if streams is not None and start is end is None:
        assert wanted == set(found)


def test_an_index_that_is_too_large_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FRAME_BYTES", 400)
    assert built(three_blocks()) == b""
    closed = record(tmp_path / "closed", three_blocks())
    killed = record(tmp_path / "killed", three_blocks(), killed=True)
    assert closed.read_bytes() == killed.read_bytes()


@settings(max_examples=300)
@given(st.data())
def test_an_index_of_another_shape_is_refused(data: st.DataObject) -> None:
    """Checksums keep accidents away from here; what passes them may still be anything."""
    body = bytearray(body_of(built(three_blocks())))
    at = data.draw(st.integers(8, len(body) - 1))
    body[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        index = Index.decode(bytes(body))
    except NOT_AS_SPECIFIED:
        return
    list(index.blocks())
