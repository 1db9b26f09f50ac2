"""Random streams of frames, read by wsproxy and by wsproto: ``python -m tests.wire.fuzz``.

A case is a number: it makes a stream, valid or broken, the places where it is cut into chunks, the
role and the limit. Both readers must give the same messages, the same pings and pongs, and end with
the same code. They legitimately differ in three ways, which are evened out:

- wsproto gives a message in pieces, as they come: they are joined (``wsproto_reads``);
- wsproto looks at the text of a frame that is not complete, the splitter at its header only: the
  stream's last frame is filled up with zeros. Where that would be too much, wsproto may have found
  a text that is not UTF-8 before the splitter has;
- wsproto knows no limit: the splitter may end with 1009, if a frame's header announces too much.

Some cases then go over a loopback connection, through the lane and trio-websocket: the same
messages must come out, every ping must be answered, and the close frame must carry that code.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from random import Random
from unittest.mock import patch

import trio

from tests.wire.loopback import GONE, Peer, read_to_end, socket_pair
from tests.wire.reference import (
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    Outcome,
    frame,
    wsproto_reads,
)
from wsproxy.errors import ConnectionEnded
from wsproxy.model import BINARY, TEXT
from wsproxy.wire.client import handshake
from wsproxy.wire.frames import TOO_BIG, Split, Splitter, encode_all
from wsproxy.wire.upstream import open_upstream

_MOST_FILLED = 200_000
_LANE_EVERY = 20
"""Of so many cases, one goes over a connection, which takes longer."""
_MOST_SENT = 100
"""Chunks that are sent one by one."""
_NO_LIMIT = 1 << 62
_LENGTHS = (0, 1, 2, 124, 125, 126, 127, 128, 300, 2047, 2048)
_LONG = (65534, 65535, 65536, 65537, 100_000)
_TEXTS = ("a", "{}", "é", "€", "😀", "\0", "\x7f", "\u0800", "\uffff", "\U0010ffff")
_BAD_TEXTS = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82")
_CODES = (0, 999, 1000, 1001, 1004, 1005, 1006, 1011, 1013, 1014, 1015, 2999, 3000, 4999, 5000)
_REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass(frozen=True)
class Case:
    """What one number stands for."""

    stream: bytes
    chunks: list[bytes]
    masked: bool
    limit: int


def case(number: int) -> Case:
    """The case with this number: the same in every process."""
    dice = Random(number)
    masked = dice.random() < 0.4
    parts = _frames(dice, masked=masked)
    stream = bytearray().join(parts)
    for _ in range(dice.choice((0, 0, 1, 1, 2, 5))):
        _mutate(dice, stream)
    stream += bytes(min(missing(stream), _MOST_FILLED))
    limit = dice.choice((0, 1, 125, 126, 300, 65535, 65536)) if dice.random() < 0.2 else _NO_LIMIT
    whole = bytes(stream)
    return Case(whole, list(_cut(dice, whole, parts)), masked, limit)


# --- streams ---


def _frames(dice: Random, *, masked: bool) -> list[bytes]:
    """Messages, whole and in fragments, control frames among them, and now and then a sin."""
    parts: list[bytes] = []

    def add(payload: bytes, opcode: int, *, final: bool = True) -> None:
        sin = dice.random()
        key = dice.randbytes(4) if masked != (sin < 0.004) else None
        reserved = dice.randrange(1, 8) if 0.004 < sin < 0.008 else 0
        if 0.008 < sin < 0.012:
            opcode = dice.randrange(16)
        if 0.012 < sin < 0.016:
            final = not final
        form = dice.choice((16, 64)) if 0.016 < sin < 0.02 and len(payload) < 65536 else 0
        parts.append(
            frame(payload, opcode, final=final, reserved=reserved, key=key or None, form=form)
        )

    def control() -> None:
        size = dice.choice((0, 1, 4, 125)) if dice.random() < 0.99 else 126
        add(dice.randbytes(size), dice.choice((PING, PONG)))

    for _ in range(dice.randrange(8)):
        if dice.random() < 0.3:
            control()
        payload, opcode = _message(dice)
        fragments = 1 if dice.random() < 0.6 else dice.randrange(2, 5)
        marks = sorted(dice.randint(0, len(payload)) for _ in range(fragments - 1))
        for index, (start, stop) in enumerate(_spans(marks, len(payload)), 1):
            add(payload[start:stop], opcode, final=index == fragments)
            opcode = CONTINUATION
            if index < fragments and dice.random() < 0.3:
                control()
    if dice.random() < 0.3:
        code = b"" if dice.random() < 0.2 else dice.choice(_CODES).to_bytes(2, "big")
        reason = dice.choice((b"", b"bye", "é".encode(), b"\xff", b"x" * 123)) if code else b""
        add(code + reason if dice.random() < 0.97 else b"\x03", CLOSE)
        add(b"late", TEXT)
    return parts


def _message(dice: Random) -> tuple[bytes, int]:
    length = dice.choice(_LONG if dice.random() < 0.01 else _LENGTHS)
    if dice.random() < 0.3:
        return dice.randbytes(length), BINARY
    piece = dice.choice(_TEXTS).encode()
    payload = piece * (length // len(piece)) + b"." * (length % len(piece))
    if dice.random() < 0.03:
        place = dice.randint(0, len(payload))
        payload = payload[:place] + dice.choice(_BAD_TEXTS) + payload[place:]
    return payload, TEXT


def _mutate(dice: Random, stream: bytearray) -> None:
    """Change a byte or a few, half of the time near the front, where headers are dense."""
    if not stream:
        return
    reach = len(stream) if dice.random() < 0.5 else min(len(stream), 40)
    place = dice.randrange(reach)
    match dice.randrange(6):
        case 0:
            stream[place] ^= 1 << dice.randrange(8)
        case 1:
            stream[place] = dice.randrange(256)
        case 2:
            del stream[place]
        case 3:
            stream.insert(place, dice.randrange(256))
        case 4:
            del stream[place:]
        case _:
            stop = min(len(stream), place + dice.randrange(1, 20))
            stream[place:place] = stream[place:stop]


def _cut(dice: Random, stream: bytes, parts: list[bytes]) -> Iterator[bytes]:
    """In one piece, byte by byte, near the ends of frames, or anywhere."""
    size = len(stream)
    how = dice.randrange(4)
    if how == 1 and size < 3000:
        marks = list(range(1, size))
    elif how == 2:
        ends = [sum(map(len, parts[: index + 1])) for index in range(len(parts))]
        marks = [end + dice.randint(-3, 12) for end in ends]
    else:
        marks = [dice.randint(0, size) for _ in range(dice.randrange(8) if how else 0)]
    for start, stop in _spans(sorted(min(max(mark, 0), size) for mark in marks), size):
        yield stream[start:stop]


def _spans(marks: list[int], size: int) -> Iterator[tuple[int, int]]:
    return zip([0, *marks], [*marks, size], strict=True)


# --- headers, read once more ---


@dataclass(frozen=True)
class _Header:
    opcode: int
    length: int
    stop: int


def _headers(stream: bytes | bytearray) -> Iterator[_Header]:
    """Of every frame whose header is complete, whatever it breaks."""
    at = 0
    while at + 2 <= len(stream):
        short, mask = stream[at + 1] & 0x7F, 4 if stream[at + 1] & 0x80 else 0
        start = at + 2 + {126: 2, 127: 8}.get(short, 0)
        length = short if short < 126 else int.from_bytes(stream[at + 2 : start], "big")
        if start + mask > len(stream):
            return
        yield _Header(stream[at] & 0x0F, length, start + mask + length)
        at = start + mask + length


def missing(stream: bytes | bytearray) -> int:
    """How many bytes the last frame lacks, if all of them are zeros."""
    longer = bytearray(stream)
    while True:
        stop = max((header.stop for header in _headers(longer)), default=0)
        if stop >= len(longer):
            return stop - len(stream)
        longer.append(0)


def _announces_more(stream: bytes, limit: int) -> bool:
    """Whether some message would be longer than the limit."""
    total = 0
    for header in _headers(stream):
        if header.opcode < CLOSE:
            total = header.length + (total if header.opcode == CONTINUATION else 0)
            if total > limit:
                return True
    return False


# --- both readers ---


def splitter_reads(chunks: Iterable[bytes], *, masked: bool, limit: int) -> Outcome:
    """What the splitter makes of it."""
    seen = Outcome()
    splitter = Splitter(limit, masked=masked)
    for chunk in chunks:
        split = splitter.feed(chunk)
        opcodes = split.opcodes or bytes((TEXT,)) * len(split.payloads)
        if split.frames is not None:
            assert split.frames == b"".join(encode_all(split.payloads))
        seen.messages += zip(split.payloads, opcodes, strict=True)
        # As trio-websocket sees them: it gets control frames one by one.
        read = wsproto_reads(split.controls, masked=masked)
        seen.controls += read.controls
        if split.violation is not None:
            seen.close = split.violation.code
        elif splitter.close is not None and seen.close is None:
            seen.close, seen.reason = splitter.close
            assert (read.close, read.reason) == (seen.close, seen.reason)
    return seen


def check(one: Case) -> Outcome:
    """What a case says; raises AssertionError where the two do not agree."""
    ours = splitter_reads(one.chunks, masked=one.masked, limit=one.limit)
    theirs = wsproto_reads(one.chunks, masked=one.masked)
    if ours.close == TOO_BIG and ours.reason is None:
        assert _announces_more(one.stream, one.limit), "not too big"
        assert ours.messages == theirs.messages[: len(ours.messages)]
        assert ours.controls == theirs.controls[: len(ours.controls)]
    elif ours.close is None and theirs.close == 1007 and missing(one.stream):
        theirs.close = None  # text of a frame that never gets complete
        assert ours == theirs
    else:
        assert ours == theirs
        assert all(len(payload) <= one.limit for payload, _ in ours.messages)
    return ours


# --- through a connection ---


async def check_lane(one: Case, expected: Outcome) -> None:
    """Raises AssertionError where a connection does not do what the stream asks for."""
    messages: list[tuple[bytes, int]] = []
    ours, theirs = await socket_pair()
    sent = b""

    async def peer() -> None:
        nonlocal sent
        first = b"".join(one.chunks[:1])
        if one.masked:
            await theirs.send_all(_REQUEST + first)
        else:
            await Peer.accept(theirs, with_response=first)
        with suppress(*GONE):
            for chunk in one.chunks[1:_MOST_SENT]:
                await theirs.send_all(chunk)
            await theirs.send_all(b"".join(one.chunks[_MOST_SENT:]))
            await theirs.send_eof()
        sent = await read_to_end(theirs)
        if one.masked:
            sent = sent.partition(b"\r\n\r\n")[2]
        await theirs.aclose()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer)
            play = _client if one.masked else _upstream
            ended = await play(ours, one.limit, messages)
    answers = wsproto_reads([sent], masked=not one.masked)
    assert messages == expected.messages
    pings = [payload for opcode, payload in expected.controls if opcode == PING]
    assert answers.controls == [(PONG, payload) for payload in pings]
    if expected.close is None:  # the peer vanished; we may still say goodbye to it
        assert answers.close in (None, 1001 if one.masked else 1000)
    else:
        assert answers.close == expected.close
    by = "network" if expected.close is None else "us" if expected.reason is None else "peer"
    assert (ended.code, ended.by) == (expected.close or 1006, by)


async def _upstream(
    ours: trio.SocketStream, limit: int, messages: list[tuple[bytes, int]]
) -> ConnectionEnded:
    """A connection to a venue, whose messages are kept."""

    async def connected(*_: object) -> trio.SocketStream:
        return ours

    def on_messages(split: Split) -> None:
        kinds = split.opcodes or bytes((TEXT,)) * len(split.payloads)
        messages.extend(zip(split.payloads, kinds, strict=True))

    with patch("trio.open_tcp_stream", connected):
        async with open_upstream(
            "ws://venue/",
            on_messages=on_messages,
            on_frame_sent=lambda control: None,
            max_message_bytes=limit,
        ) as upstream:
            return await upstream.wait_closed()


async def _client(
    ours: trio.SocketStream, limit: int, messages: list[tuple[bytes, int]]
) -> ConnectionEnded:
    """A connection of a strategy, whose messages are kept."""
    async with handshake(ours, max_message_bytes=limit) as request:
        assert request is not None
        client = await request.accept()
        while True:
            try:
                messages.append(await client.receive())
            except ConnectionEnded as ended:
                return ended


# --- many ---


def run(first: int, *, cases: float = float("inf"), seconds: float = float("inf")) -> int:
    """Check cases from this number on; how many they were. Raises AssertionError, with a note."""
    begin = time.monotonic()
    for number in count(first):
        if number - first >= cases or time.monotonic() - begin >= seconds:
            return number - first
        try:
            one = case(number)
            said = check(one)
            if number % _LANE_EVERY == 0:
                trio.run(check_lane, one, said)
        except Exception as error:
            error.add_note(f"case {number}: FUZZ_SEED={number} FUZZ_CASES=1 make fuzz")
            raise
    raise AssertionError("there is always one more number")


def main() -> None:
    """As the environment says: FUZZ_SEED (random), FUZZ_SECONDS (60), FUZZ_CASES (no end)."""
    seed = int(os.environ.get("FUZZ_SEED") or time.time_ns() % 10**12)
    seconds = float(os.environ.get("FUZZ_SECONDS") or 60)
    cases = float(os.environ.get("FUZZ_CASES") or "inf")
    print(f"FUZZ_SEED={seed}", flush=True)
    print(f"{run(seed, cases=cases, seconds=seconds):,} cases: the same as wsproto's")


if __name__ == "__main__":
    main()
