"""A replay serves what the recording holds, keeps the time, and says goodbye."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.replay_support import (
    BOOK,
    SERVING,
    A,
    book_of,
    four_messages,
    join,
    replay_of,
    say,
    serving,
    use_fake_venue,
)
from tests.app.support import FakeClient, make_recording
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from tests.wire.loopback import Peer
from wsproxy.app import replaying as module
from wsproxy.app.engine import Port
from wsproxy.errors import RecordingError
from wsproxy.model import Kind
from wsproxy.recording import events as record
from wsproxy.venues.registry import venue as real_venue


@pytest.fixture(autouse=True)
def fake_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_venue(monkeypatch)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return four_messages(tmp_path / "four")


def test_a_recording_without_messages(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no messages to replay"):
        replay_of(make_recording(tmp_path / "empty", (0, "!ok 1", ())))


def test_a_venue_that_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_recording(tmp_path / "recording", (0, "a 0", A))
    monkeypatch.setattr(module, "venue", real_venue)
    with pytest.raises(RecordingError, match="cannot be replayed: there is no venue 'fake'"):
        replay_of(path)


def test_a_stream_of_which_only_the_state_is_known_is_there(tmp_path: Path) -> None:
    path = make_recording(tmp_path / "cut", (0, "book =7", BOOK, Kind.KEYFRAME), (1, "a 0", A))
    replay = replay_of(path)
    client = FakeClient()
    say(replay, join(replay, "/", client), "+book")
    assert client.texts[0].startswith("ok +book"), client.texts


async def test_behind_a_gap_a_late_joiner_is_not_told_what_was_true_before(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "recording", (0, "book 0", BOOK), (1, "?", BOOK, Kind.GAP), (2, "a 0", A)
    )
    for start, known in ((WALL_NS + SECOND, True), (WALL_NS + 2 * SECOND, False)):
        replay = replay_of(path, start=start)
        async with replay.serve(SERVING):
            client = FakeClient()
            say(replay, join(replay, "/", client), "+book")
            assert any(text.startswith("snapshot") for text in client.texts) is known, client.texts


async def test_at_the_end_clients_have_everything_and_are_told(four: Path) -> None:
    replay = replay_of(four, speed=None)
    async with serving(replay), await trio.open_tcp_stream(*replay.address) as stream:
        peer = await Peer.connect(stream, "/fake/a")
        await replay.wait_for_clients()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.closed)
            await replay.play()
            await replay.finish()
    closed = peer.protocol.close_rcvd
    assert closed is not None
    assert (closed.code, closed.reason) == (1000, "the replay is over")
    (digest,) = replay.digests
    assert digest.client == 1
    assert digest.bytes == 3 * len(b"..a 0")


async def test_a_replay_that_is_stopped_says_so(four: Path) -> None:
    replay = replay_of(four)
    async with trio.open_nursery() as nursery, serving(replay):
        peer = await Peer.connect(await trio.open_tcp_stream(*replay.address), "/a")
        await replay.wait_for_clients()
        nursery.start_soon(peer.closed)
    assert peer.protocol.close_rcvd is not None
    assert peer.protocol.close_rcvd.code == 1001
    await peer.stream.aclose()


async def test_with_a_start_in_the_middle_clients_find_the_state_of_that_moment(
    tmp_path: Path,
) -> None:
    replay = replay_of(book_of(tmp_path / "book", 4), start=WALL_NS + 2 * SECOND, speed=None)
    async with serving(replay):
        client = FakeClient()
        join(replay, "/book", client)
        await replay.play()
    assert client.texts == ["snapshot 0,1", "book 2", "book 3"]


async def test_clients_of_a_cut_find_what_its_keyframes_say(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "cut", (0, "book =7,8", BOOK, Kind.KEYFRAME), (1, "a 0", A), (2, "book 9", BOOK)
    )
    replay = replay_of(path, speed=None)
    async with serving(replay):
        client = FakeClient()
        join(replay, "/book", client)
        await replay.play()
    assert client.texts == ["snapshot 7,8", "book 9"]


def test_quiet_streams_are_there_and_refused_ones_are_not(tmp_path: Path) -> None:
    path = make_recording(
        tmp_path / "recording",
        (0, "?", ("a", "quiet"), Kind.ACKNOWLEDGED),
        (0, record.refused(["bad"], "no such thing"), ("bad",), Kind.REFUSED),
        (1, "a 0", A),
    )
    replay = replay_of(path)
    for stream, reply in (
        ("quiet", "ok +quiet: quiet"),
        ("bad", "no +bad: no such thing"),
        ("none", "no +none: stream none is not in this recording"),
    ):
        client = FakeClient()
        say(replay, join(replay, "/", client), f"+{stream}")
        assert client.texts == [reply]


async def test_nothing_is_conflated(four: Path) -> None:
    replay = replay_of(four)
    async with serving(replay):
        stream = await trio.open_tcp_stream(*replay.address)
        peer = await Peer.connect(stream, "/a?conflate=1")
        await peer.send(b"?")
        await peer.frame()
        (port,) = replay.engine.ports.values()
        assert type(port) is Port
        await stream.aclose()
