"""The live proxy: what it says of itself, and in which order it stops."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
import trio.testing

from tests.hub.fake_venue import FakeVenue
from tests.hub.playbook import WALL_NS
from tests.wire.loopback import Peer
from wsproxy.app import live as module
from wsproxy.app import upstream as upstream_module
from wsproxy.app.listener import listening
from wsproxy.app.live import Live, live
from wsproxy.app.status import Status
from wsproxy.app.tape import Tape
from wsproxy.app.upstream import tls_context
from wsproxy.config import Address, Recording, Serving, Upstream, VenueSetting
from wsproxy.errors import ConnectionEnded
from wsproxy.model import TEXT, Kind
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer
from wsproxy.wire.frames import Split
from wsproxy.wire.upstream import Upstream as Connection

T = TypeVar("T")

SERVING = Serving(listen=Address("127.0.0.1", 0))


class FakeConnection(Connection):
    """A venue that grants everything, and sends one message a stream."""

    def __init__(
        self,
        on_messages: Callable[[Split], None],
        on_frame_sent: Callable[[bool], None],
    ) -> None:
        self._on_messages = on_messages
        self._on_frame_sent = on_frame_sent
        self.ended = trio.Event()

    @property
    def heard_ns(self) -> int:
        return 1 << 62

    async def send(self, payload: bytes, opcode: int = TEXT) -> None:
        await trio.lowlevel.checkpoint()
        self._on_frame_sent(False)
        names, _, number = payload[1:].partition(b" #")
        data = [name + b" 1" for name in names.split(b",")]
        self._on_messages(Split([b"!ok " + number, *data], None, [], None))

    async def wait_closed(self) -> ConnectionEnded:
        await self.ended.wait()
        return ConnectionEnded(1006, "", "network")


class Venue:
    """Stands in for the network; keeps what happened, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.history: list[str] = []
        self.connections: list[FakeConnection] = []
        self.urls: list[str] = []
        self.clients: Callable[[], int] = lambda: 0
        monkeypatch.setattr(module, "venue", lambda name: FakeVenue(name=name))
        monkeypatch.setattr(upstream_module, "open_upstream", self.open_upstream)

    @asynccontextmanager
    async def open_upstream(
        self,
        url: str,
        *,
        on_messages: Callable[[Split], None],
        on_frame_sent: Callable[[bool], None],
        **_: Any,
    ) -> AsyncIterator[Connection]:
        self.urls.append(url)
        self.connections.append(FakeConnection(on_messages, on_frame_sent))
        await trio.lowlevel.checkpoint()
        try:
            yield self.connections[-1]
        finally:
            self.history.append(f"upstream closed, {self.clients()} clients")


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Venue:
    return Venue(monkeypatch)


@asynccontextmanager
async def running(
    *names: str, tape: Tape | None = None, subscribe: tuple[tuple[str, str], ...] = ()
) -> AsyncIterator[Live]:
    settings = tuple(VenueSetting(name, f"ws://{name}") for name in names)
    upstream = Upstream(settings, subscribe=subscribe)
    with trio.fail_after(20):
        async with (
            listening(SERVING) as listeners,
            live(upstream, SERVING, listeners, tls_context(None), tape) as proxy,
        ):
            yield proxy


async def connect(proxy: Live, path: str) -> Peer:
    return await Peer.connect(await trio.open_tcp_stream(*proxy.address), path)


async def test_clients_are_told_then_upstreams_are_closed_then_the_tape_ends(
    venue: Venue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer.create(tmp_path, venues=["x"], wall_ns=WALL_NS, mono_ns=0)
    really_close = writer.close

    def close() -> None:
        venue.history.append("tape closed")
        really_close()

    monkeypatch.setattr(writer, "close", close)
    tape = Tape(writer, Recording())
    async with trio.open_nursery() as nursery, running("x", tape=tape) as proxy:
        venue.clients = lambda: proxy.status().clients
        peers = [await connect(proxy, f"/x/{name}") for name in "abc"]
        for name, peer in zip("abc", peers, strict=True):
            assert (await peer.frame()).data == f"{name} 1".encode()
            nursery.start_soon(peer.closed)
    for peer in peers:
        assert peer.protocol.close_rcvd is not None
        assert peer.protocol.close_rcvd.code == 1012
        assert peer.protocol.close_rcvd.reason == "the proxy restarts"
        await peer.stream.aclose()
    assert venue.history == ["upstream closed, 0 clients", "tape closed"]
    kinds = [message.kind for message in open_recording(tmp_path).messages(kinds=None)]
    assert kinds[0] is Kind.OPENED
    assert kinds[-1] is Kind.CLOSED
    assert kinds.count(Kind.MESSAGE) == 6  # an answer and a message for each


async def test_the_status_is_in_numbers(venue: Venue) -> None:
    async with running("x", "y") as proxy:
        nothing = Status(0, 0, 0, 8, 0, 0, 0, None)
        assert proxy.status() == nothing
        async with await trio.open_tcp_stream(*proxy.address) as stream:
            peer = await Peer.connect(stream, "/x/a,b")
            await peer.frame()
            await peer.frame()
            assert proxy.status() == Status(1, 2, 1, 8, 2, 0, 0, None)
            venue.connections[0].ended.set()
            closed = await peer.closed()
            assert closed is not None
            assert closed.code == 1012
        await trio.testing.wait_all_tasks_blocked()
        status = proxy.status()
        assert (status.clients, status.connections, status.gaps) == (0, 0, 2)


async def test_the_status_of_a_recording(venue: Venue, tmp_path: Path) -> None:
    writer = Writer.create(tmp_path, venues=["x"], wall_ns=WALL_NS, mono_ns=0)
    tape = Tape(writer, Recording())
    async with running("x", tape=tape) as proxy:
        tape.lost = 5
        assert proxy.status().lost == 5
        assert proxy.status().bytes_on_disk == writer.bytes_written > 0


async def test_streams_that_are_recorded_without_a_client(venue: Venue) -> None:
    async with running("x", "y", subscribe=(("y", "a"), ("y", "b@end"))) as proxy:
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(venue.urls) == ["ws://y/", "ws://y/end"]
        assert proxy.status() == Status(0, 2, 2, 8, 2, 0, 0, None)


async def test_an_operator_is_told_that_connections_are_replaced(
    venue: Venue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "wsproxy")
    async with running("x", "y", subscribe=(("y", "a"), ("y", "b@end"))) as proxy:
        await trio.testing.wait_all_tasks_blocked()
        proxy.rotate()
        assert (
            "asked to replace 2 upstream connections: each as soon as there is room"
            in caplog.messages
        )


async def test_a_venue_is_reached_at_its_own_address_unless_told(venue: Venue) -> None:
    upstream = Upstream((VenueSetting("x", None),), subscribe=(("x", "a"),))
    async with (
        listening(SERVING) as listeners,
        live(upstream, SERVING, listeners, tls_context(None), None),
    ):
        await trio.testing.wait_all_tasks_blocked()
    assert venue.urls == ["ws://fake/"]
