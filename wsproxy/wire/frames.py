"""WebSocket frames as bytes (RFC 6455, section 5): encode ours, split theirs.

Pure: bytes in, values out. The hot paths of the proxy are here, so the common case of a splitter
(final, unmasked text frames) is one loop without a call; everything else takes the careful way.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from struct import Struct
from typing import NamedTuple

from wsproxy.model import BINARY, TEXT

_CONTINUATION = 0
_CLOSE, _PING, _PONG = 8, 9, 10
_FINAL = 0x80
_RESERVED = 0x70
_MASKED = 0x80
_FINAL_TEXT = _FINAL | TEXT

FINAL_CLOSE = _FINAL | _CLOSE
"""First byte of a close frame."""
FINAL_PING = _FINAL | _PING
"""First byte of a ping."""

PROTOCOL_ERROR, NOT_UTF8, TOO_BIG = 1002, 1007, 1009
NO_STATUS = 1005
"""Close codes (RFC 6455, section 7.4.1)."""

_PEER_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1014), *range(3000, 5000)))
"""Close codes that a peer may send; the same that wsproto takes (1014 is not among them)."""

_UINT16 = Struct("!H")
_UINT64 = Struct("!Q")


def _header(length: int, opcode: int) -> bytes:
    if length < 126:
        return bytes((_FINAL | opcode, length))
    if length < 1 << 16:
        return bytes((_FINAL | opcode, 126)) + _UINT16.pack(length)
    return bytes((_FINAL | opcode, 127)) + _UINT64.pack(length)


_TEXT_HEADERS = tuple(_header(length, TEXT) for length in range(2048))


def header(length: int, opcode: int = TEXT) -> bytes:
    """Give the header of a server's frame: final and unmasked, for a payload of so many bytes."""
    if length < 2048 and opcode == TEXT:
        return _TEXT_HEADERS[length]
    return _header(length, opcode)


def encode(payload: bytes, opcode: int = TEXT) -> bytes:
    """Give a message as one frame of a server; the same bytes serve every client."""
    length = len(payload)
    if length < 2048 and opcode == TEXT:  # as in header(): a call would cost as much again
        return _TEXT_HEADERS[length] + payload
    return _header(length, opcode) + payload


def encode_all(payloads: Iterable[bytes]) -> list[bytes]:
    """Give each message of text as one frame of a server."""
    heads = _TEXT_HEADERS
    return [
        heads[length] + payload if (length := len(payload)) < 2048 else encode(payload)
        for payload in payloads
    ]


class Violation(NamedTuple):
    """What a peer did wrong: the close code that it is due, and why in a few words."""

    code: int
    reason: str


class Close(NamedTuple):
    """What a peer's close frame says; the code is 1005 where it says none."""

    code: int
    reason: str


def encode_close(code: int, reason: str, *, masked: bool = False) -> bytes:
    """Give a close frame; ``masked`` (with a key of zeros) as if a client had sent it.

    The reason must fit into 123 bytes.
    """
    payload = _UINT16.pack(code) + reason.encode()
    if masked:
        return bytes((FINAL_CLOSE, _MASKED | len(payload), 0, 0, 0, 0)) + payload
    return bytes((FINAL_CLOSE, len(payload))) + payload


class Split(NamedTuple):
    """What a run of bytes held."""

    payloads: list[bytes]
    """The complete data messages, in order."""
    opcodes: bytes | None
    """One byte a payload, or None where all are text."""
    controls: list[bytes]
    """The complete control frames, byte for byte and in order."""
    violation: Violation | None
    """Set where the peer broke the protocol behind all of this."""
    frames: bytes | None = None
    """The payloads as ``encode_all`` would encode them, where they came so; else None."""


class _Violated(Exception):
    def __init__(self, code: int, reason: str) -> None:
        self.violation = Violation(code, reason)


class Splitter:
    """Split the bytes that a peer sends behind the handshake into messages and control frames.

    ``max_message_bytes`` bounds a message, whole or in fragments: a frame that announces more is
    refused before it is buffered. ``masked`` says whether the peer masks its frames, as clients
    must and servers must not. After a violation or a close frame the state is ``finished``: later
    bytes are ignored.
    """

    def __init__(self, max_message_bytes: int, *, masked: bool = False) -> None:
        self._max = max_message_bytes
        self._mask = _MASKED if masked else 0
        self.finished = False
        self.close: Close | None = None
        # A frame that is not complete: its pieces, and how many bytes are needed to go on.
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._needed = 0
        # A message that is not complete: its opcode (0 if there is none) and its bytes.
        self._opcode = 0
        self._message = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, data: bytes) -> Split:
        """Take the next bytes; give what they complete."""
        payloads: list[bytes] = []
        if self.finished:
            return Split(payloads, None, [], None)
        if self._needed:
            self._held.append(data)
            self._held_bytes += len(data)
            if self._held_bytes < self._needed:
                return Split(payloads, None, [], None)
            data = b"".join(self._held)
            self._held = []
            self._needed = 0
        position = 0
        if not self._opcode and not self._mask:
            position = self._take_simple(data, position, payloads)
            if position == len(data):
                return Split(payloads, None, [], None, data)
        simple, count = position, len(payloads)
        binary: list[int] = []
        controls: list[bytes] = []
        violation = None
        try:
            while not self.finished:
                following = self._take_any(data, position, payloads, binary, controls)
                if following == position:
                    break
                position = following
                if not (self._opcode or self._mask or self.finished):
                    position = self._take_simple(data, position, payloads)
        except _Violated as exc:
            violation = exc.violation
            self.finished = True
        if self._needed:
            self._held = [data[position:]]
            self._held_bytes = len(data) - position
        opcodes = None
        if binary:
            marks = bytearray(bytes((TEXT,)) * len(payloads))
            for index in binary:
                marks[index] = BINARY
            opcodes = bytes(marks)
        frames = data[:simple] if len(payloads) == count else None
        return Split(payloads, opcodes, controls, violation, frames)

    def _take_simple(self, data: bytes, position: int, payloads: list[bytes]) -> int:
        """Take complete, final, unmasked text frames of less than 64 KiB; stop at anything else."""
        append = payloads.append
        final_text = _FINAL_TEXT
        most = self._max
        end = len(data)
        last = end - 4  # behind it a 16-bit length might be cut off
        while position <= last and data[position] == final_text:
            length = data[position + 1]
            if length < 126:
                start = position + 2
            elif length == 126:
                length = data[position + 2] << 8 | data[position + 3]
                if length < 126:
                    break
                start = position + 4
            else:
                break
            stop = start + length
            if stop > end or length > most:
                break
            payload = data[start:stop]
            if not payload.isascii():
                try:
                    payload.decode()
                except UnicodeDecodeError:
                    break
            append(payload)
            position = stop
        return position

    def _take_any(
        self,
        data: bytes,
        position: int,
        payloads: list[bytes],
        binary: list[int],
        controls: list[bytes],
    ) -> int:
        """Take one frame of any kind and give the position behind it.

        Gives ``position`` itself where nothing is left, or where the frame is not complete: then
        ``_needed`` says how many bytes it wants.
        """
        available = len(data) - position
        if not available:
            return position
        if available < 2:
            self._needed = 2
            return position
        first = data[position]
        opcode = first & 0x0F
        self._check_opcode(first, opcode)
        length = data[position + 1] & 0x7F
        if opcode >= _CLOSE and length > 125:
            raise _Violated(PROTOCOL_ERROR, "control frame of more than 125 bytes")
        masked = data[position + 1] & _MASKED
        size = 2 if length < 126 else 4 if length == 126 else 10
        if available < size:
            self._needed = size
            return position
        if length == 126:
            (length,) = _UINT16.unpack_from(data, position + 2)
            if length < 126:
                raise _Violated(PROTOCOL_ERROR, "length not in its shortest form")
        elif length == 127:
            (length,) = _UINT64.unpack_from(data, position + 2)
            if length < 1 << 16 or length >> 63:
                raise _Violated(PROTOCOL_ERROR, "length not in its shortest form")
        if first & _RESERVED:
            raise _Violated(PROTOCOL_ERROR, "reserved bit set")
        if masked != self._mask:
            why = "server's frame is masked" if masked else "client's frame is not masked"
            raise _Violated(PROTOCOL_ERROR, why)
        if opcode < _CLOSE:
            self._check_data(opcode, length)
        start = position + size + (4 if masked else 0)
        stop = start + length
        if stop > len(data):
            self._needed = stop - position
            return position
        payload = data[start:stop]
        if masked:
            payload = _unmask(payload, data[start - 4 : start])
        if opcode < _CLOSE:
            self._take_data(first & _FINAL, opcode, payload, payloads, binary)
        else:
            if opcode == _CLOSE:
                self.close = _read_close(payload)
                self.finished = True
            controls.append(data[position:stop])
        return stop

    def _check_opcode(self, first: int, opcode: int) -> None:
        if opcode not in (_CONTINUATION, TEXT, BINARY, _CLOSE, _PING, _PONG):
            raise _Violated(PROTOCOL_ERROR, f"unknown opcode {opcode:#x}")
        if opcode >= _CLOSE and not first & _FINAL:
            raise _Violated(PROTOCOL_ERROR, "control frame in fragments")

    def _check_data(self, opcode: int, length: int) -> None:
        if opcode == _CONTINUATION and not self._opcode:
            raise _Violated(PROTOCOL_ERROR, "continuation of no message")
        if opcode != _CONTINUATION and self._opcode:
            raise _Violated(PROTOCOL_ERROR, "new message inside a message")
        if len(self._message) + length > self._max:
            raise _Violated(TOO_BIG, f"message of more than {self._max} bytes")

    def _take_data(
        self, final: int, opcode: int, payload: bytes, payloads: list[bytes], binary: list[int]
    ) -> None:
        opcode = opcode or self._opcode
        if opcode == TEXT:
            try:
                self._decoder.decode(payload, final=bool(final))
            except UnicodeDecodeError:
                raise _Violated(NOT_UTF8, "text is not UTF-8") from None
        if not final:
            self._opcode = opcode
            self._message += payload
            return
        if self._message:
            payload = bytes(self._message + payload)
            self._message = bytearray()
        self._opcode = 0
        if opcode == BINARY:
            binary.append(len(payloads))
        payloads.append(payload)


def _unmask(payload: bytes, key: bytes) -> bytes:
    length = len(payload)
    mask = (key * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")


def _read_close(payload: bytes) -> Close:
    if not payload:
        return Close(NO_STATUS, "")
    if len(payload) == 1:
        raise _Violated(PROTOCOL_ERROR, "close frame of one byte")
    (code,) = _UINT16.unpack_from(payload)
    if code not in _PEER_CODES:
        raise _Violated(PROTOCOL_ERROR, f"close code {code} is not allowed")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise _Violated(NOT_UTF8, "close reason is not UTF-8") from None
