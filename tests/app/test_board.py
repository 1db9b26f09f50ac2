from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.support import FakeClient, Stage, instant
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.app import clock
from wsproxy.app.board import Board, Feed
from wsproxy.app.status import ClientStatus, GapStatus, Status, WindowStatus
from wsproxy.app.tape import Tape
from wsproxy.config import Address, Recording
from wsproxy.hub.events import Note, UpstreamClosed, UpstreamOpened, UpstreamSent
from wsproxy.model import Kind
from wsproxy.recording import events as record
from wsproxy.recording.writer import Writer

ADDRESS = Address("127.0.0.1", 8765)


@pytest.fixture(autouse=True)
def _time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", instant)


def hang(
    stage: Stage, tape: Tape | None = None, on_gap: Callable[[GapStatus], None] | None = None
) -> Board:
    """A board for what is on the stage."""
    feeds = {"fake": Feed(stage.hub, stage.pool, ["ws://fake"])}
    return Board(ADDRESS, stage.engine, feeds, stage.budget, tape, on_gap)


def connect(stage: Stage) -> None:
    """The first connection opens and all is granted."""
    stage.engine.dispatch(stage.hub, UpstreamOpened(1))
    stage.engine.dispatch(stage.hub, UpstreamSent(1))
    stage.carry("!ok 1")


async def test_nothing_yet() -> None:
    board = hang(Stage())
    assert board.status() == Status(0, 0, 0, 2, 0, 0, 0, None)
    full = board.full()
    assert (full.listening, full.recording, full.gaps, full.clients) == (
        "127.0.0.1:8765",
        None,
        [],
        [],
    )
    (venue,) = full.venues
    assert (venue.name, venue.connections, venue.waiting, venue.refused) == ("fake", [], [], {})
    assert venue.windows == [WindowStatus("connection attempts", 0, 5)]


async def test_a_connection_as_it_comes_up(autojump_clock: trio.testing.MockClock) -> None:
    stage = Stage()
    board = hang(stage)
    stage.join("/a,b")
    (link,) = board.full().venues[0].connections
    assert (link.number, link.state, link.url) == (1, "connecting", "ws://fake/")
    assert (link.age_seconds, link.last_message_seconds) == (None, None)
    assert (link.streams, link.live, link.messages) == (2, 0, 0)
    connect(stage)
    await trio.sleep(3)
    full = board.full()
    (link,) = full.venues[0].connections
    assert (link.state, link.streams, link.live, link.messages) == ("open", 2, 2, 1)
    assert link.age_seconds == pytest.approx(3)
    assert link.last_message_seconds == pytest.approx(3)
    assert full.uptime_seconds == pytest.approx(3)
    assert full.venues[0].windows == [WindowStatus("connection attempts", 1, 5)]
    assert full.totals == board.status() == Status(1, 2, 1, 2, stage.hub.messages, 0, 0, None)


async def test_requests_fill_the_windows_of_their_connection() -> None:
    stage = Stage()
    board = hang(stage)
    stage.join("/a,b")
    connect(stage)
    (link,) = board.full().venues[0].connections
    assert link.windows == [WindowStatus("frames per connection", 1, 4)]


async def test_work_that_waits() -> None:
    stage = Stage()
    board = hang(stage)
    stage.join("/a")
    stage.engine.dispatch(stage.hub, UpstreamClosed(1, 1006, "no route", "network"))
    (venue,) = board.full().venues
    (link,) = venue.connections
    assert (link.number, link.state, link.failures) == (None, "waiting", 1)
    assert link.last_error == "no route"
    (waiting,) = venue.waiting
    assert waiting.why == "no route"
    assert waiting.seconds is not None
    assert 0 < waiting.seconds < 5


async def test_rates_are_measured(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    stage = Stage()
    board = hang(stage)
    stage.join("/a,b")
    connect(stage)
    nursery.start_soon(board.watch)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(30):
        stage.carry(f"a {number}")
        await trio.sleep(0.1)
    (venue,) = board.full().venues
    assert venue.messages_per_s == pytest.approx(10)
    assert venue.connections[0].messages_per_s == pytest.approx(10)


async def test_gaps_are_remembered_the_newest_first(autojump_clock: trio.testing.MockClock) -> None:
    board = hang(Stage())
    for number in range(30):
        payload = record.gap(["a"], f"reason {number}", WALL_NS - SECOND, None)
        board.noted(Note(Kind.GAP, 1, ("a",), payload))
    board.noted(Note(Kind.OPENED, 1, (), record.opened()))
    board.noted(Note(Kind.GAP, 1, ("a", "b"), record.gap(["a", "b"], "newest", WALL_NS, 7)))
    gaps = board.full().gaps
    assert len(gaps) == 20
    assert (gaps[0].why, gaps[0].streams, gaps[0].missed) == ("newest", ("a", "b"), 7)
    assert (gaps[1].why, gaps[1].missed) == ("reason 29", None)
    assert gaps[1].until_ns - gaps[1].since_ns == SECOND


async def test_somebody_is_told_of_a_gap_with_all_that_is_known(
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: list[GapStatus] = []
    board = hang(Stage(), on_gap=told.append)
    fields = record.gap(["a"], "why", 5, 6, last=1, first=8, until_ns=7)
    board.noted(Note(Kind.GAP, 1, ("a",), fields))
    assert told == [GapStatus(5, 7, ("a",), 6, "why", 1, 8)]


async def test_clients_and_their_lag(autojump_clock: trio.testing.MockClock) -> None:
    stage = Stage()
    board = hang(stage)
    slow = FakeClient(is_slow=True)
    stage.join("/a,b")
    stage.join("/a", slow)
    connect(stage)
    before = slow.pending_bytes
    stage.carry("a 1")
    await trio.sleep(2)
    assert board.full().clients == [
        ClientStatus(1, "/a,b", 2, 0, 0, 0, 0),
        ClientStatus(2, "/a", 1, 0, before + len(b"??a 1"), 2.0, 0),
    ]


async def test_what_clients_were_spared() -> None:
    stage = Stage(replaced="a")
    board = hang(stage)
    stage.join("/a", FakeClient(is_slow=True), conflates=True)
    connect(stage)
    stage.carry("a 1")
    stage.carry("a 2", "a 33")
    (client,) = board.full().clients
    assert (client.lag_bytes, client.conflated) == (len(b"??a 1" + b"??a 33"), 1)
    (venue,) = board.full().venues
    assert venue.conflated == 1


async def test_a_client_that_waits_for_an_answer() -> None:
    stage = Stage()
    board = hang(stage)
    stage.join("/a")
    (client,) = board.full().clients
    assert (client.streams, client.requests) == (0, 1)


async def test_where_it_is_recorded(tmp_path: Path) -> None:
    with Writer.create(tmp_path, venues=["fake"], wall_ns=WALL_NS, mono_ns=0) as writer:
        tape = Tape(writer, Recording())
        tape.lost = 5
        board = hang(Stage(), tape)
        recording = board.full().recording
        assert recording is not None
        assert (recording.path, recording.lost) == (str(tmp_path), 5)
        assert recording.disk_bytes == board.status().bytes_on_disk == writer.bytes_written
