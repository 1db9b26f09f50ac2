"""What the records that are no messages say: CBOR maps, and the names of their fields.

One function for each kind of event makes the record's payload; ``read_event`` reads any of them.
Readers pass over fields that they do not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cbor2

from wsproxy.errors import RecordingError


def opened() -> bytes:
    """The connection is open; its venue and address stand in the connection table."""
    return cbor2.dumps({})


def closed(code: int, reason: str, by: Literal["peer", "us", "network"]) -> bytes:
    """The connection ended: WebSocket close code and reason (1006 if none came), and by whom."""
    return cbor2.dumps({"code": code, "reason": reason, "by": by})


def subscribed(streams: Sequence[str]) -> bytes:
    """These streams were asked for."""
    return cbor2.dumps({"streams": list(streams)})


def acknowledged(streams: Sequence[str]) -> bytes:
    """The venue granted these streams."""
    return cbor2.dumps({"streams": list(streams)})


def refused(streams: Sequence[str], why: str) -> bytes:
    """The venue refused these streams; ``why`` is its own explanation."""
    return cbor2.dumps({"streams": list(streams), "why": why})


def unsubscribed(streams: Sequence[str]) -> bytes:
    """These streams were given up."""
    return cbor2.dumps({"streams": list(streams)})


def gap(streams: Sequence[str], why: str, since_ns: int, missed: int | None = None) -> bytes:
    """Messages of these streams may be missing between ``since_ns`` and the record's own time.

    ``since_ns`` is wall clock; ``missed`` is how many messages, if that is known. No streams
    means all streams of the record's connection or, without a connection, of the recording.
    """
    return cbor2.dumps({"streams": list(streams), "why": why, "since": since_ns, "missed": missed})


def read_event(payload: bytes) -> dict[str, object]:
    """The fields of an event record; RecordingError if the payload is none."""
    try:
        fields = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError) as error:
        raise RecordingError(f"an event record cannot be understood: {error}") from None
    if not isinstance(fields, dict):
        raise RecordingError("an event record cannot be understood: it is not a map")
    return {str(name): value for name, value in fields.items()}
