"""What a client wants of the proxy, beside what it wants of the venue."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_plus

_MOST = 1_000_000


class Wishes(NamedTuple):
    """How a client wants to be served."""

    priority: int = 0
    """Who has the greater one gets the room that is left."""
    conflates: bool = False
    """Whether the newest of what it has no time to read is enough."""


def wishes(
    headers: Sequence[tuple[str, str]], query: str, tokens: Mapping[str, int]
) -> tuple[Wishes, str]:
    """A client's wishes, and the query of its address without what is meant for the proxy.

    The client says ``priority=N`` in its address or ``x-wsproxy-priority: N`` in a header; or, if
    there are ``tokens``, ``token=...`` or ``x-wsproxy-token``: then priorities that clients claim
    themselves count for nothing. Whoever says nothing, or nonsense, has 0. In the same two ways it
    says ``conflate=1``.
    """
    said = {name.removeprefix("x-wsproxy-"): value for name, value in headers}
    rest: list[str] = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name in ("priority", "token", "conflate"):
            said[name] = unquote_plus(value)
        else:
            rest.append(pair)
    return Wishes(_rank(said, tokens), said.get("conflate") == "1"), "&".join(rest)


def _rank(said: Mapping[str, str], tokens: Mapping[str, int]) -> int:
    if tokens:
        given = said.get("token", "").encode()
        found = [n for token, n in tokens.items() if hmac.compare_digest(token.encode(), given)]
        return found[0] if found else 0
    text = said.get("priority", "")
    if not text.removeprefix("-").isascii() or not text.removeprefix("-").isdigit():
        return 0
    return max(-_MOST, min(_MOST, int(text[:8])))
