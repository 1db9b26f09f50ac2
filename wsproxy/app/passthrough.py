"""Private traffic: everything between one client and a connection to the venue of its own.

What crosses here may be a key, a signature or an order. So it is passed on byte for byte, never
sent twice, and neither payloads nor addresses nor the venue's own words get into the log; what the
client says is not recorded, whatever the settings.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import trio

from wsproxy.app import clock
from wsproxy.app.engine import Engine, Port
from wsproxy.app.ledger import Claim, Ledger, Wait
from wsproxy.app.tape import Tape
from wsproxy.config import SECOND_NS
from wsproxy.errors import ConnectionEnded, HandshakeRefused
from wsproxy.hub.events import Dedicate
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Limiter, Urgency
from wsproxy.model import TEXT, Batch, ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.wire.client import Client
from wsproxy.wire.frames import NO_STATUS, Split, encode
from wsproxy.wire.upstream import Upstream, open_upstream

log = logging.getLogger("wsproxy")

_OPEN_SECONDS = 15.0
_SEND_SECONDS = 15.0
"""A venue that does not take a message for so long is dead."""
_GOODBYE_SECONDS = 2.0

_NORMAL, _GOING_AWAY, _RESTART, _TRY_LATER = 1000, 1001, 1012, 1013
_NO_CLOSE_FRAME = 1006


class Passthrough:
    """Runs dedicated connections. ``tape`` is given if private messages are to be recorded."""

    def __init__(
        self,
        engine: Engine,
        urls: Mapping[str, Sequence[str]],
        ssl_context: ssl.SSLContext | None,
        ledger: Ledger,
        tape: Tape | None,
    ) -> None:
        self._engine = engine
        self._urls = urls
        self._ssl_context = ssl_context
        self._ledger = ledger
        self._tape = tape

    async def run(self, hub: Hub, port: Port, command: Dedicate) -> None:
        """Connect to the venue and pass on everything until either side ends it.

        The other side is then closed with the same code and reason. Where there is no connection
        to be had, ``port.close`` says so.
        """
        log.info("client %s has a connection to the venue of its own", port.name)
        with trio.CancelScope() as patience:
            patience.deadline = trio.current_time() + _OPEN_SECONDS
            try:
                await self._connect(hub, port, command, patience)
            except HandshakeRefused as refused:
                host, now_ns = urlsplit(self._base(hub, command)).netloc, clock.now().mono_ns
                self._ledger.told_off(host, hub.venue.profile, refused, now_ns)
                why = f"HTTP {refused.status}" if refused.status else "no answer"
                self._give_up(port, f"the venue refused a connection: {why}")
        if patience.cancelled_caught:
            self._give_up(port, f"no connection to the venue within {_OPEN_SECONDS:.0f} s")

    async def _connect(
        self, hub: Hub, port: Port, command: Dedicate, patience: trio.CancelScope
    ) -> None:
        profile, number = hub.venue.profile, command.connection
        base = self._base(hub, command)
        limiter = command.limiter
        pace = None
        if limiter is not None:
            host = urlsplit(base).netloc
            pace = _Pace(limiter, partial(self._ledger.turn, host, profile.requests_per_ip))

        def on_messages(split: Split) -> None:
            payloads, opcodes = split.payloads, split.opcodes
            if self._tape is not None:
                self._tape.append(Batch(Kind.MESSAGE, number, *clock.now(), payloads, opcodes))
            frames = split.frames
            if frames is None:
                kinds = opcodes or bytes((TEXT,)) * len(payloads)
                frames = b"".join(map(encode, payloads, kinds))
            self._engine.pass_on(hub, port, frames)

        def on_frame_sent(control: bool) -> None:
            if limiter is not None:
                limiter.sent(clock.now().mono_ns, control=control)

        with await self._claim(hub, base, command.at_ns):
            if self._tape is not None:
                self._tape.connection(ConnectionInfo(number, profile.name, base))
            async with open_upstream(
                base + command.endpoint,
                on_messages=on_messages,
                on_frame_sent=on_frame_sent,
                max_message_bytes=profile.max_message_bytes,
                ssl_context=self._ssl_context,
            ) as upstream:
                patience.deadline = math.inf
                self._note(Kind.OPENED, number, record.opened())
                ended = ConnectionEnded(_NORMAL, "", "us")
                try:
                    ended = await _exchange(port.client, upstream, command, pace)
                finally:
                    closed = record.closed(ended.code, "", ended.by)
                    self._note(Kind.CLOSED, number, closed)
                    if limiter is not None:
                        limiter.closed(clock.now().mono_ns)
                how = f"by {ended.by} with code {ended.code}"
                log.info("client %s: its connection to the venue was closed %s", port.name, how)
                port.close = port.close or _close_of(ended, lost=_RESTART)
                await _see_off(port.client, *port.close)

    async def _claim(self, hub: Hub, base: str, at_ns: int) -> Claim:
        """Wait until an attempt is within the limits of this machine."""
        profile, host = hub.venue.profile, urlsplit(base).netloc
        await _sleep_until(at_ns)
        while True:
            now_ns = clock.now().mono_ns
            claim = self._ledger.attempt(host, profile.connects, profile.connections, now_ns)
            if not isinstance(claim, Wait):
                return claim
            await _sleep_until(claim.until_ns)

    def _base(self, hub: Hub, command: Dedicate) -> str:
        """Scheme, host and port; an address that is set in the venue's place serves everything."""
        profile = hub.venue.profile
        url = self._urls[profile.name][0]
        return command.host if command.host is not None and url == profile.url else url

    def _give_up(self, port: Port, why: str) -> None:
        log.warning("client %s: %s", port.name, why)
        port.close = port.close or (_TRY_LATER, why)

    def _note(self, kind: Kind, number: int, payload: bytes) -> None:
        if self._tape is not None:
            self._tape.note(kind, number, (), payload)


class _Pace(NamedTuple):
    """The limits of the frames to the venue."""

    limiter: Limiter
    """In this process."""
    turn: Callable[[], Awaitable[None]]
    """Waits for the limit of the machine."""

    async def begin(self, urgency: Urgency) -> None:
        """Wait until a frame may go."""
        limiter = self.limiter
        while (ready_ns := limiter.ready_at(clock.now().mono_ns, urgency)) > clock.now().mono_ns:
            await _sleep_until(ready_ns)
        limiter.begin(urgency)
        await self.turn()


async def _exchange(
    client: Client, upstream: Upstream, command: Dedicate, pace: _Pace | None
) -> ConnectionEnded:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_forward, client, upstream, command, pace)
        ended = await upstream.wait_closed()
        nursery.cancel_scope.cancel()
    return ended


async def _see_off(client: Client, code: int, reason: str) -> None:
    """Close a client when it has everything: a close frame would overtake what is pending."""
    with trio.move_on_after(_GOODBYE_SECONDS):
        await client.drain()
    with trio.move_on_after(_GOODBYE_SECONDS):
        await client.aclose(code, reason)


async def _forward(
    client: Client, upstream: Upstream, command: Dedicate, pace: _Pace | None
) -> None:
    """Send what the client says, one message after the other; then close as the client did.

    While the venue takes nothing, the client is not read.
    """
    for payload in command.restoring:
        await _send(upstream, (payload, TEXT), pace, Urgency.SUBSCRIBE)
    for said in command.said:
        await _send(upstream, said, pace, Urgency.ANSWER)
    while True:
        try:
            said = await client.receive()
        except ConnectionEnded as ended:
            with trio.move_on_after(_GOODBYE_SECONDS):
                await upstream.aclose(*_close_of(ended, lost=_GOING_AWAY))
            return
        await _send(upstream, said, pace, Urgency.ANSWER)


async def _send(
    upstream: Upstream, said: tuple[bytes, int], pace: _Pace | None, urgency: Urgency
) -> None:
    if pace is not None:
        await pace.begin(urgency)
    try:
        with trio.fail_after(_SEND_SECONDS):
            await upstream.send(*said)
    except trio.TooSlowError:
        with trio.move_on_after(_GOODBYE_SECONDS):
            await upstream.aclose(_GOING_AWAY, f"no message taken for {_SEND_SECONDS:.0f} s")
    except ConnectionEnded:
        await trio.sleep_forever()  # whoever waits for the end knows what to do


async def _sleep_until(mono_ns: int) -> None:
    await trio.sleep(max(0.0, (mono_ns - clock.now().mono_ns) / SECOND_NS))


def _close_of(ended: ConnectionEnded, *, lost: int) -> tuple[int, str]:
    """Code and reason for the other side; ``lost`` where there was no close frame."""
    codes = {NO_STATUS: _NORMAL, _NO_CLOSE_FRAME: lost}
    return codes.get(ended.code, ended.code), ended.reason
