from __future__ import annotations

import struct
from zlib import crc32

import cbor2
import pytest

from wsproxy.recording.frames import (
    BLOCK_HEAD,
    HEAD,
    MAX_BLOCK_BYTES,
    PRELUDE,
    VERSION,
    BlockHead,
    PartHead,
    Prelude,
    Tally,
    checked_body,
    frame,
    read_prelude,
)

PART_HEAD = PartHead(
    identity=bytes(range(16)),
    part=1,
    first_seq=0,
    venues=("binance", "coinbase"),
    software="wsproxy test",
    wall_ns=1,
    mono_ns=2,
    settings={"sync": 1.0},
)
HEAD_OF_BLOCK = BlockHead(
    mark=b"abcd",
    block_bytes=100,
    content_bytes=1000,
    block_crc=7,
    payload_bytes=900,
    first_seq=2**40,
    count=70_000,
    earliest=-5,
    latest=2**62,
    connections=[1, 70_000],
    streams={1: Tally(2, 3), 300: Tally(0, 2**33)},
    has_keyframe=True,
)


def body_of(data: bytes) -> bytes:
    prelude = read_prelude(data[: PRELUDE.size])
    assert prelude.rest == len(data) - PRELUDE.size
    return checked_body(data[PRELUDE.size :])


def test_a_frame_is_laid_out_as_specified() -> None:
    data = frame(b"WSPX", b"body")
    start = struct.pack("<II", 0x184D2A57, 16) + b"WSPX"
    assert data == start + struct.pack("<I", crc32(start)) + b"body" + struct.pack(
        "<I", crc32(b"body")
    )
    assert read_prelude(data[:16]) == Prelude(b"WSPX", 8)


def test_every_flipped_bit_of_a_frame_is_noticed() -> None:
    data = frame(BLOCK_HEAD, b"some body")
    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match=r"no frame begins here|checksum does not match"):
            body_of(bytes(flipped))


def test_a_part_head_survives() -> None:
    body = body_of(PART_HEAD.encode())
    assert PartHead.version(body) == VERSION == (1, 1)
    assert PartHead.decode(body) == PART_HEAD


def test_keys_of_a_later_minor_version_are_passed_over() -> None:
    fields = cbor2.loads(body_of(PART_HEAD.encode())[4:])
    body = b"\1\0\7\0" + cbor2.dumps(fields | {"colour": "blue"})
    assert PartHead.version(body) == (1, 7)
    assert PartHead.decode(body) == PART_HEAD


def test_a_block_head_survives_and_passes_over_what_it_does_not_know() -> None:
    body = body_of(HEAD_OF_BLOCK.encode())
    fixed, details = body[:52], cbor2.loads(body[52:])
    assert fixed[4:8] == b"\1\0\0\0"
    fixed = fixed[:4] + b"\xff" * 4 + fixed[8:]  # flags of a later version
    again = BlockHead.decode(fixed + cbor2.dumps(details | {"later": 1}))
    for head in (BlockHead.decode(body), again):
        assert list(head.connections) == [1, 70_000]
        assert head.streams == HEAD_OF_BLOCK.streams
        assert head.has_keyframe
        assert head.encode() == HEAD_OF_BLOCK.encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        body_of(HEAD_OF_BLOCK.encode())[:51],
        body_of(HEAD_OF_BLOCK.encode())[:52] + cbor2.dumps([]),
        body_of(HEAD_OF_BLOCK.encode())[:52] + cbor2.dumps({}),
    ],
)
def test_a_block_head_of_another_shape_is_refused(body: bytes) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, cbor2.CBORDecodeError)):
        BlockHead.decode(body)


@pytest.mark.parametrize(("at", "value"), [(8, MAX_BLOCK_BYTES + 1), (12, 2**32 - 1), (32, 0)])
def test_impossible_sizes_are_refused(at: int, value: int) -> None:
    body = bytearray(body_of(HEAD_OF_BLOCK.encode()))
    body[at : at + 4] = struct.pack("<I", value)
    with pytest.raises(ValueError, match="sizes are impossible"):
        BlockHead.decode(bytes(body))


def test_a_head_without_an_id_is_refused() -> None:
    fields = cbor2.loads(body_of(PART_HEAD.encode())[4:])
    with pytest.raises(ValueError, match="16 bytes"):
        PartHead.decode(b"\1\0\0\0" + cbor2.dumps(fields | {"id": b"short"}))
    assert frame(HEAD, b"")[8:12] == b"WSPH"
