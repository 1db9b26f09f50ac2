"""Frames by hand, and what wsproto makes of a stream of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from wsproto import ConnectionType
from wsproto.connection import Connection, ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from wsproxy.model import BINARY, TEXT

CONTINUATION, CLOSE, PING, PONG = 0, 8, 9, 10


def frame(
    payload: bytes = b"",
    opcode: int = TEXT,
    *,
    final: bool = True,
    reserved: int = 0,
    key: bytes | None = None,
    form: int = 0,
) -> bytes:
    """Any frame, right or wrong; ``form`` (7, 16 or 64) forces a length form."""
    length = len(payload)
    form = form or (7 if length < 126 else 16 if length < 65536 else 64)
    mask = 0x80 if key else 0
    first = bytes((0x80 * final | reserved << 4 | opcode,))
    if form == 7:
        size = bytes((mask | length,))
    elif form == 16:
        size = bytes((mask | 126,)) + length.to_bytes(2, "big")
    else:
        size = bytes((mask | 127,)) + length.to_bytes(8, "big")
    if key:
        payload = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    return first + size + (key or b"") + payload


@dataclass
class Outcome:
    """What a stream says."""

    messages: list[tuple[bytes, int]] = field(default_factory=list)
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    """Pings and pongs, in order."""
    close: int | None = None
    """The code that the peer gave, or that it is due for a violation."""
    reason: str | None = None
    """What the peer gave with its code; None for a violation."""


def wsproto_reads(chunks: Iterable[bytes], *, masked: bool) -> Outcome:
    """What wsproto makes of it.

    It delivers a message piece by piece, as bytes come and per fragment: here they are joined, and
    count when the message is complete.
    """
    seen = Outcome()
    connection = Connection(ConnectionType.SERVER if masked else ConnectionType.CLIENT)
    message = bytearray()
    for chunk in chunks:
        connection.receive_data(chunk)
        for event in connection.events():
            if isinstance(event, TextMessage | BytesMessage):
                data = event.data
                message += data.encode() if isinstance(data, str) else data
                if event.message_finished:
                    opcode = TEXT if isinstance(event, TextMessage) else BINARY
                    seen.messages.append((bytes(message), opcode))
                    message.clear()
            elif isinstance(event, Ping | Pong):
                opcode = PING if isinstance(event, Ping) else PONG
                seen.controls.append((opcode, bytes(event.payload)))
            elif isinstance(event, CloseConnection):
                seen.close = int(event.code)
                if connection.state is ConnectionState.REMOTE_CLOSING:
                    seen.reason = event.reason or ""
                return seen
    return seen
