"""The numbers by which a message of Binance spot is known on every connection.

In the recorded sessions of cryptofeed (2021-04-05) and hftbacktest (2024-08-08 and -09), ``U``
followed ``u`` in all of 11,192 book diffs, ``t`` its predecessor in all of 19,902 trades and ``a``
in all of 1,232 aggregate trades. The documents promise it for diffs only. ``u`` of a bookTicker
grew in all of 78,570, in steps of any size; so should ``lastUpdateId``, for which there is no
session.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import repeat
from operator import itemgetter

import msgspec

from wsproxy.venues.base import Mark, Numbers, Same, Span
from wsproxy.venues.binance_session import shown
from wsproxy.venues.jsontext import BAD_JSON

# Inside a JSON string a quote is escaped, so a name with its quotes can be nothing but a member's.
_PARTIAL_BOOK = re.compile(rb'"lastUpdateId":(\d{1,20})\b').search
_PATTERNS = {
    "depth": re.compile(rb'"U":(\d{1,20}),"u":(\d{1,20})\b').search,
    "depth5": _PARTIAL_BOOK,
    "depth10": _PARTIAL_BOOK,
    "depth20": _PARTIAL_BOOK,
    "trade": re.compile(rb'"t":(\d{1,20})\b').search,
    "aggTrade": re.compile(rb'"a":(\d{1,20})\b').search,
    "bookTicker": re.compile(rb'"u":(\d{1,20})\b').search,
}
_GAPLESS = frozenset({"depth", "trade", "aggTrade"})
_MEMBERS = {"depth": (b'"U":', b',"b":'), "trade": (b'"t":', b","), "aggTrade": (b'"a":', b",")}
"""Where the numbers begin and what stands behind them, in the order in which Binance writes."""

_first, _last = itemgetter(0), itemgetter(2)
_decode = msgspec.json.Decoder(list[int]).decode


def mark(payload: bytes, stream: str) -> Mark:
    """First and last number where this kind of stream has them, else the payload itself."""
    kind = _kind(stream)
    search = _PATTERNS.get(kind)
    found = None if search is None else search(payload)
    if found is None:
        return Same(payload)
    return Span(int(found[1]), int(found[found.lastindex or 1]), kind in _GAPLESS)


def numbers(stream: str) -> Numbers | None:
    """What reads the numbers of this kind of stream, if they are gapless."""
    return _NUMBERS.get(_kind(stream))


def _reader(kind: str) -> Numbers:
    """Cut the numbers out of all messages and read them at once.

    Three times as fast as a search and ``int`` for each; which is left for what is not written as
    usual.
    """
    search, (begin, end) = _PATTERNS[kind], _MEMBERS[kind]
    width = 2 if kind == "depth" else 1

    def read_one(payload: bytes) -> tuple[int, int] | None:
        found = search(payload)
        return None if found is None else (int(found[1]), int(found[found.lastindex or 1]))

    def read(payloads: Sequence[bytes]) -> Sequence[tuple[int, int] | None]:
        behind = map(_last, map(bytes.partition, payloads, repeat(begin)))
        texts = map(_first, map(bytes.partition, behind, repeat(end)))
        try:
            values = _decode(b"[%b]" % b",".join(texts).replace(b'"u":', b""))
        except BAD_JSON:
            values = []
        if len(values) != width * len(payloads):
            return list(map(read_one, payloads))
        return list(zip(values[::width], values[width - 1 :: width], strict=True))

    return read


_NUMBERS = {kind: _reader(kind) for kind in _GAPLESS}


def _kind(stream: str) -> str:
    """``depth`` of ``btcusdt@depth@100ms``."""
    return shown(stream).partition("@")[2].partition("@")[0]
