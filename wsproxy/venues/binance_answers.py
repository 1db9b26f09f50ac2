"""What a replay answers in the place of Binance's REST interface.

As far as clients ask at their start and for their books; the words and codes of errors are the
venue's (https://developers.binance.com/docs/binance-spot-api-docs/errors, 2026-09-24; which
characters a symbol has, by its own message of 2025-12-25).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from urllib.parse import parse_qsl

import msgspec

from wsproxy.venues.base import Past, RestAnswer
from wsproxy.venues.binance_markets import made_up, markets_of
from wsproxy.venues.binance_session import shown
from wsproxy.venues.jsontext import BAD_JSON

INFO = "/api/v3/exchangeInfo"
_DEPTH = "/api/v3/depth"
_TIME = "/api/v3/time"
_PING = "/api/v3/ping"
_USUAL_DEPTH, _MOST_DEPTH = 100, 5000

_SYMBOL = r"^[\w\-._&&[^a-z]]{1,50}$"  # the venue's own notation
_symbol = re.compile(r"(?:(?![a-z])[\w\-.]){1,50}").fullmatch
_LIMIT = "^[0-9]{1,20}$"
_limit = re.compile("[0-9]{1,20}", re.ASCII).fullmatch
_symbols = msgspec.json.Decoder(list[str]).decode


class _Wrong(Exception):
    """The request earns an error: code and message."""


def answer(path: str, query: str, past: Past) -> RestAnswer | None:
    """The answer to a GET request; None where the path is not one of a REST interface."""
    if not path.startswith("/api/"):
        return None
    options = dict(parse_qsl(query, keep_blank_values=True))
    try:
        match path:
            case "/api/v3/depth":
                return RestAnswer(200, _depth(options, past))
            case "/api/v3/exchangeInfo":
                return RestAnswer(200, _markets(options, past))
            case "/api/v3/time":
                return RestAnswer(200, f'{{"serverTime":{_ms(past)}}}')
            case "/api/v3/ping":
                return RestAnswer(200, "{}")
    except _Wrong as wrong:
        code, msg = wrong.args
        return RestAnswer(400, msgspec.json.encode({"code": code, "msg": msg}).decode())
    known = ", ".join((_DEPTH, INFO, _TIME, _PING))
    return RestAnswer(404, f"A replay answers {known} only.\n")


def depth_streams(streams: Collection[str], symbol: str) -> list[str]:
    """Those of the streams that tell the differences of the symbol's book."""
    names = (stream for stream in streams if symbol_of(stream) == symbol)
    return sorted(name for name in names if shown(name).split("@")[1] == "depth")


def symbol_of(stream: str) -> str:
    """The symbol of a stream, as REST spells it; empty where it is of all."""
    symbol = shown(stream).partition("@")[0]
    return "" if symbol.startswith("!") else symbol.upper()


def _depth(options: dict[str, str], past: Past) -> str:
    symbol = _one_symbol(options)
    levels = _levels(options.get("limit"))
    if symbol not in _held(past):
        raise _Wrong(-1121, "Invalid symbol.")
    streams = depth_streams(past.streams, symbol)
    if not streams:
        raise _Wrong(-1000, f"The recording holds no depth stream of {symbol}.")
    book = past.book(streams)
    if book is None:
        raise _Wrong(
            -1000, f"The recording holds no snapshot of {symbol} that fits its messages now."
        )
    return book.text(levels)


def _one_symbol(options: dict[str, str]) -> str:
    if "symbol" not in options:
        why = "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."
        raise _Wrong(-1102, why)
    return _checked(options["symbol"])


def _checked(symbol: str) -> str:
    if not symbol:
        raise _Wrong(-1105, "Parameter 'symbol' was empty.")
    if not _symbol(symbol):
        raise _illegal("symbol", _SYMBOL)
    return symbol


def _levels(limit: str | None) -> int:
    if limit is None:
        return _USUAL_DEPTH
    if not _limit(limit):
        raise _illegal("limit", _LIMIT)
    if not int(limit):
        raise _Wrong(-1130, "Data sent for parameter 'limit' is not valid.")
    return min(int(limit), _MOST_DEPTH)


def _markets(options: dict[str, str], past: Past) -> str:
    symbols = _wanted(options)
    recorded = past.attached(INFO)
    if recorded is not None:
        text = recorded.decode() if symbols is None else markets_of(recorded, symbols)
        if text is None:
            raise _Wrong(-1121, "Invalid symbol.")
        return text
    held = _held(past)
    if symbols is not None and not held.issuperset(symbols):
        raise _Wrong(-1121, "Invalid symbol.")
    return made_up(sorted(held) if symbols is None else symbols, _ms(past))


def _wanted(options: dict[str, str]) -> Sequence[str] | None:
    """The symbols that are asked for; None where it is all."""
    if "symbol" in options:
        return [_one_symbol(options)]
    if "symbols" not in options:
        return None
    try:
        symbols = _symbols(options["symbols"])
    except BAD_JSON:
        raise _Wrong(-1130, "Data sent for parameter 'symbols' is not valid.") from None
    return list(dict.fromkeys(map(_checked, symbols)))


def _held(past: Past) -> set[str]:
    return {symbol_of(stream) for stream in past.streams} - {""}


def _illegal(name: str, legal: str) -> _Wrong:
    return _Wrong(
        -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
    )


def _ms(past: Past) -> int:
    return past.wall_ns // 1_000_000
