"""One client and one connection: everything crosses as it is, and either end is the end of both."""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import Event

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.wire.loopback import Peer, cancel_at_every_step, read_to_end, serving
from wsproxy.app import passthrough as module
from wsproxy.app.clock import now
from wsproxy.app.engine import Engine
from wsproxy.app.ledger import Ledger, Wait
from wsproxy.app.listener import FrontDoor, listening
from wsproxy.app.passthrough import Passthrough
from wsproxy.app.tape import Tape
from wsproxy.config import Address, Serving
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.events import read_event
from wsproxy.venues.profile import Rate
from wsproxy.wire import upstream as wire

HERE = Serving(listen=Address("127.0.0.1", 0))
SECRET = "sEcReT"
ANY: dict[str, Any] = {
    "requests": None,
    "connects": Rate(10_000, SECOND),
    "max_message_bytes": 1 << 20,
}


class VenueSide(Peer):
    """The venue's side of a connection; remembers what was asked for."""

    path = ""

    async def event(self) -> Event | None:
        event = await super().event()
        if isinstance(event, Request):
            self.path = event.path
        return event

    async def closed(self) -> Close | None:
        """Read up to the close frame; then close the stream first, as servers do."""
        while self.protocol.close_rcvd is None and await self.event() is not None:
            pass
        await self.stream.aclose()
        return self.protocol.close_rcvd


class Notes(Tape):
    """Keeps what would be recorded."""

    def __init__(self) -> None:
        self.kept: list[str] = []

    def connection(self, info: ConnectionInfo) -> None:
        self.kept.append(f"connection {info.number} {info.venue} {info.url}")

    def append(self, batch: Batch) -> None:
        assert (batch.kind, batch.streams) == (Kind.MESSAGE, [])
        self.kept += [f"MESSAGE {payload!r}" for payload in batch.payloads]

    def note(self, kind: Kind, connection: int, streams: tuple[str, ...], payload: bytes) -> None:
        self.kept.append(f"{kind.name} {connection} {read_event(payload)}")


class Scene:
    """A proxy between clients and a venue, all on real sockets."""

    def __init__(self, venue: FakeVenue, directory: Path, tape: Tape | None) -> None:
        self.venue = venue
        self.budget = Budget(2, 1)
        self.hub = Hub(venue)
        self.hub.go_live(self.budget, linger_ns=0, numbers=itertools.count(1), jitter=lambda: 0.5)
        self.engine = Engine({"fake": self.hub}, outbox_bytes=1000, note=lambda note: None)
        self.urls: dict[str, list[str]] = {}
        self.ledger = Ledger(directory)
        self.passthrough = Passthrough(self.engine, self.urls, None, self.ledger, tape)
        self.port = 0
        self.proxy: trio.Nursery
        self._arrived, self._arrivals = trio.open_memory_channel[VenueSide](10)
        self._over = trio.Event()
        self._streams: list[trio.SocketStream] = []

    async def client(self, path: str = "/") -> Peer:
        self._streams.append(await trio.open_tcp_stream("127.0.0.1", self.port))
        return await Peer.connect(self._streams[-1], path)

    async def upstream(self) -> VenueSide:
        """The venue's side of the next connection."""
        return await self._arrivals.receive()

    async def pair(self, path: str = "/", said: bytes = b"$login") -> tuple[Peer, VenueSide]:
        """A client that has a connection of its own, and the venue's side of that."""
        client = await self.client(path)
        if said:
            await client.send(said)
        upstream = await self.upstream()
        if said:
            assert (await upstream.frame()).data == said
        return client, upstream

    async def settle(self) -> None:
        """Wait until nobody is connected."""
        while self.engine.ports:
            await self.engine.changed.wait()

    async def accept(self, stream: trio.SocketStream) -> None:
        await self._arrived.send(await VenueSide.accept(stream))
        await self._over.wait()

    def end(self) -> None:
        """Close the sockets of both ends."""
        self._over.set()
        self.abandon()

    def abandon(self) -> None:
        """Close the clients' sockets."""
        while self._streams:
            self._streams.pop().socket.close()


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged, but for what the peers of these tests say."""
    records = [r for r in caplog.records if not r.name.startswith("websockets")]
    return "\n".join(f"{r.getMessage()} {r.args} {r.exc_text}" for r in records)


@asynccontextmanager
async def scene(
    directory: Path,
    venue: FakeVenue | None = None,
    tape: Tape | None = None,
    accept: Callable[[trio.SocketStream], Awaitable[object]] | None = None,
) -> AsyncIterator[Scene]:
    place = Scene(venue or FakeVenue(**ANY), directory, tape)
    with trio.fail_after(20):
        async with (
            serving(accept or place.accept) as port,
            listening(HERE) as listeners,
            trio.open_nursery() as place.proxy,
        ):
            place.urls["fake"] = [f"ws://127.0.0.1:{port}"]
            place.port = listeners[0].socket.getsockname()[1]
            door = FrontDoor(place.engine, HERE, place.passthrough)
            await place.proxy.start(door.serve, listeners)
            try:
                yield place
            finally:
                place.end()
                place.proxy.cancel_scope.cancel()


# --- what crosses -------------------------------------------------------------------------------


async def test_messages_cross_byte_for_byte_both_ways(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        said = [b'{ "odd" : 1 }', "é".encode(), b"", b"x" * 70_000]
        for payload in said:
            await client.send(payload)
            assert await upstream.frame() == Frame(Opcode.TEXT, payload)
            await upstream.send(payload)
            assert await client.frame() == Frame(Opcode.TEXT, payload)
        for peer, other in ((client, upstream), (upstream, client)):
            peer.protocol.send_binary(b"\x00\xff")
            await peer.flush()
            assert await other.frame() == Frame(Opcode.BINARY, b"\x00\xff")


async def test_the_venue_is_asked_at_the_clients_own_address(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client = await place.client("/fake/$key/a%20b?plain")
        upstream = await place.upstream()
        assert upstream.path == "/$key/a%20b"
        await upstream.send(b"1")
        assert (await client.frame()).data == b"1"


async def test_what_is_said_together_arrives_in_order(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client = await place.client()
        for number in range(100):
            client.protocol.send_text(b"$%d" % number)
        await client.flush()
        upstream = await place.upstream()
        assert [(await upstream.frame()).data for _ in range(100)] == [
            b"$%d" % number for number in range(100)
        ]


async def test_the_clients_streams_are_asked_for_first(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client = await place.client()
        await client.send(b"+a")
        await client.send(b"$login")
        upstream = await place.upstream()
        assert [(await upstream.frame()).data for _ in range(2)] == [b"+a", b"$login"]


async def test_frames_keep_to_the_venues_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        if seconds:
            slept.append(seconds)
        await trio.lowlevel.checkpoint()
        clock.shift_ns += round(seconds * SECOND)

    class Clock:
        shift_ns = 0

        def now(self) -> Any:
            return now()._replace(mono_ns=now().mono_ns + self.shift_ns)

    clock = Clock()
    venue = FakeVenue(requests=Rate(2, 5 * SECOND), connects=Rate(9, SECOND))
    async with scene(tmp_path, venue) as place:
        client, upstream = await place.pair()
        monkeypatch.setattr(module, "clock", clock)
        monkeypatch.setattr(trio, "sleep", sleep)
        await client.send(b"$2")
        assert (await upstream.frame()).data == b"$2"
        assert slept == []
        await client.send(b"$3")
        assert (await upstream.frame()).data == b"$3"
        assert 4 < sum(slept) < 6


@pytest.mark.parametrize(("private", "counted"), [(False, True), (True, False)])
async def test_frames_count_for_the_address_of_the_machine(
    tmp_path: Path, private: bool, counted: bool
) -> None:
    rate = Rate(1, 3600 * SECOND)
    hosts = (("/", "ws://elsewhere"),) if private else ()
    venue = FakeVenue(**ANY, requests_per_ip=rate, private_hosts=hosts)
    async with scene(tmp_path, venue) as place:
        await place.pair()
        host = urlsplit(place.urls["fake"][0]).netloc
        ready_ns = place.ledger.frame(host, rate, now().mono_ns)
        assert (ready_ns is not None) is counted


# --- ends ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        (Close(1000, "bye"), Close(1000, "bye")),
        (Close(1008, "Too many requests"), Close(1008, "Too many requests")),
        (Close(4001, "é"), Close(4001, "é")),
        (Close(1005, ""), Close(1000, "")),
    ],
)
async def test_a_close_crosses_both_ways(tmp_path: Path, sent: Close, seen: Close) -> None:
    async with scene(tmp_path) as place:
        for closes_first in (0, 1):
            peers = await place.pair()
            code = None if sent.code == 1005 else sent.code
            peers[closes_first].protocol.send_close(code, sent.reason)
            await peers[closes_first].flush()
            if closes_first:
                assert await peers[0].closed() == seen
                await peers[1].closed()
            else:
                assert await peers[1].closed() == seen
                await peers[0].closed()
            await place.settle()
        assert place.budget.used == 0


async def test_the_last_messages_come_before_the_close(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        for number in range(50):
            upstream.protocol.send_text(b"%d" % number)
        upstream.protocol.send_close(1000, "")
        await upstream.flush()
        frames = await client.frames()
        assert [frame.data for frame in frames[:-1]] == [b"%d" % number for number in range(50)]
        await upstream.closed()
        client, upstream = await place.pair()
        client.protocol.send_text(b"$order")
        client.protocol.send_close(1000, "")
        await client.flush()
        assert (await upstream.frame()).data == b"$order"
        assert await upstream.closed() == Close(1000, "")
        await client.closed()


async def test_a_venue_that_vanishes_is_not_tried_again(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        await upstream.stream.aclose()
        assert await client.closed() == Close(1012, "no close frame came")
        await place.settle()
        assert place.budget.used == 0
        with trio.move_on_after(0.05) as patience:
            await place.upstream()
        assert patience.cancelled_caught


async def test_a_client_that_vanishes_leaves_nothing_open(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        await client.stream.aclose()
        assert await upstream.closed() == Close(1001, "no close frame came")
        await place.settle()
        assert place.budget.used == 0


async def test_a_venue_that_breaks_the_protocol(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        await upstream.stream.send_all(b"\x81\x01\xff")
        closed = await client.closed()
        assert closed is not None
        assert closed.code == 1007
        upstream_close = await upstream.closed()
        assert upstream_close is not None
        assert upstream_close.code == 1007


async def test_a_client_that_does_not_read_is_closed(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        while place.engine.ports:
            await upstream.send(b"x" * 900)
        assert await upstream.closed() == Close(1000, "")
        assert place.budget.used == 0
        closed = await client.closed()
        assert closed is not None
        assert (closed.code, closed.reason[:8]) == (1008, "lagging:")


async def test_a_venue_that_takes_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEND_SECONDS", 0.05)
    monkeypatch.setattr(module, "_GOODBYE_SECONDS", 0.05)
    monkeypatch.setattr(wire, "GOODBYE_SECONDS", 0.05)
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()

        async def order() -> None:
            while True:
                await client.send(b"$" + b"x" * 900_000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(order)
            await place.settle()
            nursery.cancel_scope.cancel()
        assert place.budget.used == 0
        await upstream.stream.aclose()


async def test_when_the_proxy_stops_both_sides_are_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as place:
        client, upstream = await place.pair()
        place.proxy.cancel_scope.cancel()
        assert await upstream.closed() == Close(1000, "")
        assert await client.closed() == Close(1001, "the proxy stops")


# --- no connection ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_a_refused_handshake_ends_the_client(
    tmp_path: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(stream: trio.SocketStream) -> None:
        head = f"HTTP/1.1 {status} {SECRET}\r\nRetry-After: {SECRET}\r\nContent-Length: 0\r\n\r\n"
        await stream.send_all(head.encode())
        await read_to_end(stream)

    async with scene(tmp_path, FakeVenue(**ANY, penalty_ns=SECOND), accept=refuse) as place:
        with caplog.at_level(logging.DEBUG):
            client = await place.client(f"/${SECRET}")
            why = f"the venue refused a connection: HTTP {status}"
            assert await client.closed() == Close(1013, why)
        await place.settle()
        assert SECRET not in logged(caplog)
        host = place.urls["fake"][0].removeprefix("ws://")
        claim = place.ledger.attempt(host, Rate(9, SECOND), None, now().mono_ns)
        assert isinstance(claim, Wait) == (status == 429)


async def test_an_answer_that_is_not_http(tmp_path: Path) -> None:
    async def babble(stream: trio.SocketStream) -> None:
        await stream.send_all(b"what?\r\n\r\n")
        await read_to_end(stream)

    async with scene(tmp_path, accept=babble) as place:
        client = await place.client("/$")
        assert await client.closed() == Close(1013, "the venue refused a connection: no answer")


async def test_a_handshake_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPEN_SECONDS", 0.1)
    async with scene(tmp_path, accept=read_to_end) as place:
        client = await place.client("/$")
        assert await client.closed() == Close(1013, "no connection to the venue within 0 s")
        await place.settle()
        assert place.budget.used == 0


async def test_attempts_of_other_processes_count(tmp_path: Path) -> None:
    venue = FakeVenue(requests=None, connects=Rate(1, SECOND // 5))
    async with scene(tmp_path, venue) as place:
        host = place.urls["fake"][0].removeprefix("ws://")
        began_ns = now().mono_ns
        Ledger(tmp_path).attempt(host, venue.profile.connects, None, began_ns)
        await place.pair()
        assert now().mono_ns - began_ns >= SECOND // 5


# --- what is written ----------------------------------------------------------------------------


async def test_nothing_is_recorded_and_nothing_secret_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with scene(tmp_path) as place:
            client, upstream = await place.pair(f"/${SECRET}?{SECRET}", b"")
            await client.send(SECRET.encode())
            await upstream.frame()
            await upstream.send(SECRET.encode())
            await client.frame()
            await upstream.close(4000, SECRET)
            assert await client.closed() == Close(4000, SECRET)
            await upstream.closed()
            client, upstream = await place.pair(said=SECRET.join("$$").encode())
            await client.close(4000, SECRET)
            assert await upstream.closed() == Close(4000, SECRET)
            await client.closed()
            await place.settle()
    assert "has a connection to the venue of its own" in caplog.text
    assert SECRET not in logged(caplog)


async def test_what_the_venue_says_can_be_recorded(tmp_path: Path) -> None:
    tape = Notes()
    async with scene(tmp_path, tape=tape) as place:
        client, upstream = await place.pair(f"/${SECRET}", b"")
        await client.send(SECRET.encode())
        await upstream.frame()
        await upstream.send(b"filled")
        await client.frame()
        await upstream.close(4000, SECRET)
        await client.closed()
        url = place.urls["fake"][0]
    assert tape.kept == [
        f"connection 1 fake {url}",
        "OPENED 1 {}",
        "MESSAGE b'filled'",
        "CLOSED 1 {'code': 4000, 'reason': '', 'by': 'peer'}",
    ]


async def test_cancelled_at_any_moment_nothing_stays_open(tmp_path: Path) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        peer = await Peer.accept(stream)
        while (event := await peer.event()) is not None:
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                await peer.send(bytes(event.data))

    tape = Notes()
    async with scene(tmp_path, tape=tape, accept=echo) as place:

        async def scenario() -> None:
            try:
                client = await place.client("/$")
                await client.send(b"1")
                assert (await client.frame()).data == b"1"
            finally:
                place.abandon()
                with trio.CancelScope(shield=True):
                    await place.settle()

        await cancel_at_every_step(scenario)
        assert place.budget.used == 0
    kinds = [line.split(" ")[0] for line in tape.kept]
    assert kinds.count("OPENED") == kinds.count("CLOSED") > 0
