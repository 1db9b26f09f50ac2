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
"""A connection that lived so long was none that failed, whatever it brought."""
_AT_ONCE_NS = 100_000_000
"""Connections that are lost together come back within so long, not in the same instant."""
_APART_NS = 1_000_000_000
"""Attempts of a connection that is lost again and again are at least so far apart."""


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
        link.last_error = event.reason or f"closed with code {event.code}"
        link.failures = 0 if _has_served(link, event, now) else link.failures + 1
        wait_ns = self._backoff_ns(link) if link.failures else self._pause_ns(link, now)
        if event.retry_after_ns is not None:
            wait_ns = max(wait_ns, event.retry_after_ns)
        elif {event.code, event.status} & self._profile.too_fast:
            wait_ns = max(wait_ns, self._profile.penalty_ns)
        link.retry_ns = now.mono_ns + wait_ns
        if event.status in self._profile.too_fast or event.retry_after_ns is not None:
            self.window.stretch(link.retry_ns)  # it is meant for the address, not the connection
        if not link.is_open:
            link.mirror = (link.mirror + 1) % self._mirrors

    def _backoff_ns(self, link: Link) -> int:
        """How long to wait after failures: about twice as long after each."""
        backoff = min(_BACKOFF_FIRST_NS << min(link.failures, 16), _BACKOFF_MOST_NS)
        return backoff // 2 + int(backoff / 2 * self._jitter())

    def _pause_ns(self, link: Link, now: Instant) -> int:
        """How long to wait for a connection that had served: hardly, if it did for a while.

        One that is lost again and again spreads what is left of the window over its length. So
        such connections, however many they are, never use it up: there is room for others.
        """
        apart_ns = max(_APART_NS, self.window.spacing_ns(now.mono_ns))
        rest_ns = max(0, link.opened_ns + apart_ns - now.mono_ns)
        return rest_ns + int(_AT_ONCE_NS * self._jitter())

    def deferred(self, link: Link, event: UpstreamDeferred) -> None:
        """The attempt was not made: another process of this machine needs the window."""
        link.retry_ns = event.until_ns
        link.last_error = event.why


def _has_served(link: Link, event: UpstreamClosed, now: Instant) -> bool:
    """Whether a connection did what it is for, until others ended it."""
    if not link.is_open:
        return False
    return (bool(link.delivered) and event.by != "us") or now.mono_ns - link.opened_ns >= _STABLE_NS
