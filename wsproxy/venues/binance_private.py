"""What Binance takes for private: keys, signatures, listen keys, orders, and the trading API.

Facts: https://developers.binance.com/docs/binance-spot-api-docs/websocket-api (2026-09-24), and
``.../user-data-stream`` for listen keys, which are 64 letters and digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from wsproxy.venues.base import Body, Request
from wsproxy.venues.jsontext import BAD_JSON

API_PATH = "/ws-api/"
"""Where the trading API is; all that is said there belongs to one client."""
API_HOST = "wss://ws-api.binance.com:443"

# Futures append @account and the like to a listen key.
_listen_key = re.compile(r"[A-Za-z0-9]{60,}(@.*)?", re.DOTALL).fullmatch

_SECRETS = {"apikey", "signature", "listenkey", "listentoken", "token", "jwt", "secret"}
"""Names, without regard to case, of what only its owner may see."""

_AREAS = {
    "account",
    "allorderlists",
    "allorders",
    "myallocations",
    "myfilters",
    "mypreventedmatches",
    "mytrades",
    "openorderlists",
    "openorders",
    "order",
    "orderamendment",
    "orderlist",
    "session",
    "sor",
    "userdatastream",
}
"""First words of the methods that need a key, in lower case."""


def is_listen_key(name: str) -> bool:
    """Whether the name of a stream is the key to an account's own events."""
    return _listen_key(name) is not None


def is_private_address(names: Iterable[str], options: Mapping[str, str]) -> bool:
    """Whether an address with these streams and these options in its query holds a secret."""
    return any(map(is_listen_key, names)) or _names_secret(options)


def is_private_request(method: object, params: object, fields: Iterable[str]) -> bool:
    """Whether a request with these fields authenticates or trades."""
    if isinstance(method, str) and method.partition(".")[0].lower() in _AREAS:
        return True
    return _names_secret(fields) or _holds_secret(params)


def _names_secret(fields: Iterable[str]) -> bool:
    return any(name.lower() in _SECRETS for name in fields)


def _holds_secret(value: object) -> bool:
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(name) if is_listen_key(name):
                return True
            case dict(fields) if _names_secret(fields):
                return True
            case dict(fields):
                waiting += fields.values()
            case list(items):
                waiting += items
    return False


class _Asked(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


class BinanceApiSession:
    """A client of the trading API: everything is private."""

    view = "api"

    def __init__(self, address: str) -> None:
        self._address = address

    def opening(self) -> Request | None:
        """The connection itself."""
        return Request("private", address=self._address)

    def read(self, payload: bytes, opcode: int) -> Request:
        """Only read where the connection was refused: so is each request, by its id."""
        try:
            request_id = bytes(msgspec.json.decode(payload, type=_Asked).id)
        except BAD_JSON:
            request_id = b"null"
        return Request("private", tag=request_id, address=self._address)

    def accept(self, request: Request, active: Sequence[str], wall_ns: int) -> Body | None:
        """None: the venue answers."""
        return None

    def refuse(self, request: Request, why: str, wall_ns: int) -> Body:
        """An error as the trading API writes it, with status 503 and the code of such."""
        request_id = request.tag if isinstance(request.tag, bytes) else b"null"
        error = msgspec.json.encode({"code": -1008, "msg": why})
        return b'{"id":%b,"status":503,"error":%b}' % (request_id, error)
