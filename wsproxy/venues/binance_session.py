"""A client's side of Binance spot: addresses, requests and replies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple
from urllib.parse import unquote

import msgspec

from wsproxy.venues.base import Body, PathRefused, Request
from wsproxy.venues.binance_private import is_listen_key, is_private_address, is_private_request
from wsproxy.venues.jsontext import BAD_JSON, Fields

MICROSECONDS = "?timeUnit=MICROSECOND"
"""What the hub's name of a stream with microseconds ends with; clients neither send nor see it."""

# btcusdt@depth@100ms, btcusdt@kline_1m@+08:00, !miniTicker@arr. Some symbols are not ASCII.
_stream = re.compile(r'(?=[^@]+@|!)[^\s"\\/?&#%\x00-\x1f\x7f-\x9f\ud800-\udfff]{3,100}').fullmatch

_ID_LENGTH = 36


def is_stream(name: str) -> bool:
    """Whether Binance could have a stream of this name; ``0`` and listen keys are none."""
    return _stream(name) is not None and not is_listen_key(name)


def shown(stream: str) -> str:
    """The name on the wire of a stream that the hub calls ``stream``."""
    return stream.removesuffix(MICROSECONDS)


class _Changed(NamedTuple):
    """Answer that the request was carried out."""

    id: bytes


class _Listed(NamedTuple):
    """Answer with the client's streams."""

    id: bytes


class _Asked(NamedTuple):
    """Answer whether the view is combined."""

    id: bytes


class _Set(NamedTuple):
    """Make the view combined, or raw, and answer so."""

    id: bytes
    combined: bool


class _Wrong(NamedTuple):
    """Answer with an error."""

    id: bytes
    code: int
    msg: str


_Answer = _Changed | _Listed | _Asked | _Set | _Wrong

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class BinanceSession:
    """One client of Binance: which streams its URL named, and whether it sees envelopes."""

    def __init__(self, path: str, query: str) -> None:
        kind, *segments = unquote(path).strip("/").split("/")
        options = dict(_options(query))
        if kind == "ws":
            names = segments
        elif kind == "stream" and not segments:
            names = options.get("streams", "").split("/")
        else:
            raise PathRefused("Binance streams are at /ws and /stream")
        unit = options.get("timeUnit", "MILLISECOND").upper()
        if unit not in ("MILLISECOND", "MICROSECOND"):
            raise PathRefused("timeUnit is MILLISECOND or MICROSECOND")
        self._suffix = MICROSECONDS if unit == "MICROSECOND" else ""
        self._combined = self._was_combined = kind == "stream"
        self._unit = f"?timeUnit={unit}" if "timeUnit" in options else ""
        self._address = "/" + path.lstrip("/") + (f"?{query}" if query else "")
        self._is_private = is_private_address(names, options)
        # A segment that names no stream is not an error: ccxt connects to /ws/0, /ws/1, ...
        self._named = self._hub_names(filter(is_stream, names))

    @property
    def view(self) -> str:
        """``raw`` or ``combined``."""
        return "combined" if self._combined else "raw"

    def opening(self) -> Request | None:
        """The streams that the URL named; they are granted without a reply."""
        if self._is_private:
            return Request("private", address=self._address)
        return Request("subscribe", self._named) if self._named else None

    def read(self, payload: bytes, opcode: int) -> Request:
        """Understand a request; a binary message is taken for its text."""
        try:
            fields = msgspec.json.decode(payload, type=Fields)
        except msgspec.ValidationError:
            return _query(_Wrong(b"null", 2, "Invalid request: expected an object"))
        except BAD_JSON as error:
            return _query(_Wrong(b"null", 3, f"Invalid JSON: {error}"))
        request_id = bytes(fields.get("id", b"null"))
        method = _value(fields["method"]) if "method" in fields else None
        params = _value(fields["params"]) if "params" in fields else None
        if is_private_request(method, params, fields):
            return self._private(request_id if _is_id(request_id) else b"null")
        if not _is_id(request_id):
            msg = "Invalid request: request ID must be an integer, a string or null"
            return _query(_Wrong(b"null", 2, msg))
        if "method" not in fields:
            return _query(_Wrong(request_id, 2, "Invalid request: missing field `method`"))
        if method == "SUBSCRIBE":
            return self._change("subscribe", params, request_id)
        if method == "UNSUBSCRIBE":
            return self._change("unsubscribe", params, request_id)
        return _query(_property(method, params, request_id))

    def _private(self, request_id: bytes) -> Request:
        if self._combined == self._was_combined:
            return Request("private", self._named, _Changed(request_id), self._address)
        address = ("/stream" if self._combined else "/ws") + self._unit
        return Request("private", (), _Changed(request_id), address)

    def _change(
        self, kind: Literal["subscribe", "unsubscribe"], params: object, request_id: bytes
    ) -> Request:
        # Only texts are quoted in errors: the repr of what is nested deeply fails.
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            msg = "Invalid request: params must be a list of streams"
            return _query(_Wrong(request_id, 2, msg))
        for name in params:
            if not is_stream(name):
                return _query(_Wrong(request_id, 2, f"Invalid request: {name!r} names no stream"))
        changed = _Changed(request_id)
        if not params:
            return _query(changed)
        return Request(kind, self._hub_names(params), changed)

    def accept(self, request: Request, active: Sequence[str], wall_ns: int) -> Body | None:
        """The reply; None for what the URL asked for."""
        match request.tag:
            case _Changed(request_id):
                return _result(b"null", request_id)
            case _Listed(request_id):
                names = [shown(stream) for stream in active]
                return _result(msgspec.json.encode(names), request_id)
            case _Asked(request_id):
                return _result(b"true" if self._combined else b"false", request_id)
            case _Set(request_id, combined):
                self._combined = combined
                return _result(b"null", request_id)
            case _Wrong(request_id, code, msg):
                return _error(code, msg, request_id)
        return None

    def refuse(self, request: Request, why: str, wall_ns: int) -> Body:
        """An error with code 2 and the request's id (null for what the URL asked for)."""
        tag = request.tag
        request_id = tag.id if isinstance(tag, _Answer) else b"null"
        return _error(2, f"Invalid request: {why}", request_id)

    def _hub_names(self, names: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name + self._suffix for name in names))


def _property(method: object, params: object, request_id: bytes) -> _Answer:
    """What to answer to the methods that are about the session and to unknown ones."""
    if method == "LIST_SUBSCRIPTIONS":
        return _Listed(request_id)
    if not isinstance(method, str):
        return _Wrong(request_id, 2, "Invalid request: method must be a string")
    if method not in _METHODS:
        known = ", ".join(f"`{name}`" for name in _METHODS)
        msg = f"Invalid request: unknown variant `{method}`, expected one of {known}"
        return _Wrong(request_id, 2, msg)
    given = params if isinstance(params, list) else []
    if not given or not isinstance(given[0], str):
        return _Wrong(request_id, 2, "Invalid request: property name must be a string")
    if len(given) > (2 if method == "SET_PROPERTY" else 1):
        return _Wrong(request_id, 2, "Invalid request: too many parameters")
    if given[0] != "combined":
        return _Wrong(request_id, 0, "Unknown property")
    if method == "GET_PROPERTY":
        return _Asked(request_id)
    if len(given) < 2 or not isinstance(given[1], bool):
        return _Wrong(request_id, 1, "Invalid value type: expected Boolean")
    return _Set(request_id, given[1])


def _options(query: str) -> Iterable[tuple[str, str]]:
    # Not parse_qsl: it takes the plus of btcusdt@kline_1m@+08:00 for a space.
    for part in query.split("&"):
        name, _, value = part.partition("=")
        yield unquote(name), unquote(value)


def _value(raw: msgspec.Raw) -> object:
    try:
        return msgspec.json.decode(raw)
    except BAD_JSON:
        return None


def _is_id(token: bytes) -> bool:
    try:
        given = msgspec.json.decode(token, type=int | str | None)
    except BAD_JSON:
        return False
    return not isinstance(given, str) or len(given) <= _ID_LENGTH


def _query(answer: _Answer) -> Request:
    return Request("query", tag=answer)


def _result(result: bytes, request_id: bytes) -> bytes:
    return b'{"result":%b,"id":%b}' % (result, request_id)


def _error(code: int, msg: str, request_id: bytes) -> bytes:
    error = msgspec.json.encode({"code": code, "msg": msg})
    return b'{"error":%b,"id":%b}' % (error, request_id)
