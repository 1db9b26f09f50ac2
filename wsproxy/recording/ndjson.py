"""A record as one line of JSON, as ``wsproxy cat`` prints it."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from wsproxy.errors import RecordingError
from wsproxy.model import BINARY, Kind, Message, StreamKey
from wsproxy.recording.events import read_event

_encode = msgspec.json.Encoder().encode
_TIMES = ("since", "asked")


def line(message: Message) -> bytes:
    """The record as a JSON object and a newline.

    Keys: ``seq``; ``time``, ns since the Unix epoch as text, because it is more than a JSON
    number can hold exactly everywhere; ``kind``, a word, or a number where it is unknown;
    ``connection``; ``stream``, null, ``"venue:name"`` or a list of those; and the payload as
    ``text``, as ``base64`` if it is not text, or as ``event``, an object.
    """
    kind = message.kind
    streams = [str(StreamKey(message.venue, name)) for name in message.streams]
    fields: dict[str, object] = {
        "seq": message.seq,
        "time": str(message.time),
        "kind": kind.name.lower() if isinstance(kind, Kind) else kind,
        "connection": message.connection,
        "stream": streams if len(streams) > 1 else streams[0] if streams else None,
    }
    name, value = _payload(message)
    fields[name] = value
    return _encode(fields) + b"\n"


def _payload(message: Message) -> tuple[str, object]:
    kind = message.kind
    try:
        if kind in (Kind.MESSAGE, Kind.REQUEST, Kind.KEYFRAME):
            if message.opcode != BINARY:
                return "text", message.text
        elif isinstance(kind, Kind):
            event = read_event(message.payload)
            return "event", {k: str(v) if k in _TIMES else v for k, v in event.items()}
    except (UnicodeDecodeError, RecordingError):
        pass  # the bytes themselves say it best
    return "base64", b64encode(message.payload).decode()
