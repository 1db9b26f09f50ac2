"""What the records that are no messages say: CBOR maps, and the names of their fields.

One function for each kind of event makes the record's payload; ``read_event`` reads any of them.
Readers pass over fields that they do not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def gap(
    streams: Sequence[str],
    why: str,
    since_ns: int,
    missed: int | None = None,
    *,
    last: int | None = None,
    first: int | None = None,
    until_ns: int | None = None,
) -> bytes:
    """Messages of these streams may be missing between ``since_ns`` and the record's own time.

    Or ``until_ns``, where that is given. Both are wall clock; ``missed`` is how many messages, if
    that is known; ``last`` and ``first`` are the venue's sequence numbers before and behind the
    gap, where it has them. No streams means all streams of the record's connection or, without
    one, of the recording.
    """
    fields = {"streams": list(streams), "why": why, "since": since_ns, "missed": missed}
    if last is not None and first is not None:
        fields |= {"last": last, "first": first}
    if until_ns is not None:
        fields["until"] = until_ns
    return cbor2.dumps(fields)


def attachment(
    url: str, status: int, headers: Mapping[str, str], body: bytes, asked_ns: int
) -> bytes:
    """What an HTTP request gave: ``asked_ns`` is when it was sent, wall clock.

    The record's own time is when the answer was complete, its streams are those it is meant for.
    The caller leaves secrets out of URL and headers.
    """
    return cbor2.dumps(
        {"url": url, "status": status, "headers": dict(headers), "asked": asked_ns, "body": body}
    )


def clock(offset_ns: int, error_ns: int | None, source: str) -> bytes:
    """The clock that ``source`` names was ``offset_ns`` ahead of this machine's wall clock.

    ``error_ns`` is how far off that may be, None where it is not known.
    """
    return cbor2.dumps({"offset": offset_ns, "error": error_ns, "source": source})


def marker(text: str, who: str) -> bytes:
    """A person's note: what it says, and who wrote it."""
    return cbor2.dumps({"text": text, "who": who})


def statistics(counters: Mapping[str, int | float]) -> bytes:
    """Counters of the recorder, each since it began."""
    return cbor2.dumps({"counters": dict(counters)})


def deleted(part: int, first_seq: int, records: int, size: int, why: str) -> bytes:
    """Retention deleted this part of the recording, which held so many records and bytes."""
    return cbor2.dumps(
        {"part": part, "seq": first_seq, "records": records, "bytes": size, "why": why}
    )


def read_event(payload: bytes) -> dict[str, object]:
    """The fields of an event record; RecordingError if the payload is none."""
    try:
        fields = cbor2.loads(payload)
    except (cbor2.CBORDecodeError, ValueError) as error:
        raise RecordingError(f"an event record cannot be understood: {error}") from None
    if not isinstance(fields, dict):
        raise RecordingError("an event record cannot be understood: it is not a map")
    return {str(name): value for name, value in fields.items()}
