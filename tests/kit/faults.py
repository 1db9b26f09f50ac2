"""The switches that make a stand-in exchange misbehave.

A new switch works at one of three points of ``exchange.py``: a handshake (``_handshake``), the
reply to a request (``_requested``), or a message on its way to a connection (``_deliver``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.kit.peer import Peer, Sent, frame

T = TypeVar("T")


class Faults(ABC):
    """Misbehaviour on request. From any thread; never waits for the other end."""

    def __init__(self) -> None:
        self._refusals: deque[int] = deque()
        self._swallow = 0
        self._errors: deque[str] = deque()

    @abstractmethod
    def _do(self, action: Callable[[], T]) -> T:
        """Run an action in the exchange's thread."""

    @abstractmethod
    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task of the exchange; it may end with its connection."""

    @abstractmethod
    def _end(self, peer: Peer, code: int, reason: str) -> None:
        """Close a connection as a venue does, after what is still pending for it."""

    def close(self, peer: Peer, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake."""
        self._do(lambda: self._end(peer, code, reason))

    def abort(self, peer: Peer) -> None:
        """Cut the TCP connection without a close frame."""
        self._do(peer.socket.transport.abort)

    def drop_mid_frame(self, peer: Peer) -> None:
        """Send the first 100 bytes of a message of 1,000, then cut the TCP connection."""

        async def cut() -> None:
            transport = peer.socket.transport
            peer.flush()
            peer.doomed = True
            transport.set_write_buffer_limits(0)
            transport.write(frame("x" * 1000)[:104])
            await peer.socket.drain()
            transport.abort()

        self._do(lambda: self._spawn(cut()))

    def send(self, peer: Peer, data: str | bytes) -> None:
        """Send anything as a text or binary message, as it is."""

        def now() -> None:
            peer.append(data)
            peer.flush()
            peer.sent.append(Sent(None, data))

        self._do(now)

    def send_bytes(self, peer: Peer, data: bytes) -> None:
        """Write bytes to the TCP connection that need not be a WebSocket frame."""
        self._do(lambda: peer.socket.transport.write(data))

    def freeze(self, peer: Peer) -> None:
        """Stop sending and reading, pings and pongs too; what is played meanwhile waits."""

        def now() -> None:
            peer.frozen = True
            peer.socket.transport.pause_reading()

        self._do(now)

    def thaw(self, peer: Peer) -> None:
        """End a freeze; what waited is sent."""

        def now() -> None:
            peer.frozen = False
            peer.socket.transport.resume_reading()
            peer.flush()

        self._do(now)

    def refuse_handshakes(self, status: int, times: int = 1) -> None:
        """Answer the next handshakes with this HTTP status (429, 503, ...)."""
        self._do(lambda: self._refusals.extend([status] * times))

    def swallow_acks(self, times: int = 1) -> None:
        """Obey the next requests, but do not acknowledge them."""
        self._do(lambda: setattr(self, "_swallow", times))

    def refuse_requests(self, why: str, times: int = 1) -> None:
        """Answer the next requests with an error and do not obey them."""
        self._do(lambda: self._errors.extend([why] * times))
