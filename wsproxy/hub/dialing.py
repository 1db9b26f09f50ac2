"""When a connection may be attempted: the venue's window, back-off, and penalties."""

from __future__ import annotations

from collections.abc import Callable

from wsproxy.hub.events import UpstreamClosed, UpstreamDeferred
from wsproxy.hub.limits import Window
from wsproxy.hub.link import Link
from wsproxy.model import Instant
from wsproxy.venues.profile import Profile

_BACKOFF_FIRST_NS = 500_000_000
_BACKOFF_MOST_NS = 60_000_000_000
_STABLE_NS = 30_000_000_000
"""A connection that lived so long starts its back-off from the beginning."""


class Dialing:
    """The connection attempts of one venue. ``jitter`` gives floats in [0, 1)."""

    def __init__(self, profile: Profile, mirrors: int, jitter: Callable[[], float]) -> None:
        self.window = Window(profile.connects)
        self._profile = profile
        self._mirrors = mirrors
        self._jitter = jitter

    def due_ns(self, link: Link, now_ns: int) -> int:
        """When this link may try, on the monotonic clock."""
        return max(link.retry_ns, self.window.ready_at(now_ns))

    def ended(self, link: Link, event: UpstreamClosed, now: Instant) -> None:
        """A connection ended unasked, or could not be opened: when to try again, and where."""
        lived_ns = now.mono_ns - link.opened_ns if link.is_open else 0
        link.failures = 0 if lived_ns >= _STABLE_NS else link.failures + 1
        link.last_error = event.reason or f"closed with code {event.code}"
        backoff = min(_BACKOFF_FIRST_NS << min(link.failures, 16), _BACKOFF_MOST_NS)
        wait_ns = backoff // 2 + int(backoff / 2 * self._jitter())
        if event.retry_after_ns is not None:
            wait_ns = max(wait_ns, event.retry_after_ns)
        elif {event.code, event.status} & self._profile.too_fast:
            wait_ns = max(wait_ns, self._profile.penalty_ns)
        link.retry_ns = now.mono_ns + wait_ns
        if event.status in self._profile.too_fast or event.retry_after_ns is not None:
            self.window.stretch(link.retry_ns)  # it is meant for the address, not the connection
        if not link.is_open:
            link.mirror = (link.mirror + 1) % self._mirrors

    def deferred(self, link: Link, event: UpstreamDeferred) -> None:
        """The attempt was not made: another process of this machine needs the window."""
        link.retry_ns = event.until_ns
        link.last_error = event.why
