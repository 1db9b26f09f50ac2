"""Poison: subscriptions that make the venue close the connection.

What was asked for and never granted when a connection ended is tried again alone, so that it
costs everybody else one reconnect at most; what ends that connection, too, is refused for a while.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsproxy.hub.events import UpstreamClosed
from wsproxy.hub.link import Link

REFUSED_NS = 600_000_000_000
"""For so long a stream is not tried that alone made the venue close the connection."""

SUSPECTED_NS = 60_000_000_000
"""And one that did so among others, where no connection is left to try it alone."""


class Quarantine:
    """What is known of the streams of one venue."""

    def __init__(self) -> None:
        self._proven: set[str] = set()
        """Streams that the venue has granted."""
        self._refused: dict[str, tuple[int, str]] = {}

    def proven(self, streams: Iterable[str]) -> None:
        """The venue granted these."""
        for stream in streams:
            self._proven.add(stream)
            self._refused.pop(stream, None)

    def forget(self, stream: str) -> None:
        """Nobody wants this stream any more."""
        self._proven.discard(stream)

    def is_proven(self, stream: str) -> bool:
        """Whether the venue has granted it before."""
        return stream in self._proven

    def suspects(self, link: Link, event: UpstreamClosed, keepalive: str) -> tuple[str, ...]:
        """The streams that may be why this connection ended; never the keepalive."""
        if not link.is_open or link.closing or event.by == "us":
            return ()
        return tuple(
            stream
            for stream in link.unanswered()
            if stream != keepalive and stream not in self._proven
        )

    def condemn(self, stream: str, why: str, now_ns: int, for_ns: int) -> None:
        """Refuse this stream for a while."""
        still = {name: until for name, until in self._refused.items() if until[0] > now_ns}
        self._refused = {**still, stream: (now_ns + for_ns, why)}

    def refuses(self, stream: str, now_ns: int) -> str | None:
        """Why this stream is not tried now; None if it may be."""
        until_ns, why = self._refused.get(stream, (0, ""))
        if until_ns <= now_ns:
            return None
        return f"{why} (tried again in {(until_ns - now_ns) // 10**9} s)"
