from __future__ import annotations

from random import Random

import cbor2
import pytest
import zstandard

from tests.recording.support import CONNECTIONS, MONO, WALL
from wsproxy.errors import RecordingError
from wsproxy.model import Batch, Kind, StreamKey
from wsproxy.recording.encode import BlockEncoder
from wsproxy.recording.frames import MAX_BLOCK_BYTES, PRELUDE, BlockHead, Tally, read_prelude


@pytest.fixture
def encoder() -> BlockEncoder:
    encoder = BlockEncoder(b"0123456789abcdef")
    encoder.connections.update({info.number: info for info in CONNECTIONS})
    return encoder


def split(data: bytes) -> tuple[BlockHead, bytes]:
    """The head, and the block's content as zstd alone gives it."""
    end = PRELUDE.size + read_prelude(data[: PRELUDE.size]).rest
    head = BlockHead.decode(data[PRELUDE.size : end - 4])
    return head, zstandard.ZstdDecompressor().decompress(data[end:])


def test_the_content_is_the_map_that_the_specification_shows(encoder: BlockEncoder) -> None:
    encoded = encoder.encode(
        [
            Batch(Kind.MESSAGE, 1, WALL, MONO, [b"one", b"three"], None, [("a",), ("a", "b")]),
            Batch(Kind.GAP, 0, WALL + 5, MONO + 6, [b"\xa0"]),
        ],
        first_seq=41,
    )
    _, content = split(encoded.data)
    assert cbor2.loads(content) == {
        "seq": 41,
        "wall": WALL,
        "mono": MONO,
        "connections": {1: ["binance", "wss://stream.binance.com:9443/stream"]},
        "streams": {1: ["binance", "a"], 2: ["binance", "b"]},
        "sets": [[], [1], [1, 2]],
        "kind": cbor2.CBORTag(64, b"\1\1\11"),
        "connection": cbor2.CBORTag(64, b"\1\1\0"),
        "stream": cbor2.CBORTag(64, b"\1\2\0"),
        "time": cbor2.CBORTag(78, b"\0\0\0\0\0\0\0\0\5\0\0\0"),
        "drift": cbor2.CBORTag(78, b"\0\0\0\0\0\0\0\0\1\0\0\0"),
        "length": cbor2.CBORTag(64, b"\3\5\1"),
        "payload": b"onethree\xa0",
    }
    assert content.endswith(b"\x67payload\x5a\0\0\0\x09onethree\xa0")


def test_the_head_says_what_the_block_holds(encoder: BlockEncoder) -> None:
    encoded = encoder.encode(
        [
            Batch(Kind.MESSAGE, 1, WALL + 9, MONO, [b"one", b"three"], None, [("a",), ("a", "b")]),
            Batch(Kind.SUBSCRIBED, 2, WALL, MONO, [b"\xa0"], None, [("b",)]),
            Batch(Kind.MESSAGE, 0, WALL + 4, MONO, [b"!"]),
        ],
        first_seq=7,
    )
    head, content = split(encoded.data)
    assert (head.first_seq, head.count, head.payload_bytes) == (7, 4, 10)
    assert (head.earliest, head.latest) == (WALL, WALL + 9)
    assert (head.mark, head.content_bytes) == (b"0123", len(content))
    assert list(head.connections) == [1, 2]
    # the same name at another venue is another stream; a record that is no message counts nothing
    assert head.streams == {1: Tally(2, 8), 2: Tally(1, 5), 3: Tally(0, 0)}
    assert encoded.head.encode() == head.encode()
    assert encoded.kinds == {Kind.MESSAGE: 3, Kind.SUBSCRIBED: 1}
    assert encoded.spans == {1: (WALL + 9, WALL + 9), 2: (WALL + 9, WALL + 9)}
    assert not head.has_keyframe


def test_the_head_says_whether_there_is_a_keyframe(encoder: BlockEncoder) -> None:
    batch = Batch(Kind.KEYFRAME, 1, WALL, MONO, [b"{}"], None, [("a",)])
    encoded = encoder.encode([batch], first_seq=0)
    assert encoded.head.has_keyframe
    assert split(encoded.data)[0].has_keyframe
    assert encoded.spans == {}


def test_spans_are_from_the_first_to_the_last_message_in_order(encoder: BlockEncoder) -> None:
    batches = [
        Batch(Kind.ACKNOWLEDGED, 1, WALL, MONO, [b""], None, [("a",)]),
        Batch(Kind.MESSAGE, 1, WALL + 5, MONO, [b"", b"", b""], None, [("a",), ("a", "b")]),
        Batch(Kind.MESSAGE, 1, WALL + 3, MONO, [b""], None, [("a",)]),
        Batch(Kind.GAP, 1, WALL + 8, MONO, [b""], None, [("a", "b")]),
    ]
    spans = encoder.encode(batches, first_seq=0).spans
    assert spans == {1: (WALL + 5, WALL + 3), 2: (WALL + 5, WALL + 5)}


@pytest.mark.parametrize("streams", [3, 300])
@pytest.mark.parametrize("several", [False, True])
def test_each_stream_is_counted_and_timed(
    encoder: BlockEncoder, streams: int, several: bool
) -> None:
    dice = Random(1)
    names = [f"s{number}" for number in range(streams)]
    batches = []
    for second in range(40):
        kind = dice.choice([Kind.MESSAGE, Kind.MESSAGE, Kind.REQUEST])
        payloads = [bytes(dice.randrange(400)) for _ in range(dice.randint(1, 30))]
        sets = [
            tuple(dice.sample(names, dice.randint(0, 3 if several else 1)))
            for _ in payloads[dice.randrange(2) :]
        ]
        at = WALL + dice.choice([second, -second])
        batches.append(Batch(kind, dice.choice([0, 1, 2]), at, MONO, payloads, None, sets))
    encoded = encoder.encode(batches, 0)
    venues = {0: ""} | {info.number: info.venue for info in CONNECTIONS}
    tallies: dict[int, Tally] = {}
    spans: dict[int, tuple[int, int]] = {}
    for batch in batches:
        for payload, carried in zip(batch.payloads, batch.streams, strict=False):
            for name in carried:
                number = encoder.numbers[StreamKey(venues[batch.connection], name)]
                so_far = tallies.setdefault(number, Tally(0, 0))
                if batch.kind is Kind.MESSAGE:
                    tallies[number] = Tally(so_far.messages + 1, so_far.size + len(payload))
                    spans[number] = (spans.get(number, (batch.wall_ns, 0))[0], batch.wall_ns)
    assert encoded.head.streams == tallies
    assert encoded.spans == spans
    assert list(encoder.numbers.values()) == list(range(1, len(tallies) + 1))


def test_streams_keep_their_numbers_from_block_to_block(encoder: BlockEncoder) -> None:
    def streams(name: str) -> object:
        batch = Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x"], None, [(name,)])
        return cbor2.loads(split(encoder.encode([batch], 0).data)[1])["streams"]

    assert streams("a") == {1: ["binance", "a"]}
    assert streams("b") == {2: ["binance", "b"]}
    assert streams("a") == {1: ["binance", "a"]}


def test_the_opcodes_are_left_out_where_all_is_text(encoder: BlockEncoder) -> None:
    def opcode(opcodes: bytes | None) -> object:
        batch = Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x", b"y"], opcodes)
        return cbor2.loads(split(encoder.encode([batch], 0).data)[1]).get("opcode")

    assert opcode(None) is None
    assert opcode(b"\1\1") is None
    assert opcode(b"\1\2") == cbor2.CBORTag(64, b"\1\2")


def test_records_that_arrived_one_by_one(encoder: BlockEncoder) -> None:
    together = encoder.encode(
        [
            Batch(Kind.MESSAGE, 1, WALL, MONO, [b"a", b"b"], None, [("x",)] * 2, [WALL, WALL + 7]),
            Batch(Kind.MESSAGE, 1, WALL + 9, MONO + 8, [b"c", b"d"]),
            Batch(Kind.MESSAGE, 2, WALL + 8, MONO + 9, [b"e"], times=[WALL + 8]),
        ],
        0,
    )
    apart = encoder.encode(
        [
            Batch(Kind.MESSAGE, 1, WALL, MONO, [b"a"], None, [("x",)]),
            Batch(Kind.MESSAGE, 1, WALL + 7, MONO + 7, [b"b"], None, [("x",)]),
            Batch(Kind.MESSAGE, 1, WALL + 9, MONO + 8, [b"c", b"d"]),
            Batch(Kind.MESSAGE, 2, WALL + 8, MONO + 9, [b"e"]),
        ],
        0,
    )
    assert together == apart


def test_a_block_that_is_too_large_is_refused(encoder: BlockEncoder) -> None:
    batch = Batch(Kind.MESSAGE, 1, WALL, MONO, [bytes(MAX_BLOCK_BYTES)])
    with pytest.raises(RecordingError, match="more than a recording can hold"):
        encoder.encode([batch], 0)


@pytest.mark.parametrize(
    "batch",
    [
        Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x"], None, [("a",), ("b",)]),
        Batch(Kind.MESSAGE, 1, WALL, MONO, [b"x"], b"\1\1"),
    ],
)
def test_a_batch_that_does_not_fit_together_is_refused(encoder: BlockEncoder, batch: Batch) -> None:
    with pytest.raises(ValueError, match="a batch"):
        encoder.encode([batch], 0)
