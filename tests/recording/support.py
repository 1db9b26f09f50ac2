"""What the tests of this room share: batches, what they should read as, and recordings of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path

from hypothesis import strategies as st

from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind, Message
from wsproxy.recording.decode import Block
from wsproxy.recording.encode import BlockEncoder
from wsproxy.recording.frames import PRELUDE, BlockHead, read_prelude
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer

WALL = 1_723_161_255_030_314_667
MONO = 5_000_000_000

CONNECTIONS = (
    ConnectionInfo(1, "binance", "wss://stream.binance.com:9443/stream"),
    ConnectionInfo(2, "coinbase", "wss://advanced-trade-ws.coinbase.com"),
    ConnectionInfo(300, "binance", "wss://stream.binance.com:9443/stream"),
)


def expand(batches: Iterable[Batch], first_seq: int = 0) -> list[Message]:
    """The records of these batches, each by itself: what a reader has to say."""
    venues = {0: ""} | {info.number: info.venue for info in CONNECTIONS}
    messages: list[Message] = []
    for batch in batches:
        for index, payload in enumerate(batch.payloads):
            messages.append(
                Message(
                    seq=first_seq + len(messages),
                    time=batch.wall_ns,
                    mono=batch.mono_ns,
                    kind=batch.kind,
                    connection=batch.connection,
                    venue=venues[batch.connection],
                    streams=batch.streams[index] if index < len(batch.streams) else (),
                    opcode=TEXT if batch.opcodes is None else batch.opcodes[index],
                    payload=payload,
                )
            )
    return messages


def encode(block: list[Batch], first_seq: int = 0) -> tuple[BlockHead, bytes]:
    """The head and the bytes of a block with these batches."""
    encoder = BlockEncoder(bytes(16))
    encoder.connections.update({info.number: info for info in CONNECTIONS})
    data = encoder.encode(block, first_seq).data
    end = PRELUDE.size + read_prelude(data[: PRELUDE.size]).rest
    return BlockHead.decode(data[PRELUDE.size : end - 4]), data[end:]


def decoded(block: list[Batch], first_seq: int = 0) -> Block:
    """These batches as a block that was read."""
    return Block(*encode(block, first_seq))


def record(directory: Path, blocks: Sequence[Sequence[Batch]], *, killed: bool = False) -> Path:
    """A recording with these blocks; the path of its only part.

    Where its writer was ``killed``, there is neither INDEX nor seek table.
    """
    with Writer.create(
        directory, venues=["binance"], wall_ns=WALL, mono_ns=MONO, identity=bytes(range(16))
    ) as writer:
        for connection in CONNECTIONS:
            writer.add_connection(connection)
        for block in blocks:
            writer.write(block)
        size = writer.bytes_written
    if killed:
        os.truncate(writer.path, size)
    return writer.path


def read(path: Path) -> list[Message]:
    """Every record there, of whatever kind."""
    return list(open_recording(path).messages(kinds=None))


def three_blocks() -> list[list[Batch]]:
    """A few records of every sort, in three blocks."""
    return [
        [
            Batch(Kind.OPENED, 1, WALL, MONO, [b"\xa0"]),
            Batch(
                Kind.MESSAGE,
                1,
                WALL + 10**9,
                MONO + 10**9,
                [b'{"a":1}', b"", b"\x00\xff"],
                opcodes=b"\1\1\2",
                streams=[("btcusdt@trade",), (), ("btcusdt@trade", "ethusdt@trade")],
            ),
        ],
        [Batch(Kind.MESSAGE, 2, WALL + 2 * 10**9, MONO + 2 * 10**9, [b"x"], streams=[("l2",)])],
        [
            Batch(Kind.MESSAGE, 300, WALL + 9 * 10**9, MONO + 9 * 10**9 + 7, [b"y", b"z"]),
            Batch(Kind.GAP, 0, WALL + 8 * 10**9, MONO + 9 * 10**9 + 8, [b"\xa0"]),
        ],
    ]


_times = st.integers(0, 2**61)
_names = st.text(max_size=8)


@st.composite
def _batch(draw: st.DrawFn) -> Batch:
    payloads = draw(st.lists(st.binary(max_size=40), min_size=1, max_size=5))
    count = len(payloads)
    sets = st.lists(_names, max_size=3, unique=True).map(tuple)
    return Batch(
        draw(st.sampled_from(Kind)),
        draw(st.sampled_from([0, *(info.number for info in CONNECTIONS)])),
        draw(_times),
        draw(_times),
        payloads,
        draw(
            st.none() | st.lists(st.sampled_from([1, 2]), min_size=count, max_size=count).map(bytes)
        ),
        draw(st.lists(sets, max_size=count)),
    )


batches = st.lists(_batch(), max_size=8)


def digest(path: Path) -> str:
    """SHA-256 over time, streams and payload of each message, in order."""
    sha = sha256()
    for message in open_recording(path).messages():
        for part in (str(message.time), *message.streams, str(len(message.payload))):
            sha.update(part.encode() + b"\0")
        sha.update(message.payload)
    return sha.hexdigest()
