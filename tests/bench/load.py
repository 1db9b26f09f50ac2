"""The messages that the bench sends: order-book updates of Binance, all of one size."""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def message(stream: str, dice: Random) -> bytes:
    """One combined message of this stream, with random prices and quantities."""

    def level() -> tuple[str, str]:
        price = dice.randrange(10_000_000, 100_000_000) / 100
        return f"{price:.8f}", f"{dice.randrange(100_000) / 100_000:.8f}"

    first = dice.randrange(10_000_000_000, 99_999_999_990)
    data = {
        "e": "depthUpdate",
        "E": dice.randrange(1_723_000_000_000, 1_724_000_000_000),
        "s": stream.partition("@")[0].upper(),
        "U": first,
        "u": first + 9,
        "b": [level(), level(), level()],
        "a": [level(), level()],
    }
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def chunks() -> list[bytes]:
    """Runs of whole frames, the streams in turn; the same in every process."""
    dice = Random(1)
    frames = [
        Frame(Opcode.TEXT, message(STREAMS[number % len(STREAMS)], dice)).serialize(mask=False)
        for number in range(_CHUNKS * (CHUNK_BYTES // FRAME_BYTES))
    ]
    size = len(frames) // _CHUNKS
    return [b"".join(frames[at : at + size]) for at in range(0, len(frames), size)]


def cut(runs: list[bytes], messages: int) -> Iterator[bytes]:
    """The runs again and again, until they have held so many messages."""
    left = messages * FRAME_BYTES
    while left:
        for run in runs:
            piece = run[:left]
            left -= len(piece)
            yield piece
