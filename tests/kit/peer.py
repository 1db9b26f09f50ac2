"""What the stand-in exchange keeps of each connection, and the values in its journals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from typing import NamedTuple

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

KEPT = 1_000_000
"""Journals hold the last so many messages."""


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

    def room_in_s(self) -> float:
        """How long until the next event would not be one too many."""
        if len(self._times) < self.limit.most:
            return 0.0
        return self._times[-self.limit.most] + self.limit.period_s - self._clock()


class Tamper:
    """Sends some of a connection's messages ``copies`` times: 0 drops them, 2 doubles them.

    ``count`` messages (None: without end), each with the probability ``fraction``, and only those
    of ``streams`` if there are any.
    """

    def __init__(
        self, copies: int, count: int | None, fraction: float, seed: int, streams: Iterable[str]
    ) -> None:
        self.copies = copies
        self._left = count
        self._fraction = fraction
        self._dice = Random(seed)
        self._streams = frozenset(streams)

    def takes(self, streams: Iterable[str]) -> bool:
        """Whether it strikes a message of these streams."""
        if self._left == 0 or (self._streams and self._streams.isdisjoint(streams)):
            return False
        if self._dice.random() >= self._fraction:
            return False
        if self._left is not None:
            self._left -= 1
        return True


class Peer:
    """One connection, as the exchange sees it. Numbers start at 0, in order of opening."""

    def __init__(self, number: int, path: str, socket: ServerConnection, window: Window) -> None:
        self.number = number
        self.path = path
        """As requested, with the query."""
        self.held: dict[str, None] = {}
        """The streams that this connection holds, in order of subscription."""
        self.sent: deque[Sent] = deque(maxlen=KEPT)
        """Every data message that went out, in order (empty if the exchange keeps no log)."""
        self.delivered: set[str] = set()
        """Streams on which anything was sent."""
        self.dropped: deque[Sent] = deque(maxlen=KEPT)
        """Messages that were numbered and never sent (see ``Faults.drop``)."""
        self.doubled: deque[Sent] = deque(maxlen=KEPT)
        """Messages that were sent twice (see ``Faults.duplicate``)."""
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
        self.tampers: list[Tamper] = []
        self.delay_s = 0.0
        self.pending_bytes = 0
        self._pending: list[bytes] = []
        self._late: deque[tuple[float, bytes]] = deque()
        """What is due, by the loop's time, and when."""

    def __repr__(self) -> str:
        return f"connection {self.number}"

    @property
    def takes_data(self) -> bool:
        """Whether neither side has begun to close."""
        return not self.doomed and self.socket.state is State.OPEN

    def append(self, data: str | bytes) -> None:
        """Make one message wait for the next flush."""
        message = frame(data)
        self._pending.append(message)
        self.pending_bytes += len(message)

    def copies(self, streams: Iterable[str]) -> int:
        """How often the next message, of these streams, is to be sent."""
        return next((tamper.copies for tamper in self.tampers if tamper.takes(streams)), 1)

    def sent_on(self, stream: str) -> list[str | bytes]:
        """What went out on a stream, in order."""
        return [sent.payload for sent in self.sent if sent.streams and stream in sent.streams]

    def flush(self, *, at_once: bool = False) -> None:
        """Write what waits and is due, unless the connection is frozen or going away."""
        loop = self.socket.loop
        now = loop.time()
        if self._pending:
            due = max(now + self.delay_s, self._late[-1][0] if self._late else now)
            self._late.append((due, b"".join(self._pending)))
            self._pending.clear()
            self.pending_bytes = 0
            if due > now:
                loop.call_at(due, self.flush)
        if self.frozen or not self.takes_data or self.socket.transport.is_closing():
            return
        while self._late and (at_once or self._late[0][0] <= now):
            self.socket.transport.write(self._late.popleft()[1])


def frame(data: str | bytes) -> bytes:
    """One complete, unmasked data frame (RFC 6455, section 5.2)."""
    payload = data.encode() if isinstance(data, str) else data
    first, size = (0x81 if isinstance(data, str) else 0x82), len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload
