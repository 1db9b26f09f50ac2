"""Recordings to damage."""

from __future__ import annotations

import os
from pathlib import Path

from tests.recording.support import CONNECTIONS, MONO, WALL
from wsproxy.errors import DamagedRecording
from wsproxy.model import Batch, Kind
from wsproxy.recording.part import Part, Place
from wsproxy.recording.rotation import Rotation
from wsproxy.recording.writer import Writer

SECOND = 10**9
BLOCKS = 6


def six_blocks(directory: Path, *, parts: int = 1, killed: bool = False) -> list[Path]:
    """Blocks of ten messages, one a second, of two venues by turns; the paths of the parts."""
    rotation = Rotation(after_ns=BLOCKS // parts * SECOND)
    with Writer.create(
        directory, venues=["binance"], wall_ns=WALL, mono_ns=MONO, rotation=rotation
    ) as writer:
        for connection in CONNECTIONS:
            writer.add_connection(connection)
        for number in range(BLOCKS):
            writer.write([block(number)])
            size = writer.path.stat().st_size
    if killed:
        os.truncate(writer.path, size)
    return sorted(directory.iterdir())


def block(number: int) -> Batch:
    """What block ``number`` holds."""
    payloads = [b'{"block":%d,"n":%d}' % (number, index) for index in range(10)]
    at = number * SECOND
    names = "aabaabaabc"
    connection = CONNECTIONS[number % 2].number
    return Batch(
        Kind.MESSAGE, connection, WALL + at, MONO + at, payloads, None, [(name,) for name in names]
    )


def places(path: Path) -> list[Place]:
    """Where the blocks of a part are."""

    def never(damage: DamagedRecording) -> None:
        raise damage

    with Part(path, never) as part:
        return list(part.places())


def flip(path: Path, offset: int) -> None:
    """Turn one bit."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)
