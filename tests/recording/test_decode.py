from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from zlib import crc32

import cbor2
import pytest
import zstandard
from hypothesis import given, settings

from tests.recording.support import CONNECTIONS, MONO, WALL, batches, decoded, encode, expand
from wsproxy.model import Batch, Kind, StreamKey
from wsproxy.recording.decode import NOT_AS_SPECIFIED, Block, Selection
from wsproxy.recording.frames import BlockHead

EVERYTHING = Selection()


def recompress(head: BlockHead, content: bytes, payload_bytes: int) -> tuple[BlockHead, bytes]:
    """A block whose checksums all agree, whatever its content says."""
    data = zstandard.ZstdCompressor(write_checksum=True).compress(content)
    return replace(
        head,
        block_bytes=len(data),
        content_bytes=len(content),
        block_crc=crc32(data),
        payload_bytes=payload_bytes,
    ), data


@settings(deadline=None)
@given(batches.filter(bool))
def test_a_block_gives_back_its_records(block: list[Batch]) -> None:
    assert list(decoded(block, first_seq=11).messages(EVERYTHING)) == expand(block, first_seq=11)


@settings(deadline=None)
@given(batches.filter(bool))
def test_a_block_gives_back_its_batches(block: list[Batch]) -> None:
    again = list(decoded(block).batches(EVERYTHING))
    assert expand(again) == expand(block)
    keys = [(b.kind, b.connection, b.wall_ns, b.mono_ns) for b in again]
    assert all(before != after for before, after in pairwise(keys))


@settings(deadline=None)
@given(batches.filter(bool))
def test_a_block_gives_back_its_records_as_runs(block: list[Batch]) -> None:
    records = expand(block)
    venues = {0: ""} | {info.number: info.venue for info in CONNECTIONS}
    runs = list(decoded(block).runs(EVERYTHING))
    keys = [(run.kind, *{venues[number] for number in run.connections}) for run in runs]
    assert all(len(key) == 2 for key in keys)
    assert all(before != after for before, after in pairwise(keys))
    assert [
        (run.kind, *rest)
        for run in runs
        for rest in zip(
            run.connections, run.walls, run.monos, run.payloads, run.streams, strict=True
        )
    ] == [(m.kind, m.connection, m.time, m.mono, m.payload, m.streams) for m in records]


def test_a_selection_leaves_out_what_is_not_wanted() -> None:
    block = Block(
        *encode(
            [
                Batch(Kind.MESSAGE, 1, WALL, MONO, [b"0", b"1"], None, [("a",), ("b",)]),
                Batch(Kind.GAP, 1, WALL + 1, MONO, [b"2"], None, [("a",)]),
                Batch(Kind.MESSAGE, 2, WALL + 2, MONO, [b"3"], b"\2", [("a",)]),
                Batch(Kind.MESSAGE, 1, WALL + 3, MONO, [b"4"], None, [("b", "a")]),
            ]
        )
    )

    def payloads(selection: Selection) -> bytes:
        return b"".join(message.payload for message in block.messages(selection))

    a = frozenset({StreamKey("binance", "a")})
    assert payloads(Selection(kinds=frozenset({Kind.MESSAGE}))) == b"0134"
    assert payloads(Selection(streams=a)) == b"024"
    assert payloads(Selection(start=WALL + 1, end=WALL + 3)) == b"23"
    assert payloads(Selection(kinds=frozenset({1}), streams=a, start=WALL + 1)) == b"4"
    assert payloads(Selection(kinds=frozenset())) == b""
    times = Selection(start=WALL + 1, end=WALL + 3)
    assert [batch.payloads for batch in block.batches(times)] == [[b"2"], [b"3"]]
    assert [run.payloads for run in block.runs(times)] == [[b"2"], [b"3"]]


def test_kinds_of_a_later_version_are_numbers_and_no_batches() -> None:
    head, data = encode([Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x", b"y"])])
    fields = cbor2.loads(zstandard.ZstdDecompressor().decompress(data))
    content = cbor2.dumps(
        {k: v for k, v in fields.items() if k != "payload"}
        | {"kind": cbor2.CBORTag(64, b"\x63\1"), "later": ["?"]}
    )
    content = bytes([content[0] + 1]) + content[1:] + b"\x67payload\x5a\0\0\0\2xy"
    block = Block(*recompress(head, content, 2))
    assert [message.kind for message in block.messages(EVERYTHING)] == [99, Kind.MESSAGE]
    assert [batch.payloads for batch in block.batches(EVERYTHING)] == [[b"y"]]
    assert [run.payloads for run in block.runs(EVERYTHING)] == [[b"y"]]


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 1},
        {"kind": cbor2.CBORTag(64, b"\1")},
        {"kind": cbor2.CBORTag(69, b"\1\0\1\0")},
        {"kind": b"\1\1"},
        {"connection": cbor2.CBORTag(64, b"\1\7")},
        {"connections": {1: ["binance"]}},
        {"connections": {1: [2, 3]}},
        {"connections": []},
        {"stream": cbor2.CBORTag(64, b"\1\7")},
        {"streams": {}},
        {"sets": [[], [99]]},
        {"sets": 5},
        {"time": cbor2.CBORTag(78, b"")},
        {"drift": cbor2.CBORTag(78, b"\0\0\0\0")},
        {"opcode": cbor2.CBORTag(64, b"\1\1\1")},
        {"wall": "noon"},
        {"length": cbor2.CBORTag(64, b"\1\2")},
        {"length": cbor2.CBORTag(77, b"\xff\xff\xff\xff")},
    ],
)
def test_content_of_another_shape_is_refused(change: dict[str, object]) -> None:
    head, data = encode([Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x", b"y"], None, [("a",)])])
    fields = cbor2.loads(zstandard.ZstdDecompressor().decompress(data))
    del fields["payload"]

    def block(fields: dict[str, object]) -> Block:
        content = bytearray(cbor2.dumps(fields))
        content[0] += 1
        return Block(*recompress(head, bytes(content) + b"\x67payload\x5a\0\0\0\2xy", 2))

    assert len(list(block(fields).messages(EVERYTHING))) == 2
    with pytest.raises(NOT_AS_SPECIFIED):
        block(fields | change)


HUNDRED_GB = (100 << 30).to_bytes(8, "big")


@pytest.mark.parametrize(
    "content",
    [
        b"\xa1\x67payload\x5b" + HUNDRED_GB + b"xy",
        b"\xa2\x64kind\x5b" + HUNDRED_GB + b"\x67payload\x5a\0\0\0\2xy",
        b"\xbb" + HUNDRED_GB + b"\x67payload\x5a\0\0\0\2xy",
        b"\xa2\x64sets\x9b" + HUNDRED_GB + b"\x67payload\x5a\0\0\0\2xy",
    ],
)
def test_a_length_of_100_gb_in_the_content_allocates_nothing(content: bytes) -> None:
    head, _ = encode([Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x", b"y"])])
    with pytest.raises(NOT_AS_SPECIFIED):
        Block(*recompress(head, content, 2))


def test_a_frame_that_claims_100_gb_allocates_nothing() -> None:
    head, _ = encode([Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x", b"y"])])
    # magic; content size of 8 bytes, single segment; the size; one empty last block
    data = b"\x28\xb5\x2f\xfd\xe0" + HUNDRED_GB[::-1] + b"\1\0\0"
    assert zstandard.frame_content_size(data) == 100 << 30
    with pytest.raises(ValueError, match="does not decompress to the size"):
        Block(replace(head, block_bytes=len(data), block_crc=crc32(data)), data)


def test_spans_tell_the_first_and_last_message_of_each_stream() -> None:
    block = Block(
        *encode(
            [
                Batch(Kind.SUBSCRIBED, 1, WALL, MONO, [b""], None, [("a",)]),
                Batch(Kind.MESSAGE, 1, WALL + 1, MONO, [b"", b""], None, [("a",), ("b", "a")]),
                Batch(Kind.MESSAGE, 1, WALL + 5, MONO, [b""], None, [("a",)]),
            ]
        )
    )
    assert block.spans() == {1: (WALL + 1, WALL + 5), 2: (WALL + 1, WALL + 1)}
