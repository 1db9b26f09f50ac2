"""What every venue tells the rest of wsproxy: facts as data, messages as values.

A venue is pure: bytes and integers in, values out. It knows nothing of sockets, clocks or the
hub. Streams are named by text in the venue's own words (``btcusdt@trade``,
``level2:BTC-USD``); two names are two streams, each subscribed upstream once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol


class Numbered(NamedTuple):
    """A message with a place for the client's own sequence number between its two halves."""

    head: bytes
    tail: bytes


Body = bytes | Numbered
"""A message for clients: the same bytes for all, or numbered for each."""


class Fact(NamedTuple):
    """One protocol fact: what, where it is written, and the day that was last confirmed."""

    what: str
    source: str
    confirmed: str
    """ISO date."""


class Rate(NamedTuple):
    """At most ``most`` in any window of ``period_ns``."""

    most: int
    period_ns: int


@dataclass(frozen=True, slots=True)
class Profile:
    """A venue's limits and habits. ``None`` means that none is published."""

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


# --- what a client wants -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for.

    ``streams`` are canonical names, without repetitions. A ``query`` asks for no stream (a list,
    a property, a ping, or nonsense that earns an error). ``tag`` is the session's own: the
    client's id, what to answer. Requests of one client are answered in order.
    """

    kind: Literal["subscribe", "unsubscribe", "query"]
    streams: tuple[str, ...] = ()
    tag: object = None


class Session(Protocol):
    """One client's side of the venue's protocol."""

    @property
    def view(self) -> str:
        """Which form of each message this client sees; may change when a request is accepted."""

    def opening(self) -> Request | None:
        """What the client asked for by the address it connected to, if anything."""

    def read(self, payload: bytes, opcode: int) -> Request:
        """Understand one message of the client. Never raises: nonsense is a query."""

    def accept(self, request: Request, active: Sequence[str], wall_ns: int) -> Body | None:
        """The venue's reply to a request that was granted, or None where it gives none.

        ``active`` are the client's streams after the request, in order of subscription.
        """

    def refuse(self, request: Request, why: str, wall_ns: int) -> Body:
        """The venue's error reply; ``why`` is a sentence for the client's developer."""


class PathRefused(Exception):
    """The address that a client connected to is not one of the venue's; ``args[0]`` says why."""


# --- what the venue says -----------------------------------------------------------------------


class Data(NamedTuple):
    """Market data of these streams (several where one message carries several)."""

    streams: tuple[str, ...]


class Acknowledged(NamedTuple):
    """The request with this id was granted."""

    request_id: int


class Holding(NamedTuple):
    """The connection's whole list of subscriptions, as the venue sees it now."""

    streams: frozenset[str]


class Denied(NamedTuple):
    """A request was refused; ``request_id`` is None where the venue does not say which."""

    request_id: int | None
    why: str


class Notice(NamedTuple):
    """The venue says something to everybody on the connection (a shutdown, for instance)."""

    what: str


class Unknown(NamedTuple):
    """A message that means nothing to us; it is recorded and otherwise ignored."""

    why: str


Reading = Data | Acknowledged | Holding | Denied | Notice | Unknown


class State(Protocol):
    """What a client that joins a stream late has to be told first. Pure and bounded."""

    def feed(self, payload: bytes) -> None:
        """Take in one message of the stream, as it came from the venue."""

    def snapshot(self) -> Body | None:
        """The stream's state now, spelled as the venue spells it; None if nothing is known."""


class Venue(Protocol):
    """One venue's protocol, both sides."""

    @property
    def profile(self) -> Profile:
        """The facts."""

    # -- clients --

    def session(self, path: str, query: str) -> Session:
        """A client connected to ``path`` (the venue's own, with its slash) and raw ``query``.

        Raises PathRefused where the venue has no such address.
        """

    def render(self, payload: bytes, view: str, wanted: frozenset[str] | None) -> Body:
        """The message as a client of this view sees it.

        ``wanted`` is None where the client wants every stream of the message, else the strict,
        not empty subset of its streams that the client wants. Never re-serialises: what is left
        is spliced from the original bytes. A message that cannot be understood is returned as it
        is.
        """

    def state(self, stream: str) -> State | None:
        """A fresh late-join state, or None where the venue tells a late joiner nothing."""

    def resnapshots(self, stream: str) -> bool:
        """Whether subscribing anew makes a client whole again that has missed messages.

        So it is where the venue begins with a snapshot that its protocol allows at any time.
        """

    # -- upstream --

    def stream(self, text: str) -> str:
        """The canonical name of the stream that a person typed (``--subscribe``).

        Raises ValueError with a sentence where it is none.
        """

    def endpoint(self, stream: str) -> str:
        """Path and query of the upstream connection that carries this stream, as ``/stream``.

        Streams with different endpoints never share a connection.
        """

    def batches(self, streams: Sequence[str]) -> list[tuple[str, ...]]:
        """These streams cut into as few requests as the venue allows, order kept."""

    def subscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        """One subscribe request for a batch."""

    def unsubscribe(self, streams: Sequence[str], request_id: int) -> bytes:
        """One unsubscribe request for a batch."""

    def key(self, payload: bytes) -> bytes | None:
        """Name a data message by its routing fields, fast; None where that is not certain.

        Two messages with the same key on connections of the same endpoint carry the same
        streams. The hot path: called once a message, on bytes straight from the socket.
        """

    def streams(self, key: bytes, endpoint: str) -> tuple[str, ...]:
        """The streams that messages with this key carry on a connection of this endpoint."""

    def read(self, payload: bytes, endpoint: str) -> Reading:
        """Understand any message of the venue, slowly. Never raises."""
