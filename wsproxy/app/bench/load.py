"""The messages that `wsproxy bench` sends: partial books of Binance, all of the same length.

Each carries the time at which it was sent, at the same place, in digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from wsproxy.wire.frames import encode

MESSAGE_BYTES = 300
FRAME_BYTES = len(encode(bytes(MESSAGE_BYTES)))
STALL_SECONDS = 30.0
"""Who can neither send nor receive for so long gives up."""

SYMBOLS = ("ada", "bnb", "btc", "dot", "eth", "ltc", "sol", "trx", "uni", "xrp")
STREAMS = tuple(f"{symbol}usdt@depth10@100ms" for symbol in SYMBOLS)

_HEAD = '{{"stream":"{}","data":{{"lastUpdateId":'
_STAMP_AT = FRAME_BYTES - MESSAGE_BYTES + len(_HEAD.format(STREAMS[0]))
_BASE = 10**18
"""Added to times, so that they all have as many digits."""
_STAMP_END = _STAMP_AT + len(str(_BASE))
_LEVEL = 32
"""Characters of a price level with its brackets, ``["123456.78000000","0.12345000"]``."""


def frames(count: int) -> list[bytes]:
    """So many frames as a server sends them, of all streams in turn, with random books."""
    return [encode(payload) for payload in islice(_messages(), count)]


def _messages() -> Iterator[bytes]:
    dice = Random(1)
    while True:
        for stream in STREAMS:
            head = f'{_HEAD.format(stream)}{_BASE},"bids":['
            middle, tail = '],"asks":[', "]}}"
            room = MESSAGE_BYTES - len(head) - len(middle) - len(tail) - _LEVEL
            bids = ",".join(_level(dice) for _ in range(room // (_LEVEL + 1)))
            # Blanks make up for what is less than a level.
            asks = _level(dice) + " " * (room - len(bids))
            yield f"{head}{bids}{middle}{asks}{tail}".encode()


def _level(dice: Random) -> str:
    price = dice.randrange(10_000_000, 100_000_000) / 100
    quantity = dice.randrange(100_000) / 100_000
    return f'["{price:.8f}","{quantity:.8f}"]'


def stamped(frame: bytes, now_ns: int) -> bytes:
    """The frame with this time, ns, of the monotonic clock."""
    return frame[:_STAMP_AT] + str(_BASE + now_ns).encode() + frame[_STAMP_END:]


def stamps(data: bytes) -> Iterator[int]:
    """The times, ns, of all frames that are whole; the data begin with a frame."""
    for at in range(0, len(data) - FRAME_BYTES + 1, FRAME_BYTES):
        yield int(data[at + _STAMP_AT : at + _STAMP_END]) - _BASE
