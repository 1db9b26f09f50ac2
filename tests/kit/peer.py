"""What the stand-in exchange keeps of each connection, and the values in its journals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from websockets.asyncio.server import ServerConnection


class Cue(NamedTuple):
    """One message to play: the streams that carry it (none: everybody gets it) and its text."""

    streams: tuple[str, ...]
    text: str


class Sent(NamedTuple):
    """One message that was sent; ``streams`` is None for replies and other protocol messages."""

    streams: tuple[str, ...] | None
    payload: str | bytes


class ClientFrame(NamedTuple):
    """One frame that a client sent; ``kind`` is text, binary, cont, ping, pong or close."""

    peer: int
    kind: str
    data: bytes
    at: float
    """By the exchange's clock, in seconds."""


class Limit(NamedTuple):
    """At most ``most`` in any window of ``period_s`` seconds."""

    most: int
    period_s: float


class Window:
    """A strict sliding window: no burst."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        self._times: deque[float] = deque()

    def exceeded(self) -> bool:
        """Count one event; whether it is one too many."""
        now = self._clock()
        while self._times and self._times[0] <= now - self.limit.period_s:
            self._times.popleft()
        self._times.append(now)
        return len(self._times) > self.limit.most


class Peer:
    """One connection, as the exchange sees it. Numbers start at 0, in order of opening."""

    def __init__(self, number: int, path: str, socket: ServerConnection, window: Window) -> None:
        self.number = number
        self.path = path
        """As requested, with the query."""
        self.held: dict[str, None] = {}
        """The streams that this connection holds, in order of subscription."""
        self.sent: list[Sent] = []
        """Every data message that went out, in order (empty if the exchange keeps no log)."""
        self.closed: tuple[int, str] | None = None
        """Close code and reason once the connection is gone; 1006 without a close frame."""
        self.combined = False
        """Binance: whether messages come wrapped with their stream's name."""
        self.sequence = 0
        """Coinbase: the number of the next message."""
        self.asked = False
        """Whether the client has ever subscribed."""
        self.socket = socket
        self.window = window
        self.ready = False
        """Whether the handshake is over."""
        self.frozen = False
        self.doomed = False
        """Whether the exchange has done with this connection."""
        self.pending_bytes = 0
        self._pending: list[bytes] = []

    def __repr__(self) -> str:
        return f"connection {self.number}"

    def append(self, data: str | bytes) -> None:
        """Make one message wait for the next flush."""
        message = frame(data)
        self._pending.append(message)
        self.pending_bytes += len(message)

    def flush(self) -> None:
        """Write what waits, unless the connection is frozen or going away."""
        if self._pending and not self.frozen and not self.socket.transport.is_closing():
            self.socket.transport.write(b"".join(self._pending))
            self._pending.clear()
            self.pending_bytes = 0


def frame(data: str | bytes) -> bytes:
    """One complete, unmasked data frame (RFC 6455, section 5.2)."""
    payload = data.encode() if isinstance(data, str) else data
    first, size = (0x81 if isinstance(data, str) else 0x82), len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload
