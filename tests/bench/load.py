"""The messages that the benches send: order-book updates of Binance, all of one size."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from random import Random

from websockets.frames import Frame, Opcode

SYMBOLS = ("btc", "eth", "sol", "bnb", "xrp", "ada", "ltc", "trx", "dot", "uni")
STREAMS = tuple(f"{symbol}usdt@depth@100ms" for symbol in SYMBOLS)
MESSAGE_BYTES = 300
FRAME_BYTES = MESSAGE_BYTES + 4
CHUNK_BYTES = 256 * 1024

STALL_SECONDS = 30.0
"""Who can neither send nor receive for so long gives up."""

_CHUNKS = 8
"""So many different ones: no two messages in one block of a recording are the same."""
_SPAN = 10
"""Updates in a message."""


def message(stream: str, number: int, dice: Random, event_time: int | None = None) -> bytes:
    """A stream's combined message of this number, with random prices and quantities.

    The updates of successive numbers follow each other without a gap.
    """

    def level() -> tuple[str, str]:
        price = dice.randrange(10_000_000, 100_000_000) / 100
        return f"{price:.8f}", f"{dice.randrange(100_000) / 100_000:.8f}"

    first = 10_000_000_000 + number * _SPAN
    data = {
        "e": "depthUpdate",
        "E": event_time or dice.randrange(1_723_000_000_000, 1_724_000_000_000),
        "s": stream.partition("@")[0].upper(),
        "U": first,
        "u": first + _SPAN - 1,
        "b": [level(), level(), level()],
        "a": [level(), level()],
    }
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def frames() -> Iterator[bytes]:
    """Frames without end, the streams in turn; the same in every process."""
    dice, number = Random(1), 0
    while True:
        for stream in STREAMS:
            yield Frame(Opcode.TEXT, message(stream, number, dice)).serialize(mask=False)
        number += 1


def chunks() -> list[bytes]:
    """A few runs of whole frames; sent again and again, they are of a venue that counts anew."""
    source, size = frames(), CHUNK_BYTES // FRAME_BYTES
    return [b"".join(islice(source, size)) for _ in range(_CHUNKS)]


def cut(runs: list[bytes], messages: int) -> Iterator[bytes]:
    """The runs again and again, until they have held so many messages."""
    left = messages * FRAME_BYTES
    while left:
        for run in runs:
            piece = run[:left]
            left -= len(piece)
            yield piece
