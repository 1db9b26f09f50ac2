"""A stand-in exchange: real sockets, the venue's limits with the venue's punishments, faults.

It shares no code with wsproxy. It lives in a background thread with an asyncio loop of its own::

    exchange = BinanceExchange(cap=2)
    with running(exchange) as url:          # ws://127.0.0.1:PORT
        ...
        exchange.play(script).result(10)    # every connection gets what it holds
    assert exchange.violations == []

Public methods may be called from any thread; those that touch a socket return when the exchange's
side is done and never wait for the other end. What blocks (``wait_for``, a future's ``result``)
has to be kept off a Trio thread with ``trio.to_thread.run_sync``. Journals only grow, so they can
be read at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
import time
from abc import abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event

from tests.kit.exchange_gate import Gate
from tests.kit.faults import Faults
from tests.kit.peer import KEPT, ClientFrame, Cue, Limit, Peer, Sent, Window

T = TypeVar("T")

FLUSH_BYTES = 1 << 16
"""Messages are written to a socket in portions of this size."""

_log = logging.getLogger("stand-in exchange")
_log.setLevel(logging.CRITICAL)  # refused handshakes are its daily work


class Exchange(Faults):
    """What both dialects share.

    ``clock`` (seconds) drives the limits only. Without ``keep_log`` there are no journals of
    messages. ``cap`` and ``ban_after`` are the gate's. A subclass may loosen the limits.
    """

    venue: str
    attempts: Limit
    """Handshakes in any window; above: HTTP 429, with what is left of the window to wait."""
    requests: Limit
    """What counts as a request is the dialect's business (``_counts``)."""
    requests_shared = False
    """Whether ``requests`` is counted over all connections (per IP) or for each."""

    def __init__(
        self,
        *,
        cap: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        keep_log: bool = True,
        ban_after: int | None = None,
        ban_s: float = 120,
    ) -> None:
        super().__init__(Gate(self.attempts, cap, clock, ban_after, ban_s))
        self.violations = self._gate.violations
        """Every limit that a client broke, as a sentence."""
        self.peers: list[Peer] = []
        """Every connection that ever opened."""
        self.peak = 0
        """The most connections at once."""
        self.refused = self._gate.refused
        """The status of every handshake that was refused."""
        self.played: deque[Cue] = deque(maxlen=KEPT)
        """Every message that was played, whether or not somebody held its streams."""
        self.frames: list[ClientFrame] = []
        self.times_subscribed: Counter[str] = Counter()
        """How often each stream was subscribed, counting repetitions."""
        self.doubled: set[str] = set()
        """The streams that two connections held at the same time, ever."""
        self.deliveries = 0
        """How many played messages went out, counting each connection."""
        self._clock = clock
        self._keep_log = keep_log
        self._shared_requests = Window(self.requests, clock)
        self._holders: dict[str, dict[Peer, None]] = {}
        self._open: dict[Peer, None] = {}
        self._changed = threading.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop
        self._asked: asyncio.Event
        self._stopping: asyncio.Event

    # --- what a test reads and waits for ---

    @property
    def open_peers(self) -> list[Peer]:
        """The connections that are open now."""
        return list(self._open)

    def holder(self, stream: str) -> Peer:
        """The connection that holds this stream; KeyError if there is none."""
        return next(iter(self._holders[stream]))

    def holders(self, stream: str) -> list[Peer]:
        """All connections that hold this stream now."""
        return list(self._holders.get(stream, ()))

    @property
    def subscribed(self) -> set[str]:
        """The streams that somebody holds now."""
        return set(self._holders)

    def played_on(self, stream: str) -> list[str]:
        """What was played on a stream, in order: what a connection without faults would get."""
        return [cue.text for cue in self.played if stream in cue.streams]

    def wait_for(self, predicate: Callable[[], bool], timeout: float = 10) -> None:
        """Block until the predicate holds. Raises TimeoutError.

        It is looked at again after each opening, closing, client frame and end of playing.
        """
        with self._changed:
            if not self._changed.wait_for(predicate, timeout):
                raise TimeoutError(f"the exchange did not come to that in {timeout} s")

    # --- playing ---

    def play(self, cues: Iterable[Cue], rate: float | None = None) -> Future[None]:
        """Play messages in order, each to every connection that holds its stream.

        ``rate`` is in messages a second; without it as fast as the slowest socket takes them.
        What nobody holds is lost, as it is live. Done when the last message is with the kernel.
        """
        return asyncio.run_coroutine_threadsafe(self._play(cues, rate), self._loop)

    def play_when(
        self, cues: Iterable[Cue], streams: int, quiet_s: float, rate: float | None = None
    ) -> Future[None]:
        """Play as soon as so many streams are held and no request came for ``quiet_s``."""

        async def wait_and_play() -> None:
            while True:
                self._asked.clear()
                try:
                    await asyncio.wait_for(self._asked.wait(), quiet_s)
                except TimeoutError:
                    if len(self._holders) >= streams:
                        break
            await self._play(cues, rate)

        return asyncio.run_coroutine_threadsafe(wait_and_play(), self._loop)

    async def _play(self, cues: Iterable[Cue], rate: float | None) -> None:
        start = self._loop.time()
        for index, cue in enumerate(cues):
            ahead = start + index / rate - self._loop.time() if rate else 0.0
            if ahead > 0 or index % 256 == 0:
                await self._settle()
                await asyncio.sleep(max(ahead, 0))
            self._remember(cue)
            if self._keep_log:
                self.played.append(cue)
            for peer in self._audience(cue.streams):
                self._deliver(peer, cue)
                if peer.pending_bytes > FLUSH_BYTES:
                    peer.flush()
                    await peer.socket.drain()
        await self._settle()
        self._notify()

    async def _settle(self) -> None:
        for peer in list(self._open):
            peer.flush()
            await peer.socket.drain()

    def _audience(self, streams: Sequence[str]) -> list[Peer]:
        if not streams:
            return [peer for peer in self._open if peer.ready]
        if len(streams) == 1:
            return list(self._holders.get(streams[0], ()))
        return list({peer: None for name in streams for peer in self._holders.get(name, ())})

    def _deliver(self, peer: Peer, cue: Cue) -> None:
        streams = tuple(s for s in cue.streams if s in peer.held and s not in self._muted)
        if peer.takes_data and bool(streams) == bool(cue.streams):
            copies = peer.copies(streams)
            self.deliveries += copies
            text = self._render(peer, cue.text, streams, cue.streams)
            self._queue(peer, streams, text, copies)

    def _queue(
        self, peer: Peer, streams: tuple[str, ...] | None, text: str, copies: int = 1
    ) -> None:
        sent = Sent(streams, self._stamp(peer, text))  # what is dropped has its number all the same
        for _ in range(copies):
            peer.append(sent.payload)
            peer.delivered.update(streams or ())
        if self._keep_log:
            peer.sent.extend([sent] * copies)
            if copies != 1:
                (peer.doubled if copies else peer.dropped).append(sent)

    # --- what a dialect says ---

    @abstractmethod
    def _admit(self, path: str) -> str | None:
        """Why a handshake for this path is refused (HTTP 400), or None."""

    @abstractmethod
    def _opened(self, peer: Peer) -> None:
        """A connection is open: take the subscriptions of its path, start timers."""

    @abstractmethod
    def _request(self, peer: Peer, message: str | bytes) -> list[Sent]:
        """Obey a client's message; the replies in order (streams None for an ack)."""

    @abstractmethod
    def _error(self, message: str | bytes, why: str) -> str:
        """The error reply to a client's message."""

    @abstractmethod
    def _counts(self, opcode: Opcode) -> bool:
        """Whether the venue's request limit counts this frame."""

    @abstractmethod
    def _punish_requests(self, peer: Peer) -> None:
        """Punish a client that sent one request too many."""

    @abstractmethod
    def _render(
        self, peer: Peer, text: str, held: tuple[str, ...], streams: tuple[str, ...]
    ) -> str:
        """The message as this connection, which holds ``held`` of its ``streams``, sees it."""

    def _stamp(self, peer: Peer, text: str) -> str:
        """The last change to a message before it goes out."""
        return text

    @abstractmethod
    def _remember(self, cue: Cue) -> None:
        """Keep what a snapshot will need."""

    def _rest(self, path: str) -> str | None:
        """The JSON body of a plain HTTP request, or None for 404."""
        return None

    def _hold(self, peer: Peer, stream: str) -> bool:
        """Subscribe a connection to a stream; False if it was already."""
        peer.asked = True
        self.times_subscribed[stream] += 1
        if stream in peer.held:
            return False
        peer.held[stream] = None
        holders = self._holders.setdefault(stream, {})
        holders[peer] = None
        if len(holders) > 1:
            self.doubled.add(stream)
        return True

    def _release(self, peer: Peer, stream: str) -> None:
        if stream in peer.held:
            del peer.held[stream]
            del self._holders[stream][peer]
            if not self._holders[stream]:
                del self._holders[stream]

    def _end(self, peer: Peer, code: int, reason: str) -> None:
        if not peer.doomed:
            peer.flush(at_once=True)
            peer.doomed = True
            self._spawn(peer.socket.close(code, reason))

    # --- the socket side; everything below runs in the exchange's own thread ---

    def _handshake(self, socket: ServerConnection, request: Request) -> Response | None:
        if "Upgrade" not in request.headers:
            body = self._rest(request.path)
            response = socket.respond(200 if body is not None else 404, body or "no such page\n")
            if body is not None:
                del response.headers["Content-Type"]
                response.headers["Content-Type"] = "application/json"
            return response
        refusal = self._gate.knock(len(self._open))
        if refusal is not None:
            response = socket.respond(refusal.status, f"{refusal.why}\n")
            if refusal.retry_after_s is not None:
                response.headers["Retry-After"] = str(refusal.retry_after_s)
            return response
        if why := self._admit(request.path):
            self.refused.append(400)
            return socket.respond(400, f"{why}\n")
        window = Window(self.requests, self._clock)
        peer = Peer(
            len(self.peers),
            request.path,
            socket,
            self._shared_requests if self.requests_shared else window,
        )
        assert isinstance(socket, _Socket)
        socket.peer = peer
        self.peers.append(peer)
        self._open[peer] = None
        self.peak = max(self.peak, len(self._open))
        return None

    async def _serve(self, socket: ServerConnection) -> None:
        assert isinstance(socket, _Socket)
        peer = socket.peer
        assert peer is not None
        try:
            peer.ready = True
            self._opened(peer)
            self._swallowed_poison(peer)
            self._asked.set()
            self._notify()
            async for message in socket:
                if not peer.doomed:
                    self._requested(peer, message)
                    self._notify()
        except ConnectionClosed:
            pass
        except Exception as error:
            self._gate.violated(f"the stand-in itself failed: {error!r}")
            raise

    def _requested(self, peer: Peer, message: str | bytes) -> None:
        self._asked.set()
        if self._errors:
            replies = [Sent(None, self._error(message, self._errors.popleft()))]
        else:
            replies = self._request(peer, message)
        if self._swallowed_poison(peer):
            return
        if self._swallow:
            self._swallow -= 1
            replies = [reply for reply in replies if reply.streams is not None]
        for streams, text in replies:
            assert isinstance(text, str)
            if not streams or self._muted.isdisjoint(streams):
                self._queue(peer, streams, text)
        peer.flush()

    def _swallowed_poison(self, peer: Peer) -> bool:
        """Let a connection die that holds a poisonous stream; nothing tells why."""
        if self._poison.isdisjoint(peer.held):
            return False
        self._loop.call_later(self._poison_s, peer.socket.transport.abort)
        return True

    def _framed(self, peer: Peer, got: Frame) -> None:
        kind = got.opcode.name.lower()
        self.frames.append(ClientFrame(peer.number, kind, bytes(got.data), self._clock()))
        if self._counts(got.opcode) and peer.window.exceeded() and not peer.doomed:
            most, period_s = self.requests
            self._gate.violated(f"{peer}: more than {most} frames in {period_s:g} s")
            self._punish_requests(peer)
        self._notify()

    def _lost(self, peer: Peer) -> None:
        protocol = peer.socket.protocol
        first = protocol.close_rcvd if protocol.close_rcvd_then_sent else protocol.close_sent
        close = first if first and protocol.close_rcvd else Close(1006, "")
        peer.closed = (close.code, close.reason)
        del self._open[peer]
        for stream in list(peer.held):
            self._release(peer, stream)
        self._notify()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            with contextlib.suppress(ConnectionClosed, OSError):
                await work

        task = self._loop.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _do(self, action: Callable[[], T]) -> T:
        async def act() -> T:
            return action()

        return asyncio.run_coroutine_threadsafe(act(), self._loop).result(10)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def run(
        self, started: Callable[[int], None], tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        """Listen on loopback until ``stop``; ``started`` is told the port."""
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        self._stopping = asyncio.Event()

        class Socket(_Socket):
            exchange = self

        async with serve(
            self._serve,
            "127.0.0.1",
            port,
            ssl=tls,
            compression=None,
            ping_interval=None,
            close_timeout=2,
            max_size=1 << 24,
            logger=_log,
            process_request=self._handshake,
            create_connection=Socket,
        ) as server:
            started(_port(server))
            await self._stopping.wait()
            for peer in list(self._open):
                peer.socket.transport.abort()  # nobody on the other end may be listening

    def stop(self) -> None:
        """Cut every connection and stop listening."""
        self._loop.call_soon_threadsafe(self._stopping.set)


class _Socket(ServerConnection):
    """A connection that reports each frame and its end, exactly when they happen."""

    exchange: Exchange
    peer: Peer | None = None

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and self.peer is not None:
            self.exchange._framed(self.peer, event)
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.peer is not None:
            self.exchange._lost(self.peer)


@contextlib.contextmanager
def running(exchange: Exchange, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[str]:
    """Run an exchange in a thread; gives its URL: scheme, host and port."""
    started: Future[int] = Future()

    def work() -> None:
        try:
            asyncio.run(exchange.run(started.set_result, tls, port))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=work, name="exchange", daemon=True)
    thread.start()
    number = started.result(10)
    try:
        yield f"{'wss' if tls else 'ws'}://127.0.0.1:{number}"
    finally:
        exchange.stop()
        thread.join(10)


def _port(server: Server) -> int:
    port = server.sockets[0].getsockname()[1]
    assert isinstance(port, int)
    return port


if __name__ == "__main__":
    from tests.kit.exchange_process import main

    main()
