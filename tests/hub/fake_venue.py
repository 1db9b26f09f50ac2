"""A venue with a protocol of its own, so that nothing in the hub can know a real one's.

Data: ``a 1``, or ``a+b 1`` for several streams; ``~a 1`` is data that only ``read`` understands.
Requests to the venue: ``+a,b #7`` and ``-a #7``. Its answers: ``!ok 7``, ``!no 7 why``,
``!no - why``, ``!holds a,b``, ``!notice text``. Streams ``book...`` start with a snapshot and have
a late-join state; a stream ``a@x`` lives at the endpoint ``/x``.

Clients connect to ``/a,b`` and say ``+a,b``, ``-a``, ``=view`` or ``?``. Views: ``plain`` (as it
came), ``round`` (in brackets), ``numbered``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wsproxy.venues.base import (
    Acknowledged,
    Body,
    Data,
    Denied,
    Holding,
    Notice,
    Numbered,
    Profile,
    Rate,
    Reading,
    Request,
    Unknown,
)

SECOND = 1_000_000_000

PROFILE = Profile(
    name="fake",
    title="Fake",
    url="ws://fake",
    streams_per_connection=4,
    streams_per_request=3,
    requests=Rate(4, SECOND),
    connects=Rate(5, 10 * SECOND),
    silence_ns=60 * SECOND,
    keepalive=None,
    max_message_bytes=1000,
    facts=(),
)


def _names(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, text.split(separator))))


class FakeSession:
    def __init__(self, path: str, view: str) -> None:
        self.view = view
        self._opening = _names(path.removeprefix("/"))

    def opening(self) -> Request | None:
        return Request("subscribe", self._opening) if self._opening else None

    def read(self, payload: bytes, opcode: int) -> Request:
        text = payload.decode()
        match text[:1]:
            case "+":
                return Request("subscribe", _names(text[1:]), text)
            case "-":
                return Request("unsubscribe", _names(text[1:]), text)
        return Request("query", tag=text)

    def accept(self, request: Request, active: Sequence[str], wall_ns: int) -> Body | None:
        if request.tag is None:
            return None
        text = str(request.tag)
        if text.startswith("="):
            self.view = text[1:]
        return self._body(f"ok {text}: {','.join(active)}")

    def refuse(self, request: Request, why: str, wall_ns: int) -> Body:
        return self._body(f"no {request.tag}: {why}")

    def _body(self, text: str) -> Body:
        return Numbered(b"", b" " + text.encode()) if self.view == "numbered" else text.encode()


class FakeState:
    """Everything since the snapshot, in one line."""

    def __init__(self) -> None:
        self._seen: list[bytes] = []

    def feed(self, payload: bytes) -> None:
        self._seen.append(payload.rpartition(b" ")[2])

    def snapshot(self) -> Body | None:
        return b"snapshot " + b",".join(self._seen) if self._seen else None


class FakeVenue:
    def __init__(self, **changes: Any) -> None:
        self.profile = replace(PROFILE, **changes)

    def session(self, path: str, query: str) -> FakeSession:
        return FakeSession(path, query or "plain")

    def render(self, payload: bytes, view: str, wanted: frozenset[str] | None) -> Body:
        if wanted is not None:
            payload = b"+".join(sorted(s.encode() for s in wanted)) + payload[payload.index(b" ") :]
        match view:
            case "round":
                return b"(" + payload + b")"
            case "numbered":
                return Numbered(b"", b" " + payload)
        return payload

    def state(self, stream: str) -> FakeState | None:
        return FakeState() if self.resnapshots(stream) else None

    def resnapshots(self, stream: str) -> bool:
        return stream.startswith("book")

    def stream(self, text: str) -> str:
        return text

    def endpoint(self, stream: str) -> str:
        return "/" + stream.partition("@")[2]

    def batches(self, streams: Sequence[str]) -> list[tuple[str, ...]]:
        most = self.profile.streams_per_request
        return [tuple(streams[i : i + most]) for i in range(0, len(streams), most)]

    def subscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        return f"+{','.join(streams)} #{request_id}".encode()

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        return f"-{','.join(streams)} #{request_id}".encode()

    def key(self, payload: bytes) -> bytes | None:
        return None if payload[:1] in b"!~?" else payload.partition(b" ")[0]

    def streams(self, key: bytes, endpoint: str) -> tuple[str, ...]:
        return _names(key.decode(), "+")

    def read(self, payload: bytes, endpoint: str) -> Reading:
        kind, _, rest = payload.decode().partition(" ")
        match kind:
            case "!ok":
                return Acknowledged(int(rest))
            case "!no":
                request, _, why = rest.partition(" ")
                return Denied(None if request == "-" else int(request), why)
            case "!holds":
                return Holding(frozenset(_names(rest)))
            case "!notice":
                return Notice(rest)
        if kind.startswith("~"):
            return Data(_names(kind[1:], "+"))
        return Unknown("gibberish")
