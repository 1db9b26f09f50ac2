"""What happens to a hub, and what it decides: plain values on both sides.

Clients and upstream connections are numbered by the application, never reused.
"""

from __future__ import annotations

from typing import NamedTuple

from wsproxy.model import Batch, Kind
from wsproxy.venues.base import Session

# --- events ------------------------------------------------------------------------------------


class ClientJoined(NamedTuple):
    """A client's handshake is done."""

    client: int
    session: Session


class ClientSaid(NamedTuple):
    """A client sent a message."""

    client: int
    payload: bytes
    opcode: int


class ClientLagged(NamedTuple):
    """A client's outbox is over its bound."""

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
    """A frame was written to the venue; ``control`` if it was a ping, a pong or a close."""

    connection: int
    control: bool = False


class UpstreamClosed(NamedTuple):
    """The connection ended, or could not be opened."""

    connection: int
    code: int
    reason: str
    by: str


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
    | UpstreamClosed
    | Tick
)

# --- commands ----------------------------------------------------------------------------------


class OpenUpstream(NamedTuple):
    """Connect to the venue at this path and query; report one opened (or none) and one closed."""

    connection: int
    endpoint: str


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


class Note(NamedTuple):
    """A fact for the recording: the payload is one of ``recording.events``."""

    kind: Kind
    connection: int
    streams: tuple[str, ...]
    payload: bytes


class Warn(NamedTuple):
    """A sentence for the operator."""

    text: str


Command = OpenUpstream | SendUpstream | CloseUpstream | SendClient | CloseClient | Note | Warn
