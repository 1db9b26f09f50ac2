"""What is known of a venue: limits and habits as data, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from wsproxy.config import Mirror


class Fact(NamedTuple):
    """One protocol fact: what, where it is written, and the day that was last confirmed."""

    what: str
    source: str
    confirmed: str
    """ISO date."""
    about: tuple[str, ...] = ()
    """The fields of the profile whose values this is the source of."""


class Rate(NamedTuple):
    """At most ``most`` in any window of ``period_ns``."""

    most: int
    period_ns: int


class Heartbeat(NamedTuple):
    """A text message that the venue wants when it has been sent nothing for ``idle_ns``."""

    payload: bytes
    idle_ns: int


class Pings(NamedTuple):
    """WebSocket pings, ``every_ns`` apart; each wants its pong within ``patience_ns``."""

    every_ns: int
    patience_ns: int


_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Profile:
    """A venue's limits and habits. ``None`` means that none is published, or that it has none."""

    name: str
    """As on the command line and in paths: ``binance``."""
    title: str
    url: str
    """Scheme, host and port of the venue: ``wss://stream.binance.com:9443``."""
    streams_per_connection: int | None
    streams_per_request: int
    requests: Rate | None
    """Frames from the client in any window, per connection; pings and pongs count."""
    connects: Rate
    """Connection attempts in any window, per IP address."""
    silence_ns: int
    """A connection on which nothing at all has come for so long is dead."""
    keepalive: str | None
    """A stream that every connection has to hold so that the venue does not close it."""
    max_message_bytes: int
    facts: tuple[Fact, ...]

    # How much, how often.
    connections: int | None = None
    """Connections at once, per IP address."""
    characters_per_connection: int | None = None
    """All names of subscribed streams together."""
    bytes_per_request: int | None = None
    requests_per_ip: Rate | None = None
    """Frames from the client in any window, all connections of an IP address together."""
    operations: Rate | None = None
    """Subscribe and unsubscribe requests in any window, per connection."""

    # How long.
    first_subscription_ns: int | None = None
    """A connection has to ask for something within so long."""
    idle_ns: int | None = None
    """A connection that holds no subscription for so long is closed."""
    max_age_ns: int | None = None
    """The venue closes a connection of this age."""
    rotate_ns: int | None = None
    """The age at which a connection is replaced: before the venue closes it."""
    first_data_ns: int = 30 * _SECOND_NS
    """A stream that was granted and has delivered nothing for so long is worth a warning."""

    # What "too fast" looks like, and what it costs.
    too_fast: frozenset[int] = frozenset({1008, 418, 429})
    """Close codes, and HTTP statuses of a refused handshake."""
    penalty_ns: int = 60 * _SECOND_NS
    """For so long nothing is tried after that, unless the venue says how long."""

    # Where streams go.
    fill: Literal["pack", "spread"] = "pack"
    """Fill one connection before the next, or keep all connections equally full."""
    hot_rate: int = 5_000
    """Messages a second on one connection from which on streams are moved to others."""
    mirrors: tuple[Mirror, ...] = ()
    """In the order in which they are tried."""
    private_hosts: tuple[tuple[str, str], ...] = ()
    """Beginnings of private addresses that live elsewhere, and where: scheme, host and port."""

    # What a client can do without that lags and asked for no more than the newest.
    replaced: str | None = None
    """Streams whose every message replaces the one before: a regular expression for the whole
    name. None if there are none."""

    # Signs of life.
    heartbeat: Heartbeat | None = None
    """What we send. (WebSocket pings are always answered.)"""
    pings: Pings | None = None
    """What the venue sends, and so what clients of the proxy get."""

    # REST, for what recordings need and streams do not tell.
    rest_url: str | None = None
    """Scheme and host: ``https://api.binance.com``."""
    rest_weight: Rate | None = None
    """The weight of requests in any window, per IP address."""
    rest_used: str | None = None
    """The response header, in lower case, that says how much weight the address has used."""
