"""A venue with a protocol of its own, so that nothing in the hub can know a real one's.

Data: ``a 1``, or ``a+b 1`` for several streams; ``~a 1`` is data that only ``read`` understands.
Requests to the venue: ``+a,b #7`` and ``-a #7``. Its answers: ``!ok 7``, ``!no 7 why``,
``!no - why``, ``!holds a,b``, ``!notice text``, ``!bye text``, ``!ask reply``. Streams ``book...``
start with a snapshot and have a late-join state; a stream ``a@x`` lives at the endpoint ``/x``.
Messages of ``seq...`` have numbers without gaps (``seq 4``, or ``seq 5-7``), those of ``rise...``
growing ones; ``book =1,2`` is a snapshot. ``a 1 %12`` is message 12 of its connection.

Clients connect to ``/a,b`` and say ``+a,b``, ``-a``, ``=view`` or ``?``; what begins with ``$``
is private, and so is a path with one. Views: ``plain`` (as it
came), ``round`` (in brackets), ``numbered``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wsproxy.venues.base import (
    Acknowledged,
    Asked,
    Body,
    Data,
    Denied,
    Holding,
    Mark,
    Notice,
    Numbered,
    Numbers,
    Past,
    Reading,
    Request,
    Rest,
    RestAnswer,
    RestRequest,
    Same,
    Snapshot,
    Span,
    State,
    Unknown,
)
from wsproxy.venues.profile import Profile, Rate

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


_NUMBER = re.compile(rb" %(\d+)$")


def _value(payload: bytes) -> bytes:
    return _NUMBER.sub(b"", payload).rpartition(b" ")[2]


def _names(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, text.split(separator))))


class FakeSession:
    def __init__(self, path: str, view: str) -> None:
        self.view = view
        self._path = path
        self._opening = _names(path.removeprefix("/"))

    def opening(self) -> Request | None:
        if "$" in self._path:
            return Request("private", address=self._path)
        return Request("subscribe", self._opening) if self._opening else None

    def read(self, payload: bytes, opcode: int) -> Request:
        text = payload.decode()
        match text[:1]:
            case "+":
                return Request("subscribe", _names(text[1:]), text)
            case "-":
                return Request("unsubscribe", _names(text[1:]), text)
            case "$":
                return Request("private", self._opening, text, self._path)
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
        self.alone = 0

    def feed(self, payload: bytes) -> None:
        value = _value(payload)
        if value.startswith(b"=") or payload.startswith(b"snapshot "):
            self._seen = value.removeprefix(b"=").split(b",")
        else:
            self._seen.append(value)

    def feed_alone(self, payload: bytes) -> None:
        assert b"+" not in payload.partition(b" ")[0], "it carries other streams, too"
        self.alone += 1
        self.feed(payload)

    def settle(self) -> bool:
        return False

    def snapshot(self) -> Body | None:
        return b"snapshot " + b",".join(self._seen) if self._seen else None

    def same(self, other: State) -> bool:
        return self.snapshot() == other.snapshot()


TIME = RestRequest("/time", 1)
INFO = RestRequest("/info", 20)


class FakeRest:
    """Snapshots of ``seq...`` are numbers; ``seq1`` and ``seq1@x`` have the same."""

    once = (INFO,)
    time = TIME

    def time_ns(self, body: bytes) -> int | None:
        return int(body) if body.isdigit() else None

    def snapshot(self, stream: str, depth: int) -> RestRequest | None:
        path = f"/{stream.partition('@')[0]}?{depth}"
        return RestRequest(path, depth) if stream.startswith("seq") else None

    def number(self, body: bytes) -> int | None:
        return int(body) if body.isdigit() else None

    def concerns(self, url: str, stream: str) -> bool | None:
        path, query, _ = url.rpartition("/")[2].partition("?")
        return path == stream.partition("@")[0] if query else None

    def book(self, body: bytes) -> FakeBook:
        return FakeBook(int(body))

    def answer(self, path: str, query: str, past: Past) -> RestAnswer | None:
        if path == "/info":
            return RestAnswer(200, (past.attached(path) or b"nothing").decode())
        book = past.book(query.split(",")) if path == "/book" else None
        return None if book is None else RestAnswer(200, book.text(1))


class FakeBook:
    """The numbers since the snapshot, whose number it begins with."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._texts = [str(number)]

    def feed(self, payload: bytes) -> None:
        value = _value(payload).decode()
        self._texts.append(value)
        self.number = int(value.rpartition("-")[2])

    def text(self, levels: int) -> str:
        return ",".join(self._texts)


class FakeVenue:
    rest: Rest | None = None

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

    def render_all(self, payloads: Sequence[bytes], view: str) -> Sequence[Body]:
        if view not in ("round", "numbered"):
            return payloads
        return [self.render(payload, view, None) for payload in payloads]

    def state(self, stream: str) -> FakeState | None:
        return FakeState() if self.resnapshots(stream) else None

    def resnapshots(self, stream: str) -> bool:
        return stream.startswith("book")

    def stream(self, text: str) -> str:
        return text

    def endpoint(self, stream: str) -> str:
        return "/" + stream.partition("@")[2]

    def group(self, stream: str) -> str | None:
        return stream.partition("#")[0] if "#" in stream else None

    def batches(self, streams: Sequence[str]) -> list[tuple[str, ...]]:
        most = self.profile.streams_per_request
        return [tuple(streams[i : i + most]) for i in range(0, len(streams), most)]

    def subscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        return f"+{','.join(streams)} #{request_id}".encode()

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        return f"-{','.join(streams)} #{request_id}".encode()

    def key(self, payload: bytes) -> bytes | None:
        return None if payload[:1] in b"!~?" else payload.partition(b" ")[0]

    def keys(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        return [self.key(payload) or b"" for payload in payloads]

    def streams(self, key: bytes, endpoint: str) -> tuple[str, ...]:
        return _names(key.decode(), "+")

    def mark(self, payload: bytes, stream: str) -> Mark:
        value = _value(payload)
        numbers = re.fullmatch(rb"(\d+)(?:-(\d+))?", value)
        if numbers is not None and stream.startswith(("seq", "rise")):
            first, last = int(numbers[1]), int(numbers[2] or numbers[1])
            return Span(first, last, gapless=stream.startswith("seq"))
        return Snapshot() if value.startswith(b"=") else Same(value)

    def numbers(self, stream: str) -> Numbers | None:
        return self._read if stream.startswith("seq") else None

    def _read(self, payloads: Sequence[bytes]) -> Sequence[tuple[int, int] | None]:
        marks = [self.mark(payload, "seq") for payload in payloads]
        return [(mark.first, mark.last) if isinstance(mark, Span) else None for mark in marks]

    def sequence(self, payload: bytes) -> int | None:
        number = _NUMBER.search(payload)
        return None if number is None else int(number[1])

    def event_time(self, payload: bytes) -> int | None:
        return None

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
            case "!bye":
                return Notice(rest, is_leaving=True)
            case "!ask":
                return Asked(rest.encode())
        if kind.startswith("~"):
            return Data(_names(kind[1:], "+"))
        return Unknown("gibberish")
