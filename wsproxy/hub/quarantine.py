"""Poison: subscriptions that make the venue close the connection.

What was asked for and never granted when a connection ended is tried again alone, so that it
costs everybody else one reconnect at most; what ends that connection, too, is refused for a while.
"""

from __future__ import annotations

from collections.abc import Iterable

from wsproxy.hub.events import UpstreamClosed
from wsproxy.hub.link import Link

_REFUSED_NS = 600_000_000_000


class Quarantine:
    """What is known of the streams of one venue."""

    def __init__(self) -> None:
        self._proven: set[str] = set()
        """Streams that the venue has granted."""
        self._refused: dict[str, tuple[int, str]] = {}

    def proven(self, streams: Iterable[str]) -> None:
        """The venue granted these."""
        self._proven.update(streams)

    def suspects(self, link: Link, event: UpstreamClosed, keepalive: str) -> tuple[str, ...]:
        """The streams that may be why this connection ended; never the keepalive."""
        if not link.is_open or event.by == "us":
            return ()
        return tuple(
            stream
            for stream in link.unanswered()
            if stream != keepalive and stream not in self._proven
        )

    def condemn(self, stream: str, why: str, now_ns: int) -> None:
        """Refuse this stream for a while."""
        self._refused[stream] = (now_ns + _REFUSED_NS, why)

    def refuses(self, stream: str, now_ns: int) -> str | None:
        """Why this stream is not tried now; None if it may be."""
        until_ns, why = self._refused.get(stream, (0, ""))
        if until_ns <= now_ns:
            self._refused.pop(stream, None)
            return None
        return f"{why} (tried again in {(until_ns - now_ns) // 10**9} s)"
