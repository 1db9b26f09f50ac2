"""A replay in the program that uses it, on Trio and off it, to real clients."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio
from websockets.asyncio.client import connect as aio_connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import wsproxy
from tests.recording.damage import flip, places
from tests.wire.loopback import Peer
from wsproxy.wire.frames import encode

DEMO = Path(__file__).parents[2] / "recordings" / "demo"
TRADES = "/binance/ws/btcusdt@trade"
PATIENCE_S = 30
SHORT: dict[str, Any] = {"settle": 0, "end": "+5s"}


def read_all(websocket: ClientConnection) -> tuple[list[str], int]:
    """All messages, and the code of the close frame."""
    texts: list[str] = []
    with suppress(ConnectionClosed):
        while True:
            texts.append(websocket.recv(PATIENCE_S, decode=True))
    return texts, websocket.close_code or 1006


def recorded(start: str | None = None, end: str | None = None) -> list[str]:
    trades = wsproxy.open(DEMO).messages("binance:btcusdt@trade", start, end)
    return [trade.text for trade in trades]


def test_a_plain_program_is_served() -> None:
    with wsproxy.replay(DEMO, **SHORT) as server:
        with connect(server.url + TRADES) as websocket:
            texts, code = read_all(websocket)
        server.join(PATIENCE_S)
        assert server.finished.is_set()
        with pytest.raises(ConnectionRefusedError):
            connect(server.url)
    assert code == 1000
    assert len(texts) == len(recorded(end="+5s")) > 0
    frames = b"".join(encode(text.encode()) for text in texts)
    (digest,) = server.digests
    assert digest.sha256 == hashlib.sha256(frames).hexdigest()
    assert server.messages > len(texts)
    assert (server.refused, server.stalled) == ({}, [])
    *_, last = wsproxy.open(DEMO).messages(end="+5s")
    assert server.clock.now() == last.time


async def test_a_trio_program_is_served_on_its_own_loop() -> None:
    async with wsproxy.replay([DEMO], **SHORT) as server:
        stream = await trio.open_tcp_stream("127.0.0.1", port_of(server))
        peer = await Peer.connect(stream, TRADES)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.closed)
            await server.finished.wait()
        await stream.aclose()
    assert peer.protocol.close_rcvd is not None
    assert peer.protocol.close_rcvd.code == 1000
    with wsproxy.replay(DEMO, **SHORT) as again:
        with connect(again.url + TRADES) as websocket:
            read_all(websocket)
        again.join(PATIENCE_S)
    assert [one.sha256 for one in server.digests] == [one.sha256 for one in again.digests]


def test_what_the_recording_lacks_is_told() -> None:
    wanted = wsproxy.StreamKey("binance", "nosuch@trade")
    with wsproxy.replay(DEMO, **SHORT) as server, connect(f"{server.url}/binance/ws") as websocket:
        websocket.send('{"method":"SUBSCRIBE","params":["nosuch@trade"],"id":1}')
        assert "is not in this recording" in str(websocket.recv(PATIENCE_S))
        assert dict(server.refused) == {wanted: "stream nosuch@trade is not in this recording"}


def test_several_recordings_with_the_options_of_the_command(tmp_path: Path) -> None:
    faults = tmp_path / "faults.toml"
    faults.write_text('[[fault]]\nkind = "duplicate"\nat = "+0s"\nseconds = 3600\n')
    options: dict[str, Any] = {"offsets": [0, 10.0], "loop": 1, "max_idle": 0.01, "speed": 1000}
    options |= {"faults": faults, "session": "mine", "stall_timeout": 5, "start": "+1s"}
    options |= {"end": "+12s", "clients": 1, "settle": 0, "lockstep": True, "faithful": True}
    with (
        wsproxy.replay([DEMO, str(DEMO)], **options) as server,
        connect(server.url + TRADES) as websocket,
    ):
        texts, code = read_all(websocket)
    assert code == 1000
    one, two = recorded(start="+1s", end="+12s"), recorded(end="+2s")
    assert len(texts) == 2 * len(one) + 2 * len(two)


def test_times_may_be_counted_from_the_end() -> None:
    last = wsproxy.open(DEMO).info.last
    assert last is not None
    assert wsproxy.replay(DEMO, start="-1s").clock.now() == last - 10**9


def test_who_leaves_early_leaves_nothing_behind() -> None:
    with ExitStack() as stack:
        with wsproxy.replay(DEMO, clients=2) as server:
            websocket = stack.enter_context(connect(server.url + TRADES))
            websocket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
            assert "btcusdt@trade" in websocket.recv(PATIENCE_S, decode=True)
        assert read_all(websocket) == ([], 1001)
    assert not server.finished.is_set()
    assert server.clock.now() == wsproxy.open(DEMO).info.first


async def test_the_block_keeps_its_own_errors() -> None:
    with pytest.raises(ZeroDivisionError):
        async with wsproxy.replay(DEMO):
            raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), wsproxy.replay(DEMO):
        raise ZeroDivisionError
    with trio.move_on_after(0.01) as scope:
        async with wsproxy.replay(DEMO):
            await trio.sleep_forever()
    assert scope.cancelled_caught


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Wrong in its middle; it can be opened, and begun."""
    shutil.copytree(DEMO, tmp_path / "damaged")
    (part,) = (tmp_path / "damaged").iterdir()
    blocks = places(part)
    middle = blocks[len(blocks) // 2]
    flip(part, middle.block + middle.head.block_bytes // 2)
    return tmp_path / "damaged"


def test_damage_ends_a_replay_and_is_raised(damaged: Path) -> None:
    def use() -> None:
        with wsproxy.replay(damaged, settle=0) as server:
            with connect(server.url + TRADES) as websocket:
                read_all(websocket)
            with pytest.raises(wsproxy.DamagedRecording):
                server.join(PATIENCE_S)

    with pytest.raises(wsproxy.DamagedRecording):
        use()


async def test_damage_is_raised_from_the_block_on_trio(damaged: Path) -> None:
    async def use() -> None:
        async with wsproxy.replay(damaged, settle=0) as server:
            stream = await trio.open_tcp_stream("127.0.0.1", port_of(server))
            async with stream:
                await (await Peer.connect(stream, TRADES)).closed()
                await trio.sleep_forever()

    with pytest.raises(wsproxy.DamagedRecording):
        await use()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"start": "noon"}, "'noon' is not a time"),
        ({"speed": "fast"}, "speed fast: write a number above 0, or max"),
        ({"loop": 0}, "loop=0"),
        ({"faults": "none.toml"}, "none.toml"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], why: str) -> None:
    with pytest.raises(wsproxy.ConfigError, match=why):
        wsproxy.replay(DEMO, **options)


def test_no_recording(tmp_path: Path) -> None:
    with pytest.raises(wsproxy.RecordingError, match="does not exist"):
        wsproxy.replay(tmp_path / "none")


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(wsproxy.ConfigError, match="in use"), wsproxy.replay(DEMO, port=port):
            pytest.fail("it is in use")
        with pytest.raises(wsproxy.ConfigError, match="in use"):
            async with wsproxy.replay(DEMO, port=port):
                pytest.fail("it is in use")


def test_the_form_for_trio_elsewhere() -> None:
    async def use() -> None:
        async with wsproxy.replay(DEMO):
            pytest.fail("this is asyncio")

    with pytest.raises(RuntimeError, match="`async with` is for Trio"):
        asyncio.run(use())


async def test_the_form_for_others_on_trio() -> None:
    async with wsproxy.replay(DEMO) as server:
        with pytest.raises(RuntimeError, match=r"finished\.wait"):
            server.join()


async def test_the_clock_is_at_the_time_of_what_was_sent_last() -> None:
    first = wsproxy.open(DEMO).info.first
    assert first is not None
    async with wsproxy.replay(DEMO, settle=0, speed=500) as server:
        assert server.clock.now() == first
        stream = await trio.open_tcp_stream("127.0.0.1", port_of(server))
        async with stream, trio.open_nursery() as nursery:
            peer = await Peer.connect(stream, TRADES)
            nursery.start_soon(peer.closed)
            await server.clock.sleep_until("+20s")
            assert server.clock.now() >= first + 20 * 10**9
            with pytest.raises(wsproxy.WsproxyError, match="the replay is over"):
                await server.clock.sleep_until("+1h")


def port_of(server: wsproxy.ReplayServer) -> int:
    return int(server.url.rpartition(":")[2])


def test_in_lockstep_it_is_the_time_of_the_message_that_is_handled() -> None:
    async def strategy(server: wsproxy.ReplayServer) -> list[int]:
        async with aio_connect(server.url + TRADES) as websocket:
            return [server.clock.now() async for _ in websocket]

    with wsproxy.replay(DEMO, lockstep=True, **SHORT) as server:
        handled = asyncio.run(strategy(server))
    trades = wsproxy.open(DEMO).messages("binance:btcusdt@trade", end="+5s")
    assert handled == [trade.time for trade in trades]
