"""Who is let in, to which venue, and that everyone who leaves is gone."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from websockets.frames import Frame, Opcode

from tests.hub.fake_venue import SECOND, FakeSession, FakeVenue
from tests.wire.loopback import Peer, cancel_at_every_step, read_to_end
from wsproxy.app.engine import ConflatingPort, Engine
from wsproxy.app.listener import FrontDoor, listening
from wsproxy.config import Address, Serving
from wsproxy.errors import ConfigError
from wsproxy.hub.hub import Hub
from wsproxy.venues.base import PathRefused
from wsproxy.venues.profile import Pings
from wsproxy.wire.client import Client

HERE = Address("127.0.0.1", 0)


class Venue(FakeVenue):
    """Has one address that it refuses."""

    def session(self, path: str, query: str) -> FakeSession:
        if path == "/nowhere":
            raise PathRefused("there is nothing at /nowhere")
        return super().session(path, query)


class House:
    """A front door with its engine behind it."""

    def __init__(self, *names: str, serving: Serving, pings: Pings | None) -> None:
        self.hubs = {name: Hub(Venue(name=name, pings=pings)) for name in names}
        for hub in self.hubs.values():
            hub.play(frozenset({"a", "b"}))
        self.engine = Engine(self.hubs, outbox_bytes=1000, note=lambda note: None)
        self.door = FrontDoor(self.engine, serving)
        self.port = 0
        self._streams: list[trio.SocketStream] = []

    async def stream(self) -> trio.SocketStream:
        self._streams.append(await trio.open_tcp_stream("127.0.0.1", self.port))
        return self._streams[-1]

    async def connect(self, path: str) -> Peer:
        return await Peer.connect(await self.stream(), path)

    async def ask(self, path: str, *headers: str) -> str:
        """Ask for a WebSocket and close; the whole answer."""
        lines = [
            f"GET {path} HTTP/1.1",
            "Host: h",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *headers,
        ]
        stream = await self.stream()
        await stream.send_all("\r\n".join([*lines, "", ""]).encode())
        await stream.send_eof()
        return (await read_to_end(stream)).decode("latin-1")

    async def settle(self, clients: int) -> None:
        """Wait until so many are inside."""
        while self.door._inside > clients:
            await trio.testing.wait_all_tasks_blocked()

    def abandon(self) -> None:
        """Close the sockets of all who connected."""
        for stream in self._streams:
            stream.socket.close()

    @property
    def is_empty(self) -> bool:
        return not self.engine.ports and not any(hub.clients for hub in self.hubs.values())


@asynccontextmanager
async def house(
    *names: str, serving: Serving | None = None, pings: Pings | None = None
) -> AsyncIterator[House]:
    serving = serving or Serving(listen=HERE)
    place = House(*(names or ("fake",)), serving=serving, pings=pings)
    with trio.fail_after(10):
        async with listening(Serving(listen=HERE)) as listeners, trio.open_nursery() as nursery:
            place.port = listeners[0].socket.getsockname()[1]
            await nursery.start(place.door.serve, listeners)
            try:
                yield place
            finally:
                place.abandon()
            nursery.cancel_scope.cancel()


# --- addresses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venues", "path", "answer"),
    [
        (["x", "y"], "/x/a", "ok ?: a"),
        (["x", "y"], "/y/a,b", "ok ?: a,b"),
        (["x", "y"], "/y", "ok ?: "),
        (["x", "y"], "/y/", "ok ?: "),
        (["x"], "/x/a", "ok ?: a"),
        (["x"], "/a", "ok ?: a"),
        (["x"], "/", "ok ?: "),
        (["x"], "/a?round", "ok ?: a"),
    ],
)
async def test_the_first_word_of_the_path_is_the_venue(
    venues: list[str], path: str, answer: str
) -> None:
    async with house(*venues) as place:
        peer = await place.connect(path)
        await peer.send(b"?")
        assert (await peer.frame()).data == answer.encode()


@pytest.mark.parametrize("path", ["/", "/z/a", "/X/a", "//x", "nonsense", "*", "http://h/x/a"])
async def test_another_path_is_told_what_there_is(path: str) -> None:
    async with house("x", "y") as place:
        answer = await place.ask(path)
        assert answer.startswith("HTTP/1.1 404 ")
        assert answer.endswith("no venue there: addresses begin with /x, /y")
        assert place.is_empty


async def test_an_address_that_the_venue_does_not_have(caplog: pytest.LogCaptureFixture) -> None:
    async with house() as place:
        with caplog.at_level(logging.INFO):
            answer = await place.ask("/fake/nowhere")
        assert answer.startswith("HTTP/1.1 404 ")
        assert answer.endswith("there is nothing at /nowhere")
        assert "is refused: 404 there is nothing at /nowhere" in caplog.text


# --- origins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 101),
        ("http://localhost:3000", 101),
        ("https://127.0.0.1:8443", 101),
        ("http://[::1]:3000", 101),
        ("http://192.0.2.7", 101),  # the address that is listened on
        ("https://desk.example", 101),  # allowed
        ("https://desk.example:8443", 403),
        ("http://desk.example", 403),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("https://evil.example/localhost", 403),
        ("http://localhost@evil.example", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("http://[::1", 403),
        ("localhost", 403),
    ],
)
async def test_pages_of_other_places_are_not_let_in(origin: str, status: int) -> None:
    serving = Serving(Address("192.0.2.7", 1), allow_origins=("https://desk.example",))
    async with house(serving=serving) as place:
        answer = await place.ask("/", f"Origin: {origin}")
        assert answer.startswith(f"HTTP/1.1 {status} ")
        if status == 403:
            assert answer.endswith(f"a page of {origin} may not connect: see --allow-origin")


async def test_a_client_that_is_no_page_has_no_origin() -> None:
    async with house() as place:
        assert (await place.ask("/")).startswith("HTTP/1.1 101 ")


# --- room --------------------------------------------------------------------------------------


async def test_more_than_may_come_are_refused_until_one_leaves() -> None:
    async with house(serving=Serving(HERE, max_clients=2)) as place:
        peers = [await place.connect("/"), await place.connect("/")]
        for _ in range(2):  # a refused client takes no place
            answer = await place.ask("/")
            assert answer.startswith("HTTP/1.1 503 ")
            assert answer.endswith("all 2 places are taken: see --max-clients")
        await peers[0].close(1000)
        await peers[0].closed()
        await place.settle(clients=1)
        await place.connect("/")


async def test_an_address_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigError, match=rf"{address} is in use: .* --listen"):
            async with listening(Serving(address)):
                raise AssertionError("it is in use")


async def test_an_address_of_another_machine() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1:0 cannot be listened on: "):
        async with listening(Serving(Address("192.0.2.1", 0))):
            raise AssertionError("it is not ours")


async def test_a_client_whose_machine_is_gone_is_found_out_by_the_kernel() -> None:
    async with (
        listening(Serving(listen=HERE)) as (listener,),
        await trio.open_tcp_stream(*listener.socket.getsockname()),
        await listener.accept() as accepted,
    ):
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_the_sockets_are_closed_behind() -> None:
    with pytest.raises(KeyError):
        async with listening(Serving(HERE)) as listeners:
            raise KeyError
    assert [listener.socket.fileno() for listener in listeners] == [-1]


# --- a client's life ---------------------------------------------------------------------------


async def test_a_client_gets_what_it_asks_for_until_it_leaves() -> None:
    async with house() as place:
        peer = await place.connect("/a")
        await peer.send(b"+b")
        assert (await peer.frame()).data == b"ok +b: a,b"
        await peer.close(1000)
        assert (await peer.closed()) is not None
        await place.settle(clients=0)
        assert place.is_empty


async def test_a_client_that_vanishes_is_gone() -> None:
    async with house() as place:
        peer = await place.connect("/a")
        await trio.aclose_forcefully(peer.stream)
        await place.settle(clients=0)
        assert place.is_empty


async def test_a_client_that_the_hub_closes_learns_why() -> None:
    async with house() as place:
        peer = await place.connect("/a")
        for _ in range(101):  # more than a client may ask for
            await peer.send(b"?")
        closed = await peer.closed()
        assert closed is not None
        assert (closed.code, closed.reason) == (1008, "Too many requests")


async def test_a_client_is_pinged_as_by_its_venue() -> None:
    async with house(pings=Pings(every_ns=SECOND // 100, patience_ns=60 * SECOND)) as place:
        peer = await place.connect("/a")
        assert [(await peer.frame()).opcode for _ in range(3)] == 3 * [Opcode.PING]
        await peer.send(b"?")
        while (frame := await peer.frame()).opcode is Opcode.PING:
            pass
        assert frame.data == b"ok ?: a"


async def test_a_client_that_does_not_answer_pings_is_closed() -> None:
    async with house(pings=Pings(every_ns=SECOND // 100, patience_ns=SECOND // 20)) as place:
        peer = await place.connect("/a")
        while not place.engine.ports:
            await trio.testing.wait_all_tasks_blocked()
        while place.engine.ports:  # it reads nothing
            await trio.testing.wait_all_tasks_blocked()
        closed = await peer.closed()
        assert closed is not None
        assert (closed.code, closed.reason) == (1008, "Pong timeout")


@pytest.mark.parametrize(
    ("path", "may", "conflates"),
    [("/a?conflate=1", True, True), ("/a", True, False), ("/a?conflate=1", False, False)],
)
async def test_who_conflates(
    path: str, may: bool, conflates: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Client] = []

    def hold_little(client: Client) -> None:
        told.append(client)

    monkeypatch.setattr(Client, "hold_little", hold_little)
    async with house() as place:
        place.door = FrontDoor(place.engine, Serving(listen=HERE), conflating=may)
        async with listening(Serving(listen=HERE)) as listeners, trio.open_nursery() as nursery:
            place.port = listeners[0].socket.getsockname()[1]
            await nursery.start(place.door.serve, listeners)
            peer = await place.connect(path)
            await peer.send(b"?")
            assert (await peer.frame()).data == b"ok ?: a"  # "conflate" is no view of the venue
            (port,) = place.engine.ports.values()
            assert isinstance(port, ConflatingPort) is conflates
            assert told == [port.client] * conflates
            nursery.cancel_scope.cancel()


async def test_a_crowd_that_is_closed_is_told_one_by_one() -> None:
    async with house() as place:
        peers = [await place.connect("/a") for _ in range(20)]
        for peer in peers:
            await peer.send(b"?")
            await peer.frame()
        ports = list(place.engine.ports.values())
        for port in ports:
            port.close = (1008, "lagging")
            port.scope.cancel()
        begin = trio.current_time()
        for peer in peers:
            closed = await peer.closed()
            assert closed is not None
            assert (closed.code, closed.reason) == (1008, "lagging")
        assert trio.current_time() - begin >= (len(ports) - 1) * 0.002


async def test_a_client_may_ping_the_proxy() -> None:
    async with house() as place:
        peer = await place.connect("/a")
        await peer.ping(b"there?")
        assert await peer.frame() == Frame(Opcode.PONG, b"there?")


async def test_when_the_proxy_stops_clients_are_told() -> None:
    async with house() as place:
        peer = await place.connect("/a")
        await peer.send(b"?")
        await peer.frame()
        place.door.accepting.cancel()
        next(iter(place.engine.ports.values())).scope.cancel()
        closed = await peer.closed()
        assert closed is not None
        assert (closed.code, closed.reason) == (1001, "the proxy stops")
        with pytest.raises(OSError, match="connect"):
            await place.connect("/a")


async def test_whoever_does_not_finish_the_handshake_is_dropped() -> None:
    async with house(serving=Serving(HERE, handshake_seconds=0.05)) as place:
        peer = await place.connect("/")
        stream = await place.stream()
        await stream.send_all(b"GET / HTTP/1.1\r\n")
        assert await read_to_end(stream) == b""
        await peer.send(b"?")
        assert (await peer.frame()).data == b"ok ?: "


@pytest.mark.parametrize("path", ["/a", "/nowhere"])
async def test_cancelled_at_any_moment_no_client_stays(path: str) -> None:
    places: list[House] = []

    async def scenario() -> None:
        async with house() as place:
            places.append(place)
            if path == "/nowhere":
                await place.ask(path)
                return
            peer = await place.connect(path)
            await peer.send(b"?")
            await peer.frame()
            await peer.close(1000)
            await peer.closed()

    await cancel_at_every_step(scenario)
    assert all(place.is_empty for place in places)
