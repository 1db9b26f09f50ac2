from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.fuzz import Case, check, missing
from tests.wire.reference import CLOSE, CONTINUATION, PING, PONG, frame
from wsproxy.model import BINARY, TEXT
from wsproxy.wire.frames import (
    Close,
    Split,
    Splitter,
    Violation,
    encode,
    encode_all,
    encode_close,
    header,
)

LIMIT = 1 << 20
LENGTHS = (0, 1, 125, 126, 127, 2047, 2048, 65535, 65536, 70000)


class Seen:
    """What a splitter gives for all the chunks of a stream."""

    def __init__(self, splitter: Splitter, chunks: list[bytes]) -> None:
        self.messages: list[tuple[bytes, int]] = []
        self.rest = b""
        self.violation: Violation | None = None
        for chunk in chunks:
            split = splitter.feed(chunk)
            opcodes = split.opcodes or bytes((TEXT,)) * len(split.payloads)
            assert len(opcodes) == len(split.payloads)
            if split.frames is not None:
                assert split.frames == b"".join(encode_all(split.payloads))
            self.messages += zip(split.payloads, opcodes, strict=True)
            self.rest += b"".join(split.controls)
            self.violation = self.violation or split.violation


def see(stream: bytes, *, limit: int = LIMIT, masked: bool = False) -> Seen:
    return Seen(Splitter(limit, masked=masked), [stream])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_encode_gives_a_servers_frame_in_the_shortest_form(length: int, opcode: int) -> None:
    payload = b"x" * length
    assert encode(payload, opcode) == frame(payload, opcode)
    assert header(length, opcode) == frame(payload, opcode)[: -length or None]


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("key", [None, b"\x01\x80\x00\xff"])
def test_every_length_form_is_taken(length: int, opcode: int, key: bytes | None) -> None:
    payload = bytes(random.Random(length).choices(b"abc", k=length))
    seen = see(frame(payload, opcode, key=key) * 2, masked=key is not None)
    assert seen.messages == [(payload, opcode)] * 2
    assert (seen.rest, seen.violation) == (b"", None)


def test_all_text_needs_no_opcodes() -> None:
    split = Splitter(LIMIT).feed(frame(b"abc") + frame("é".encode()))
    assert (split.payloads, split.opcodes) == ([b"abc", "é".encode()], None)


def test_what_can_be_sent_on_as_it_came_is_given_as_frames() -> None:
    frames = frame(b"abc") + frame("é".encode() * 500)
    partial = frame(b"partial")
    payloads = [b"abc", "é".encode() * 500]
    assert Splitter(LIMIT).feed(frames) == Split(payloads, None, [], None, frames)
    splitter = Splitter(LIMIT)
    assert splitter.feed(frames + partial[:4]) == Split(payloads, None, [], None, frames)
    assert splitter.feed(partial[4:]) == Split([b"partial"], None, [], None, partial)


@pytest.mark.parametrize("between", [frame(b"", PING), frame(b"x" * 70000), frame(b"xyz", BINARY)])
def test_what_came_otherwise_has_to_be_encoded(between: bytes) -> None:
    assert Splitter(LIMIT).feed(frame(b"abc") + between + frame(b"def")).frames is None


def test_opcodes_tell_text_from_binary() -> None:
    split = Splitter(LIMIT).feed(frame(b"a") + frame(b"\xff", BINARY) + frame(b"c"))
    assert split.payloads == [b"a", b"\xff", b"c"]
    assert split.opcodes == bytes((TEXT, BINARY, TEXT))


def test_fragments_are_joined_and_control_frames_between_them_are_left() -> None:
    ping, pong = frame(b"1", PING), frame(b"2", PONG)
    euro = "€".encode()
    stream = (
        frame(euro[:1], final=False)
        + ping
        + frame(b"", CONTINUATION, final=False)
        + pong
        + frame(euro[1:], CONTINUATION)
        + frame(b"next")
    )
    seen = see(stream)
    assert seen.messages == [(euro, TEXT), (b"next", TEXT)]
    assert (seen.rest, seen.violation) == (ping + pong, None)


def test_binary_fragments_are_binary() -> None:
    seen = see(frame(b"\xff", BINARY, final=False) + frame(b"\xfe", CONTINUATION))
    assert seen.messages == [(b"\xff\xfe", BINARY)]


def test_empty_fragments_make_an_empty_message() -> None:
    assert see(frame(final=False) + frame(b"", CONTINUATION)).messages == [(b"", TEXT)]


@pytest.mark.parametrize(
    ("payload", "close"),
    [
        (b"", Close(1005, "")),
        (b"\x03\xe8", Close(1000, "")),
        (b"\x03\xf4back soon", Close(1012, "back soon")),
        (b"\x0f\xa1" + b"x" * 123, Close(4001, "x" * 123)),
    ],
)
def test_a_close_frame_is_left_and_ends_the_stream(payload: bytes, close: Close) -> None:
    splitter = Splitter(LIMIT)
    last = frame(payload, CLOSE)
    split = splitter.feed(frame(b"a") + last + frame(b"late"))
    assert (split.payloads, split.controls, split.violation) == ([b"a"], [last], None)
    assert splitter.close == close
    assert splitter.finished
    assert splitter.feed(frame(b"later")) == Split([], None, [], None)


VIOLATIONS = {
    "text is not UTF-8": (frame(b"\xff"), 1007),
    "long text is not UTF-8": (frame(b"x" * 300 + b"\xff"), 1007),
    "text ends in a character": (frame("é".encode()[:1]), 1007),
    "fragments are not UTF-8": (frame(b"\xe2", final=False) + frame(b"x", CONTINUATION), 1007),
    "fragments end in a character": (frame(final=False) + frame(b"\xe2", CONTINUATION), 1007),
    "reserved bit 1": (frame(b"x", reserved=4), 1002),
    "reserved bit 2": (frame(b"x", BINARY, reserved=2), 1002),
    "reserved bit 3, control": (frame(b"x", PING, reserved=1), 1002),
    "opcode 3": (frame(b"x", 3), 1002),
    "opcode 11": (frame(b"x", 11), 1002),
    "masked": (frame(b"x", key=b"abcd"), 1002),
    "masked control": (frame(b"x", PING, key=b"abcd"), 1002),
    "continuation of nothing": (frame(b"x", CONTINUATION), 1002),
    "continuation of nothing, not final": (frame(b"x", CONTINUATION, final=False), 1002),
    "text inside a message": (frame(b"x", final=False) + frame(b"y"), 1002),
    "binary inside a message": (frame(b"x", final=False) + frame(b"y", BINARY), 1002),
    "ping in fragments": (frame(b"x", PING, final=False), 1002),
    "ping of 126 bytes": (frame(b"x" * 126, PING), 1002),
    "16-bit form for 125": (frame(b"x" * 125, form=16), 1002),
    "64-bit form for 65535": (frame(b"x" * 65535, form=64), 1002),
    "64-bit form with its first bit set": (b"\x81\x7f\x80" + bytes(7), 1002),
    "close of one byte": (frame(b"\x03", CLOSE), 1002),
    "close code 999": (frame(b"\x03\xe7", CLOSE), 1002),
    "close code 1005": (frame(b"\x03\xed", CLOSE), 1002),
    "close code 1014": (frame(b"\x03\xf6", CLOSE), 1002),
    "close code 5000": (frame(b"\x13\x88", CLOSE), 1002),
    "close reason is not UTF-8": (frame(b"\x03\xe8\xff", CLOSE), 1007),
}


@pytest.mark.parametrize(("wrong", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_violation_ends_the_stream_behind_what_came_before(wrong: bytes, code: int) -> None:
    ping = frame(b"p", PING)
    for chunk in (1, 1 << 20):
        stream = frame(b"before") + ping + wrong + frame(b"after")
        splitter = Splitter(LIMIT)
        seen = Seen(splitter, [stream[i : i + chunk] for i in range(0, len(stream), chunk)])
        assert seen.messages == [(b"before", TEXT)]
        assert seen.rest == ping
        assert seen.violation is not None
        assert seen.violation.code == code
        assert splitter.finished
        assert splitter.close is None


def test_a_server_wants_masks() -> None:
    assert see(frame(b"x"), masked=True).violation == Violation(
        1002, "client's frame is not masked"
    )


@pytest.mark.parametrize("limit", [0, 10, 125, 126, 300, 70000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_limit_is_exact_and_checked_before_the_payload_comes(limit: int, opcode: int) -> None:
    assert see(frame(b"x" * limit, opcode), limit=limit).messages == [(b"x" * limit, opcode)]
    too_big = header(limit + 1, opcode)
    violation = see(too_big, limit=limit).violation
    assert violation == Violation(1009, f"message of more than {limit} bytes")
    assert see(too_big + b"x" * (limit + 1), limit=limit).violation == violation


def test_the_limit_bounds_the_sum_of_fragments() -> None:
    stream = frame(b"x" * 6, final=False) + frame(b"x" * 4, CONTINUATION, final=False)
    assert see(stream + frame(b"", CONTINUATION), limit=10).messages == [(b"x" * 10, TEXT)]
    violation = see(stream + b"\x80\x01", limit=10).violation
    assert violation is not None
    assert violation.code == 1009


def test_a_large_message_in_many_pieces_is_copied_a_fixed_number_of_times() -> None:
    """Each piece is kept as it came until the frame is complete."""
    piece = b"x" * 1000
    splitter = Splitter(1 << 30)
    splitter.feed(header(1000 * 1000) + piece)
    for _ in range(998):
        assert splitter.feed(piece).payloads == []
    held = splitter._held
    assert len(held) == 999
    assert all(kept is piece for kept in held[1:])
    assert splitter.feed(piece).payloads == [piece * 1000]
    assert splitter._held == []


def test_ten_megabytes_at_once() -> None:
    """Every message of a chunk that large, and what is left of the last one."""
    message = b"x" * 300
    count = 10_000_000 // 304
    stream = frame(message) * count
    seen = Seen(Splitter(LIMIT), [stream + frame(message)[:100], frame(message)[100:]])
    assert seen.messages == [(message, TEXT)] * (count + 1)


@pytest.mark.parametrize("fragments", [1, 7])
def test_a_message_of_64_megabytes_within_its_limit(fragments: int) -> None:
    size = 64 << 20
    text = memoryview("é".encode() * (size // 2))
    marks = [size * index // fragments for index in range(fragments + 1)]  # inside characters, too
    splitter = Splitter(size)
    seen: list[bytes] = []
    for index, (start, stop) in enumerate(pairwise(marks)):
        opcode = CONTINUATION if index else TEXT
        first = bytes((0x80 * (index == fragments - 1) | opcode, 127))
        assert splitter.feed(first + (stop - start).to_bytes(8, "big")).violation is None
        for at in range(start, stop, 256 * 1024):
            split = splitter.feed(bytes(text[at : min(at + 256 * 1024, stop)]))
            assert split.violation is None
            seen += split.payloads
    assert len(seen) == 1
    assert seen[0] == text


def test_encode_close_is_read_back_in_both_roles() -> None:
    for masked in (False, True):
        splitter = Splitter(LIMIT, masked=masked)
        splitter.feed(encode_close(1009, "too big: é", masked=masked))
        assert splitter.close == Close(1009, "too big: é")


# -- any stream, any split, compared with wsproto --

keys = st.binary(min_size=4, max_size=4)
payloads = st.one_of(
    st.text(max_size=200).map(str.encode),
    st.sampled_from([126, 300, 65535, 65536]).map(lambda length: b"x" * length),
)


@st.composite
def streams(draw: st.DrawFn, *, masked: bool) -> bytes:
    """A valid stream: messages whole and in fragments, control frames, perhaps a close frame."""
    out = bytearray()

    def add(payload: bytes, opcode: int, *, final: bool = True) -> None:
        out.extend(frame(payload, opcode, final=final, key=draw(keys) if masked else None))

    for _ in range(draw(st.integers(0, 6))):
        opcode = draw(st.sampled_from((TEXT, BINARY)))
        payload = draw(payloads)
        if opcode == BINARY:
            payload += draw(st.binary(max_size=20))
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
        for start, stop in zip([0, *cuts], [*cuts, len(payload)], strict=True):
            add(payload[start:stop], opcode, final=stop == len(payload))
            opcode = CONTINUATION
            if stop == len(payload):
                break
            if draw(st.booleans()):
                add(draw(st.binary(max_size=125)), draw(st.sampled_from((PING, PONG))))
        if draw(st.booleans()):
            add(draw(st.binary(max_size=125)), draw(st.sampled_from((PING, PONG))))
    if draw(st.booleans()):
        add(draw(st.sampled_from((b"", b"\x03\xe8", b"\x03\xf4bye"))), CLOSE)
        add(b"late", TEXT)
    return bytes(out)


@st.composite
def mutated(draw: st.DrawFn, *, masked: bool) -> bytes:
    stream = bytearray(draw(streams(masked=masked)))
    for _ in range(draw(st.integers(1, 3))):
        if not stream:
            break
        # Near the front, where headers are dense, half of the time.
        reach = len(stream) - 1 if draw(st.booleans()) else min(len(stream) - 1, 40)
        place = draw(st.integers(0, reach))
        match draw(st.sampled_from(("flip", "byte", "delete", "insert", "cut"))):
            case "flip":
                stream[place] ^= 1 << draw(st.integers(0, 7))
            case "byte":
                stream[place] = draw(st.integers(0, 255))
            case "delete":
                del stream[place]
            case "insert":
                stream.insert(place, draw(st.integers(0, 255)))
            case _:
                del stream[place:]
    return bytes(stream)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    marks = sorted({place % (len(stream) + 1) for place in places})
    return [stream[a:b] for a, b in zip([0, *marks], [*marks, len(stream)], strict=True)]


@pytest.mark.parametrize("masked", [False, True])
@given(data=st.data())
def test_any_split_of_the_stream_gives_the_same(masked: bool, data: st.DataObject) -> None:
    stream = data.draw(st.one_of(streams(masked=masked), mutated(masked=masked)))
    whole = see(stream, masked=masked)
    places = data.draw(st.lists(st.integers(0, 1 << 20), max_size=20))
    pieces = Seen(Splitter(LIMIT, masked=masked), cut(stream, places))
    assert vars(pieces) == vars(whole)


@pytest.mark.parametrize("masked", [False, True])
@given(data=st.data())
def test_any_prefix_gives_a_prefix_of_the_messages(masked: bool, data: st.DataObject) -> None:
    stream = data.draw(streams(masked=masked))
    whole = see(stream, masked=masked)
    prefix = see(stream[: data.draw(st.integers(0, len(stream)))], masked=masked)
    assert prefix.messages == whole.messages[: len(prefix.messages)]
    assert whole.rest.startswith(prefix.rest)
    assert prefix.violation is None


@pytest.mark.parametrize("masked", [False, True])
@given(data=st.data())
def test_streams_read_as_wsproto_reads_them(masked: bool, data: st.DataObject) -> None:
    """The same messages, control frames and code; ``tests.wire.fuzz`` says what is not compared."""
    stream = data.draw(st.one_of(streams(masked=masked), mutated(masked=masked)))
    stream += bytes(min(missing(stream), 100_000))
    places = data.draw(st.lists(st.integers(0, 1 << 20), max_size=20))
    check(Case(stream, cut(stream, places), masked, 1 << 62))
