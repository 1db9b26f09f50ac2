"""The switches that make a stand-in exchange misbehave.

Each works at one of three points of ``exchange.py``: a handshake (``_handshake``), the reply to a
request (``_requested``), or a message on its way to a connection (``_deliver``, ``Peer.flush``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from tests.kit.exchange_gate import Gate
from tests.kit.peer import Peer, Sent, Tamper, frame

T = TypeVar("T")


class Faults(ABC):
    """Misbehaviour on request. From any thread; never waits for the other end."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._swallow = 0
        self._errors: deque[str] = deque()
        self._muted: set[str] = set()
        self._poison: set[str] = set()
        self._poison_s = 0.1

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
        self._do(lambda: self._gate.refuse_next(status, times))

    def ban(self, seconds: float, status: int = 418) -> None:
        """Refuse every handshake for so long, and say so; to come back sooner is a violation."""
        self._do(lambda: self._gate.ban(seconds, status))

    def swallow_acks(self, times: int = 1) -> None:
        """Obey the next requests, but do not acknowledge them."""
        self._do(lambda: setattr(self, "_swallow", times))

    def refuse_requests(self, why: str, times: int = 1) -> None:
        """Answer the next requests with an error and do not obey them."""
        self._do(lambda: self._errors.extend([why] * times))

    def mute(self, *streams: str) -> None:
        """Grant these streams, and never deliver them."""
        self._do(lambda: self._muted.update(streams))

    def unmute(self, *streams: str) -> None:
        """Deliver again what was muted; all of it if no stream is named."""
        self._do(lambda: self._muted.difference_update(streams or set(self._muted)))

    def poison(self, *streams: str, after_s: float = 0.1) -> None:
        """Cut the connection of whoever subscribes to one of these, without a word.

        So Hyperliquid does with a coin that it does not know (measured 2026-09: after 100 ms).
        """

        def now() -> None:
            self._poison.update(streams)
            self._poison_s = after_s

        self._do(now)

    def drop(
        self,
        peer: Peer,
        count: int | None = 1,
        *,
        fraction: float = 1.0,
        seed: int = 0,
        streams: Iterable[str] = (),
    ) -> None:
        """Lose messages of one connection; they are in its ``dropped``.

        So many (None: until ``behave``), each with this probability, of these streams (or all).
        """
        self._tamper(peer, Tamper(0, count, fraction, seed, streams))

    def duplicate(
        self,
        peer: Peer,
        count: int | None = 1,
        *,
        fraction: float = 1.0,
        seed: int = 0,
        streams: Iterable[str] = (),
    ) -> None:
        """Send messages of one connection twice; they are in its ``doubled``. See ``drop``."""
        self._tamper(peer, Tamper(2, count, fraction, seed, streams))

    def delay(self, peer: Peer, seconds: float) -> None:
        """Send everything on this connection so much later from now on; the order is kept."""
        self._do(lambda: setattr(peer, "delay_s", seconds))

    def behave(self, peer: Peer) -> None:
        """End the dropping, doubling and delaying on this connection."""

        def now() -> None:
            peer.tampers.clear()
            peer.delay_s = 0.0

        self._do(now)

    def _tamper(self, peer: Peer, tamper: Tamper) -> None:
        self._do(lambda: peer.tampers.append(tamper))
