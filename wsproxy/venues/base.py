"""What every venue tells the rest of wsproxy: facts as data, messages as values.

A venue is pure: bytes and integers in, values out. It knows nothing of sockets, clocks or the
hub. Streams are named by text in the venue's own words (``btcusdt@trade``,
``level2:BTC-USD``); two names are two streams, each subscribed upstream once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from wsproxy.venues.profile import Profile


class Numbered(NamedTuple):
    """A message with a place for the client's own sequence number between its two halves."""

    head: bytes
    tail: bytes

    def first(self) -> bytes:
        """The message as the first on a connection: its number is 0."""
        return b"%b0%b" % self


Body = bytes | Numbered
"""A message for clients: the same bytes for all, or numbered for each."""


# --- what a client wants -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for.

    ``streams`` are canonical names, without repetitions. A ``query`` asks for no stream (a list,
    a property, a ping, or nonsense that earns an error). ``tag`` is the session's own: the
    client's id, what to answer. Requests of one client are answered in order.

    A ``private`` request authenticates or trades: it is refused, or passed on as it came over a
    connection of the client's own to the venue's ``address``, a path with its query; ``streams``
    are then those that the address names already. It may hold secrets.
    """

    kind: Literal["subscribe", "unsubscribe", "query", "private"]
    streams: tuple[str, ...] = ()
    tag: object = field(default=None, repr=False)
    address: str = field(default="", repr=False)


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
    """The venue says something to everybody on the connection."""

    what: str
    is_leaving: bool = False
    """It will close the connection soon: time for another."""


class Asked(NamedTuple):
    """The venue wants this answer at once, or it takes the connection for dead."""

    reply: bytes


class Unknown(NamedTuple):
    """A message that means nothing to us; it is recorded and otherwise ignored."""

    why: str


Reading = Data | Acknowledged | Holding | Denied | Notice | Asked | Unknown


class Snapshot(NamedTuple):
    """The message states the stream's content afresh."""


class Span(NamedTuple):
    """The venue's own numbers of what the message covers; they grow along the stream.

    ``gapless`` promises that the next message's ``first`` is ``last`` + 1.
    """

    first: int
    last: int
    gapless: bool


class Same(NamedTuple):
    """The stream has no numbers: of two connections, equal identities are the same message."""

    identity: bytes


Mark = Snapshot | Span | Same
"""How a message is recognised on another connection that carries the same stream."""

Numbers = Callable[[Sequence[bytes]], Sequence[tuple[int, int] | None]]
"""Gives the first and the last number of each message (see ``Span``); None where it has none."""


class State(Protocol):
    """What a client that joins a stream late has to be told first. Pure and bounded."""

    def feed(self, payload: bytes) -> None:
        """Take in one message of the stream, as it came from the venue."""

    def feed_alone(self, payload: bytes) -> None:
        """The same, faster, for a message that certainly carries no other stream."""

    def settle(self) -> bool:
        """Do a little (a few ms) of what ``snapshot`` would have to do; whether there is more."""

    def snapshot(self) -> Body | None:
        """The stream's state now, spelled as the venue spells it; None if nothing is known."""

    def same(self, other: State) -> bool:
        """Whether both tell a late joiner the same, however differently they came to it."""


# --- what is asked for by REST ------------------------------------------------------------------


class RestRequest(NamedTuple):
    """A GET request for something public."""

    path: str
    """With its query."""
    weight: int
    """What it counts against ``Profile.rest_weight``."""


class RestAnswer(NamedTuple):
    """HTTP status and body; what begins as JSON is sent as such."""

    status: int
    text: str


class Book(Protocol):
    """A book that begins with a snapshot and goes on with a stream of differences. Pure."""

    @property
    def number(self) -> int:
        """The last number (see ``Span``) that it holds."""

    def feed(self, payload: bytes) -> None:
        """Take in the message that holds the next number; ValueError if it is no difference."""

    def text(self, levels: int) -> str:
        """The body of a snapshot, now, with so many levels of each side."""


class Past(Protocol):
    """What is known at a moment of a replay, for whoever answers REST requests then."""

    @property
    def wall_ns(self) -> int:
        """The moment: the time of the last messages that were sent."""

    @property
    def streams(self) -> Collection[str]:
        """The venue's streams that the recording holds."""

    def attached(self, path: str) -> bytes | None:
        """The recorded answer to this path, which has no query; None if there is none."""

    def book(self, streams: Sequence[str]) -> Book | None:
        """The book that these streams, each for itself, tell the differences of.

        Messages behind the moment continue it. None where no recorded snapshot fits.
        """


class Rest(Protocol):
    """What a venue's REST interface adds to a recording of its streams, and to a replay. Pure."""

    @property
    def once(self) -> tuple[RestRequest, ...]:
        """What clients ask for when they start: kept once in a recording."""

    @property
    def time(self) -> RestRequest:
        """What tells the venue's clock."""

    def time_ns(self, body: bytes) -> int | None:
        """The time that the answer tells, ns since the Unix epoch; None if it tells none."""

    def snapshot(self, stream: str, depth: int) -> RestRequest | None:
        """What gives the state from which the stream's messages go on, ``depth`` levels of it.

        None where the stream needs no such thing.
        """

    def number(self, body: bytes) -> int | None:
        """The last number (see ``Span``) that a snapshot holds; None if it is no snapshot."""

    def concerns(self, url: str, stream: str) -> bool | None:
        """Whether what came from this URL is of the stream's market; None: it does not say."""

    def book(self, body: bytes) -> Book:
        """The book that a snapshot states; ValueError if it is none."""

    def answer(self, path: str, query: str, past: Past) -> RestAnswer | None:
        """What the venue would have answered then to a GET request (raw ``query``).

        None where the path is not one of its REST interface.
        """


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

    def render_all(self, payloads: Sequence[bytes], view: str) -> Sequence[Body]:
        """The same for many, fast, for clients that want every stream of each.

        Gives ``payloads`` itself where the view sees all messages as they came.
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

    def group(self, stream: str) -> str | None:
        """What this stream has in common with variants that its messages do not tell it from.

        At most one stream of a group is on a connection. None where messages name all there is.
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
        streams.
        """

    def keys(self, payloads: Sequence[bytes]) -> Sequence[bytes]:
        """The key of each, fast; where there is none, something that is nobody's key.

        The hot path: called once a chunk, with messages straight from the socket.
        """

    def streams(self, key: bytes, endpoint: str) -> tuple[str, ...]:
        """The streams that messages with this key carry on a connection of this endpoint."""

    def mark(self, payload: bytes, stream: str) -> Mark:
        """Recognise a message of this stream on any connection of its endpoint.

        Never raises: what cannot be understood is the same as its equal.
        """

    def numbers(self, stream: str) -> Numbers | None:
        """What reads the numbers of the stream's messages, fast, where they are gapless.

        The same function for all streams whose messages it can read together.
        """

    def sequence(self, payload: bytes) -> int | None:
        """The message's number in a count of all messages of its connection, if there is one."""

    def event_time(self, payload: bytes) -> int | None:
        """When the venue says that it sent the message (or that it happened), ns since the Unix
        epoch; None where it does not say.

        Fast, and never raises: health checks call it once a message.
        """

    def read(self, payload: bytes, endpoint: str) -> Reading:
        """Understand any message of the venue, slowly. Never raises."""

    # -- beside the streams --

    @property
    def rest(self) -> Rest | None:
        """What recordings take from its REST interface; None where streams tell everything."""
