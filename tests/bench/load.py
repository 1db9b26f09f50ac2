"""The messages that the benches send: order-book updates of Binance, of many streams."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, cycle, islice, product
from random import Random
from string import ascii_lowercase

from websockets.frames import Frame, Opcode

MESSAGE_BYTES = 300
FRAME_BYTES = MESSAGE_BYTES + 4
CHUNK_BYTES = 256 * 1024

STALL_SECONDS = 30.0
"""Who can neither send nor receive for so long gives up."""

PIECE = 250
"""Messages are counted in pieces of so many, which are of the same length on the wire."""

FUTURES: Mapping[int, int] = {
    161: 31,
    162: 25,
    179: 152,
    180: 22,
    **dict.fromkeys((167, 181), 1),
    **dict.fromkeys((255, 448, 518, 574, 622, 669, 719, 776, 840, 909, 998), 1),
    **dict.fromkeys((1105, 1246, 1435, 1727, 2245, 3689, 9161), 1),
}
"""Of a piece, how many messages have which size: those of a recorded connection to Binance's
futures (book tickers, trades and differences of the book of BTCUSDT, 93,953 messages of
2024-08-08), sorted by size and cut into equal parts; a part counts with its mean."""


def _shuffled(sizes: Mapping[int, int]) -> tuple[int, ...]:
    found = [size for size, times in sizes.items() for _ in range(times)]
    Random(1).shuffle(found)
    return tuple(found)


SIZES: Mapping[str, Sequence[int]] = {
    "300": (MESSAGE_BYTES,) * PIECE,
    "futures": _shuffled(FUTURES),
}
"""The sizes of a piece's messages, in turn."""

_PATTERN = 8_000
"""So many different messages: no two in one block of a recording are the same."""
_CHUNKS = 8
_SPAN = 10
"""Updates in a message."""
_NUMBERS = (b'"U":', b',"u":')
_DIGITS = 11
"""Of the number of an update."""
_LEVEL = 32
"""Characters of a price level with its brackets, ``["123456.78000000","0.12345000"]``."""
_SHORTEST = 18
"""Of a level: less would cut its quantity."""


def names(streams: int) -> tuple[str, ...]:
    """So many names of 20 characters, which capacity planning takes for granted."""
    symbols = map("".join, product(ascii_lowercase, repeat=4))
    return tuple(f"{symbol}usdt@depth@100ms" for symbol in islice(symbols, streams))


STREAMS = names(10)


def message(
    stream: str,
    number: int,
    dice: Random,
    event_time: int | None = None,
    size: int = MESSAGE_BYTES,
) -> bytes:
    """A stream's combined message of this number and size, with random prices and quantities.

    The updates of successive numbers follow each other without a gap. Raises ValueError where the
    size is too small.
    """
    first = 10_000_000_000 + number * _SPAN
    time = event_time or dice.randrange(1_723_000_000_000, 1_724_000_000_000)
    head = (
        f'{{"stream":"{stream}","data":{{"e":"depthUpdate","E":{time},'
        f'"s":"{stream.partition("@")[0].upper()}","U":{first},"u":{first + _SPAN - 1},"b":['
    )
    middle, tail = '],"a":[', "]}}"
    room = size - len(head) - len(middle) - len(tail)
    if room < _SHORTEST:
        raise ValueError(f"{size} bytes are too few for a message of {stream}")
    bids = ",".join(_level(dice, _LEVEL) for _ in range((room + 1 - _SHORTEST) // (_LEVEL + 1)))
    return f"{head}{bids}{middle}{_level(dice, room - len(bids))}{tail}".encode()


def _level(dice: Random, length: int) -> str:
    price = f"{dice.randrange(10_000_000, 100_000_000) / 100:.8f}"
    quantity = f"{dice.randrange(100_000) / 100_000:.8f}"
    spare = length - _LEVEL
    return f'["{price[: len(price) + min(0, spare)]}","{quantity}{"0" * spare}"]'


def _messages(streams: Sequence[str], sizes: Sequence[int]) -> Iterator[bytes]:
    """Messages without end, streams and sizes in turn; the same in every process."""
    dice, turn = Random(1), cycle(sizes)
    for number in count():
        for stream in streams:
            yield message(stream, number, dice, size=next(turn))


def pattern(streams: int, sizes: str) -> list[bytes]:
    """Messages; sent again and again, they are of a venue that counts anew."""
    return list(islice(_messages(names(streams), SIZES[sizes]), max(_PATTERN, streams)))


def onward(frames: Sequence[bytes], streams: int, at: int) -> bytes:
    """The frame at any place behind the beginning of a pattern, where the venue counts on."""
    again, place = divmod(at, len(frames))
    frame = frames[place]
    begin = frame.index(_NUMBERS[0]) + len(_NUMBERS[0])
    first = int(frame[begin : begin + _DIGITS]) + again * (len(frames) // streams) * _SPAN
    end = begin + 2 * _DIGITS + len(_NUMBERS[1])
    return b"%b%d%b%d%b" % (frame[:begin], first, _NUMBERS[1], first + _SPAN - 1, frame[end:])


def frame(payload: bytes) -> bytes:
    """As a server sends it."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


def frames() -> Iterator[bytes]:
    """Frames of 300 bytes without end."""
    return map(frame, _messages(STREAMS, SIZES["300"]))


def frame_bytes(size: int) -> int:
    """A message's frame: its payload, and the head of a frame from a server (RFC 6455, 5.2)."""
    return size + (2 if size < 126 else 4 if size < 65536 else 10)


def wire_bytes(sizes: str, messages: int, frame_bytes: Callable[[int], int] = frame_bytes) -> int:
    """So many messages, whole pieces, on the wire."""
    if messages % PIECE:
        raise ValueError(f"{messages} messages are not whole pieces of {PIECE}")
    return messages // PIECE * sum(map(frame_bytes, SIZES[sizes]))


def chunks() -> list[bytes]:
    """A few runs of whole frames of 300 bytes."""
    source, size = frames(), CHUNK_BYTES // FRAME_BYTES
    return [b"".join(islice(source, size)) for _ in range(_CHUNKS)]
