"""What happens to a hub, and what it decides: plain values on both sides.

Clients and upstream connections are numbered by the application, never reused.
"""

from __future__ import annotations

from typing import NamedTuple

from wsproxy.hub.limits import Limiter
from wsproxy.model import Batch, Kind
from wsproxy.venues.base import Session

# --- events ------------------------------------------------------------------------------------


class ClientJoined(NamedTuple):
    """A client's handshake is done.

    If it ``conflates``, it wants no more than the newest of what it has no time to read.
    """

    client: int
    session: Session
    priority: int = 0
    conflates: bool = False


class ClientSaid(NamedTuple):
    """A client sent a message."""

    client: int
    payload: bytes
    opcode: int


class ClientLagged(NamedTuple):
    """What waits for a client is more than its bound."""

    client: int
    pending_bytes: int
    age_ns: int


class ClientLeft(NamedTuple):
    """A client's connection ended."""

    client: int


class UpstreamOpened(NamedTuple):
    """The handshake with the venue is done."""

    connection: int


class UpstreamSaid(NamedTuple):
    """A message of ``batch`` that routing did not recognise."""

    batch: Batch
    position: int


class UpstreamSent(NamedTuple):
    """A frame was written to the venue.

    ``control`` if it is none that the hub sent: a ping, a pong, a close or a heartbeat.
    """

    connection: int
    control: bool = False


class UpstreamDeferred(NamedTuple):
    """The connection was not attempted, because of other processes; nothing more comes of it.

    It may be tried again, under a new number, at ``until_ns`` of the monotonic clock.
    """

    connection: int
    until_ns: int
    why: str


class UpstreamClosed(NamedTuple):
    """The connection ended, or could not be opened.

    ``status`` is the HTTP status of a refused handshake, else 0; ``retry_after_ns`` how long the
    venue then wants us to wait, None if it did not say.
    """

    connection: int
    code: int
    reason: str
    by: str
    status: int = 0
    retry_after_ns: int | None = None


class Tick(NamedTuple):
    """Time has passed; ``Hub.next_deadline_ns`` said when this would be wanted."""


Event = (
    ClientJoined
    | ClientSaid
    | ClientLagged
    | ClientLeft
    | UpstreamOpened
    | UpstreamSaid
    | UpstreamSent
    | UpstreamDeferred
    | UpstreamClosed
    | Tick
)

# --- commands ----------------------------------------------------------------------------------


class OpenUpstream(NamedTuple):
    """Connect to the venue at this path and query; report one opened (or none) and one closed.

    Or report it deferred, and nothing else. ``mirror`` is the index of the venue's address.
    """

    connection: int
    endpoint: str
    mirror: int = 0


class SendUpstream(NamedTuple):
    """Send one text message to the venue."""

    connection: int
    payload: bytes


class CloseUpstream(NamedTuple):
    """Close an upstream connection."""

    connection: int
    code: int
    reason: str


class SendClient(NamedTuple):
    """Write these encoded frames to a client, behind what it was sent before."""

    client: int
    frames: bytes


class CloseClient(NamedTuple):
    """Close a client's connection; the hub has forgotten it already."""

    client: int
    code: int
    reason: str


class Dedicate(NamedTuple):
    """Connect to the venue for this client alone, and pass on everything between the two.

    The address is ``endpoint`` at ``host``, None for where the venue's streams are; not before
    ``at_ns`` of the monotonic clock. First come ``restoring``, requests of ours that bring back
    the client's streams, then ``said``: messages of the client, with their opcodes. Every frame
    to the venue is counted by ``limiter``; None if what limits them is not known.

    The hub hears of it again when the client has left; the connection has to be gone by then.
    """

    client: int
    connection: int
    host: str | None
    endpoint: str
    at_ns: int
    limiter: Limiter | None
    restoring: tuple[bytes, ...] = ()
    said: tuple[tuple[bytes, int], ...] = ()

    def __repr__(self) -> str:
        """Without endpoint and messages, which hold secrets."""
        return f"Dedicate(client={self.client}, connection={self.connection})"


class Note(NamedTuple):
    """A fact for the recording: the payload is one of ``recording.events``."""

    kind: Kind
    connection: int
    streams: tuple[str, ...]
    payload: bytes


class Warn(NamedTuple):
    """A sentence for the operator."""

    text: str


Command = (
    OpenUpstream | SendUpstream | CloseUpstream | SendClient | CloseClient | Dedicate | Note | Warn
)
