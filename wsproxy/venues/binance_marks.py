"""The numbers by which a message of Binance spot is known on every connection.

In the recorded sessions of cryptofeed (2021-04-05) and hftbacktest (2024-08-08 and -09), ``U``
followed ``u`` in all of 11,192 book diffs, ``t`` its predecessor in all of 19,902 trades and ``a``
in all of 1,232 aggregate trades. The documents promise it for diffs only. ``u`` of a bookTicker
grew in all of 78,570, in steps of any size; so should ``lastUpdateId``, for which there is no
session.
"""

from __future__ import annotations

import re

from wsproxy.venues.base import Mark, Numbers, Same, Span
from wsproxy.venues.binance_session import shown

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
    kind = _kind(stream)
    if kind not in _GAPLESS:
        return None
    search = _PATTERNS[kind]

    def read(payload: bytes) -> tuple[int, int] | None:
        found = search(payload)
        return None if found is None else (int(found[1]), int(found[found.lastindex or 1]))

    return read


def _kind(stream: str) -> str:
    """``depth`` of ``btcusdt@depth@100ms``."""
    return shown(stream).partition("@")[2].partition("@")[0]
