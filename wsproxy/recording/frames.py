"""The frames around the blocks: what zstd skips, and what a reader steers by.

docs/recording-format.md is the specification; this file is its sections 3 to 5.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

import cbor2
import msgspec

from wsproxy.recording.columns import pack, unpack, unsigned

VERSION = (1, 1)
"""Major: readers of another one give up. Minor: additions that older readers pass over."""

SKIPPABLE = 0x184D2A57
SEEK_TABLE = 0x184D2A5E
"""Magic numbers of zstd's frames (RFC 8878): ours, and the seekable format's."""

HEAD = b"WSPH"
BLOCK_HEAD = b"WSPB"
INDEX = b"WSPI"

MAX_BLOCK_BYTES = 64 << 20
"""A block is never larger than this, neither compressed nor decompressed."""
MAX_FRAME_BYTES = 16 << 20
"""Nor is a frame of wsproxy's own larger than this."""

PRELUDE = struct.Struct("<II4sI")
MAGIC = struct.pack("<I", SKIPPABLE)
_CRC = struct.Struct("<I")
_VERSION = struct.Struct("<HH")
_BLOCK = struct.Struct("<4sIIIIIQIqq")
_HAS_KEYFRAME = 1
"""The only flag of a BLOCK_HEAD."""


def frame(tag: bytes, body: bytes) -> bytes:
    """One skippable frame of wsproxy's own."""
    start = struct.pack("<II4s", SKIPPABLE, 4 + 4 + len(body) + 4, tag)
    return b"".join((start, _CRC.pack(crc32(start)), body, _CRC.pack(crc32(body))))


class Prelude(NamedTuple):
    """The first 16 bytes of a frame: its tag, and the bytes of body and CRC that follow them."""

    tag: bytes
    rest: int


def read_prelude(data: bytes) -> Prelude:
    """Understand 16 bytes; ValueError if they do not begin a frame of wsproxy's own."""
    magic, size, tag, crc = PRELUDE.unpack(data)
    if magic != SKIPPABLE or crc != crc32(data[:12]) or size < 12 or size > MAX_FRAME_BYTES:
        raise ValueError("no frame begins here")
    return Prelude(tag, size - 8)


def checked_body(rest: bytes) -> bytes:
    """What stands between prelude and CRC; ValueError if the CRC does not agree."""
    body = rest[:-4]
    if rest[-4:] != _CRC.pack(crc32(body)):
        raise ValueError("the frame's checksum does not match")
    return body


@dataclass(frozen=True, slots=True)
class PartHead:
    """The beginning of a part: which recording it belongs to, and where in it."""

    identity: bytes
    """16 random bytes, the same in each part of a recording."""
    part: int
    """From 1."""
    first_seq: int
    """The sequence number that the part's first record has, or would have."""
    venues: tuple[str, ...]
    software: str
    wall_ns: int
    mono_ns: int
    """Both clocks at one instant, when the part was begun."""
    settings: Mapping[str, object]

    def encode(self) -> bytes:
        """The HEAD frame."""
        fields = {
            "id": self.identity,
            "part": self.part,
            "seq": self.first_seq,
            "venues": list(self.venues),
            "software": self.software,
            "wall": self.wall_ns,
            "mono": self.mono_ns,
            "settings": dict(self.settings),
        }
        return frame(HEAD, _VERSION.pack(*VERSION) + cbor2.dumps(fields))

    @staticmethod
    def version(body: bytes) -> tuple[int, int]:
        """The format version that a HEAD's body states; ValueError if it is too short."""
        if len(body) < _VERSION.size:
            raise ValueError("the head is too short")
        major, minor = _VERSION.unpack_from(body)
        return major, minor

    @classmethod
    def decode(cls, body: bytes) -> PartHead:
        """Understand a HEAD's body of this major version.

        Raises ValueError, TypeError, LookupError or CBORDecodeError if it is not as it should be.
        """
        fields = cbor2.loads(body[_VERSION.size :])
        if not isinstance(fields["id"], bytes) or len(fields["id"]) != 16:
            raise ValueError("the recording's id is not 16 bytes")
        return cls(
            identity=fields["id"],
            part=int(fields["part"]),
            first_seq=int(fields["seq"]),
            venues=tuple(map(str, fields["venues"])),
            software=str(fields["software"]),
            wall_ns=int(fields["wall"]),
            mono_ns=int(fields["mono"]),
            settings=dict(fields["settings"]),
        )


class Tally(msgspec.Struct, frozen=True, gc=False):
    """How many messages of a stream a block holds."""

    messages: int
    size: int
    """Of the payloads together, bytes."""


@dataclass(frozen=True, slots=True)
class BlockHead:
    """What a reader knows of a block without decompressing it."""

    mark: bytes
    """The first 4 bytes of the recording's id."""
    block_bytes: int
    content_bytes: int
    block_crc: int
    payload_bytes: int
    first_seq: int
    count: int
    earliest: int
    latest: int
    """Wall clock, ns: no record of the block is before or after these."""
    connections: Sequence[int]
    """The numbers of the connections that its records belong to."""
    streams: Mapping[int, Tally]
    """By number, every stream that a record of the block names."""
    has_keyframe: bool
    """Whether one of its records is a keyframe."""

    def encode(self) -> bytes:
        """The BLOCK_HEAD frame."""
        numbers = sorted(self.streams)
        tallies = list(map(self.streams.__getitem__, numbers))
        fixed = _BLOCK.pack(
            self.mark,
            _HAS_KEYFRAME if self.has_keyframe else 0,
            self.block_bytes,
            self.content_bytes,
            self.block_crc,
            self.payload_bytes,
            self.first_seq,
            self.count,
            self.earliest,
            self.latest,
        )
        details = {
            "connections": _packed(sorted(self.connections)),
            "streams": _packed(numbers),
            "messages": _packed([tally.messages for tally in tallies]),
            "bytes": _packed([tally.size for tally in tallies]),
        }
        return frame(BLOCK_HEAD, fixed + cbor2.dumps(details))

    @classmethod
    def decode(cls, body: bytes) -> BlockHead:
        """Understand a BLOCK_HEAD's body.

        Raises ValueError, TypeError, LookupError or CBORDecodeError if it is not as it should be.
        """
        if len(body) < _BLOCK.size:
            raise ValueError("the block's head is too short")
        mark, flags, block, content, crc, payload, seq, count, earliest, latest = (
            _BLOCK.unpack_from(body)
        )
        if max(block, content) > MAX_BLOCK_BYTES or payload > content or not count:
            raise ValueError("the block's sizes are impossible")
        details = cbor2.loads(body[_BLOCK.size :])
        tallies = map(Tally, unpack(details["messages"]), unpack(details["bytes"]))
        return cls(
            mark=mark,
            block_bytes=block,
            content_bytes=content,
            block_crc=crc,
            payload_bytes=payload,
            first_seq=seq,
            count=count,
            earliest=earliest,
            latest=latest,
            connections=unpack(details["connections"]),
            streams=dict(zip(unpack(details["streams"]), tallies, strict=True)),
            has_keyframe=bool(flags & _HAS_KEYFRAME),
        )


def _packed(values: list[int]) -> cbor2.CBORTag:
    column: array[int] = unsigned(values, max(values, default=0))
    return pack(column)
