"""A replay begins when it should, keeps the time, waits for slow clients, and says goodbye."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.support import FakeClient, make_recording
from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import WALL_NS
from tests.wire.loopback import Peer
from wsproxy.app import replaying as module
from wsproxy.app.engine import Port
from wsproxy.app.replaying import Replay
from wsproxy.config import Address, Serving
from wsproxy.errors import RecordingError
from wsproxy.hub.events import ClientSaid
from wsproxy.model import TEXT, Kind
from wsproxy.recording.reader import open as open_recording
from wsproxy.venues.registry import venue as real_venue

SERVING = Serving(listen=Address("127.0.0.1", 0))
A, B = ("a",), ("b",)


@pytest.fixture(autouse=True)
def fake_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "venue", lambda name: FakeVenue(name=name))


@pytest.fixture
def four(tmp_path: Path) -> Path:
    """Messages over two seconds, and a reply that belongs to no stream."""
    return make_recording(
        tmp_path / "four",
        (0, "!ok 1", ()),
        (0, "a 0", A),
        (0.5, "b 1", B),
        (1, "a 2", A),
        (2, "a 3", A),
    )


def replay_of(path: Path, start: int | None = None) -> Replay:
    return Replay(open_recording(path), SERVING, start)


def join(replay: Replay, path: str, client: FakeClient) -> Port:
    session = FakeVenue().session(path, "")
    return replay._engine.join("fake", session, client, path)


def say(replay: Replay, port: Port, text: str) -> None:
    hub = replay._engine.hubs["fake"]
    replay._engine.dispatch(hub, ClientSaid(port.number, text.encode(), TEXT))


def test_a_recording_without_messages(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no messages to replay"):
        replay_of(make_recording(tmp_path / "empty", (0, "!ok 1", ())))


def test_a_venue_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_recording(tmp_path / "recording", (0, "a 0", A))
    monkeypatch.setattr(module, "venue", real_venue)
    with pytest.raises(RecordingError, match="cannot be replayed: there is no venue 'fake'"):
        replay_of(path)


async def test_quiet_streams_are_there_and_refused_ones_are_not(tmp_path: Path) -> None:
    replay = replay_of(
        make_recording(
            tmp_path / "recording",
            (0, "?", ("a", "quiet"), Kind.ACKNOWLEDGED),
            (0, "?", ("bad",), Kind.REFUSED),
            (1, "a 0", A),
        )
    )
    for stream, reply in (("quiet", "ok +quiet: quiet"), ("bad", "no +bad: ")):
        client = FakeClient()
        say(replay, join(replay, "/", client), f"+{stream}")
        assert client.texts[0].startswith(reply), client.texts


async def test_behind_a_gap_a_late_joiner_is_not_told_what_was_true_before(tmp_path: Path) -> None:
    book = ("book",)
    path = make_recording(
        tmp_path / "recording", (0, "book 0", book), (1, "?", book, Kind.GAP), (2, "a 0", A)
    )
    for start, known in ((WALL_NS + SECOND, True), (WALL_NS + 2 * SECOND, False)):
        replay = replay_of(path, start)
        async with replay.serve(SERVING):
            client = FakeClient()
            say(replay, join(replay, "/", client), "+book")
            assert any(text.startswith("snapshot") for text in client.texts) is known, client.texts


# --- the beginning -----------------------------------------------------------------------------


async def test_it_waits_for_so_many_and_until_they_have_settled(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, ready = replay_of(four), []
    began = trio.current_time()

    async def wait() -> None:
        await replay.wait_for_clients(2, 0.5)
        ready.append(trio.current_time() - began)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(10)
        join(replay, "/a", FakeClient())
        port = join(replay, "/", FakeClient())  # has subscribed to nothing yet
        await trio.sleep(10)
        assert replay.subscribed == 1
        say(replay, port, "+b")
        await trio.sleep(0.4)
        say(replay, port, "?")  # still asking
        assert replay.subscribed == 2
    assert ready == pytest.approx([20.9])


async def test_a_client_that_leaves_again_is_waited_for(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay = replay_of(four)
    port = join(replay, "/a", FakeClient())
    with trio.move_on_after(100) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(replay.wait_for_clients, 1, 0.5)
            await trio.sleep(0.4)
            replay._engine.leave(replay._engine.hubs["fake"], port)
    assert scope.cancelled_caught


# --- time --------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
async def test_messages_come_when_they_came(
    four: Path, speed: float, autojump_clock: trio.testing.MockClock
) -> None:
    replay, one, two = replay_of(four), FakeClient(), FakeClient()
    join(replay, "/a,b", one)
    join(replay, "/b", two)
    began = trio.current_time()
    assert await replay.play(None, speed) == 4
    assert one.texts == ["a 0", "b 1", "a 2", "a 3"]
    assert [at - began for at in one.times] == pytest.approx(
        [after / speed for after in (0, 0.5, 1, 2)]
    )
    assert two.texts == ["b 1"]


async def test_as_fast_as_possible_takes_no_time_and_one_write(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(four), FakeClient()
    join(replay, "/a", client)
    began = trio.current_time()
    assert await replay.play(None, None) == 4
    assert client.texts == ["a 0", "a 2", "a 3"]
    assert client.times == [began]


async def test_a_part_of_the_recording(four: Path, autojump_clock: trio.testing.MockClock) -> None:
    replay, client = replay_of(four, WALL_NS + SECOND // 2), FakeClient()
    join(replay, "/a,b", client)
    began = trio.current_time()
    assert await replay.play(WALL_NS + 2 * SECOND, 1.0) == 2
    assert client.texts == ["b 1", "a 2"]
    assert [at - began for at in client.times] == pytest.approx([0, 0.5])


async def test_long_runs_are_written_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_RUN_BYTES", 6)
    path = make_recording(tmp_path / "run", *((0, f"a {index}", A) for index in range(5)))
    replay, client = replay_of(path), FakeClient()
    join(replay, "/a", client)
    await replay.play(None, None)
    assert client.texts == [f"a {index}" for index in range(5)]
    assert len(client.times) == 3


# --- slow clients ------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [None, 1.0])
async def test_it_waits_for_a_slow_client(
    four: Path,
    speed: float | None,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "_HIGH_WATER_BYTES", 4)
    monkeypatch.setattr(module, "_RUN_BYTES", 1)
    replay, slow = replay_of(four), FakeClient(is_slow=True)
    join(replay, "/a", slow)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play, None, speed)
        await trio.sleep(100)
        assert slow.texts == ["a 0"]
        slow.drained.set()
    assert slow.texts == ["a 0", "a 2", "a 3"]
    warned = ["client /a is slow: the replay waits for it"]
    assert caplog.messages == ([] if speed is None else warned)  # at full speed that is the point


# --- over sockets ------------------------------------------------------------------------------


@asynccontextmanager
async def serving(replay: Replay) -> AsyncIterator[None]:
    with trio.fail_after(20):
        async with replay.serve(SERVING):
            assert replay.address.port != 0
            yield


async def test_at_the_end_clients_have_everything_and_are_told(four: Path) -> None:
    replay = replay_of(four)
    async with serving(replay), await trio.open_tcp_stream(*replay.address) as stream:
        peer = await Peer.connect(stream, "/fake/a")
        await replay.wait_for_clients(1, 0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.closed)
            await replay.play(None, None)
            await replay.finish()
    closed = peer.protocol.close_rcvd
    assert closed is not None
    assert (closed.code, closed.reason) == (1000, "the replay is over")
    (delivery,) = replay.deliveries
    assert delivery.client == 1
    assert delivery.bytes == 3 * len(b"..a 0")


async def test_a_replay_that_is_stopped_says_so(four: Path) -> None:
    replay = replay_of(four)
    async with trio.open_nursery() as nursery, serving(replay):
        peer = await Peer.connect(await trio.open_tcp_stream(*replay.address), "/a")
        await replay.wait_for_clients(1, 0)
        nursery.start_soon(peer.closed)
    assert peer.protocol.close_rcvd is not None
    assert peer.protocol.close_rcvd.code == 1001
    await peer.stream.aclose()


async def test_with_a_start_in_the_middle_clients_find_the_state_of_that_moment(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    book = ("book",)
    path = make_recording(tmp_path / "book", *((at, f"book {at}", book) for at in range(4)))
    replay = replay_of(path, WALL_NS + 2 * SECOND)
    with caplog.at_level(logging.INFO):
        async with serving(replay):
            client = FakeClient()
            join(replay, "/book", client)
            await replay.play(None, None)
    assert client.texts == ["snapshot 0,1", "book 2", "book 3"]


async def test_clients_of_a_cut_find_what_its_keyframes_say(tmp_path: Path) -> None:
    book = ("book",)
    path = make_recording(
        tmp_path / "cut", (0, "book =7,8", book, Kind.KEYFRAME), (1, "a 0", A), (2, "book 9", book)
    )
    replay = replay_of(path)
    async with serving(replay):
        client = FakeClient()
        join(replay, "/book", client)
        await replay.play(None, None)
    assert client.texts == ["snapshot 7,8", "book 9"]


def test_a_stream_of_which_only_the_state_is_known_is_there(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "cut", (0, "book =7", ("book",), Kind.KEYFRAME), (1, "a 0", A))
    replay = replay_of(path)
    client = FakeClient()
    say(replay, join(replay, "/", client), "+book")
    assert client.texts[0].startswith("ok +book"), client.texts
