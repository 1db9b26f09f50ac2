"""The timeline keeps the time, at any pace, and goes where it is told to go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.app.replay_support import (
    BOOK,
    A,
    book_of,
    four_messages,
    join,
    replay_of,
    say,
    use_fake_venue,
)
from tests.app.support import FakeClient, make_recording
from tests.hub.fake_venue import SECOND
from tests.hub.playbook import WALL_NS
from wsproxy.app import player as module
from wsproxy.app.engine import Port
from wsproxy.app.replaying import Replay
from wsproxy.model import Kind
from wsproxy.recording import events as record


@pytest.fixture(autouse=True)
def fake_venue(monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_venue(monkeypatch)


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return four_messages(tmp_path / "four")


def since(began: float, client: FakeClient) -> list[float]:
    return [at - began for at in client.times]


async def test_the_time_goes_on_between_messages(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay = replay_of(four, speed=2.0)
    player = replay.player
    assert player.time_ns() == WALL_NS
    seen: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        for order in (player.pause, player.resume, player.pause):
            await trio.sleep(0.4)
            seen.append((player.time_ns() - WALL_NS) / SECOND)
            order()
        player.seek(WALL_NS + 2 * SECOND)
        await trio.testing.wait_all_tasks_blocked()
        seen.append((player.time_ns() - WALL_NS) / SECOND)
        player.resume()
    assert seen == pytest.approx([0.8, 0.8, 1.6, 2.0], abs=1e-6)


@pytest.mark.parametrize("speed", [0.5, 1.0, 4.0])
async def test_messages_come_when_they_came(
    four: Path, speed: float, autojump_clock: trio.testing.MockClock
) -> None:
    replay, one, two = replay_of(four, speed=speed), FakeClient(), FakeClient()
    join(replay, "/a,b", one)
    join(replay, "/b", two)
    began = trio.current_time()
    await replay.play()
    assert replay.player.messages == 4
    assert one.texts == ["a 0", "b 1", "a 2", "a 3"]
    assert since(began, one) == pytest.approx([after / speed for after in (0, 0.5, 1, 2)])
    assert two.texts == ["b 1"]


async def test_after_an_hour_nothing_has_drifted(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    times = [at * 3600 / 499 for at in range(500)]
    path = make_recording(tmp_path / "hour", *((at, "a 1", A) for at in times))
    replay, client = replay_of(path, speed=3.0), FakeClient()
    join(replay, "/a", client)
    began = trio.current_time()
    await replay.play()
    late = [after - at / 3 for after, at in zip(since(began, client), times, strict=True)]
    assert min(late) > -1e-6, "never early"
    assert max(late) < 1e-3


async def test_as_fast_as_possible_takes_no_time_and_one_write(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(four, speed=None), FakeClient()
    join(replay, "/a", client)
    began = trio.current_time()
    await replay.play()
    assert client.texts == ["a 0", "a 2", "a 3"]
    assert client.times == [began]


async def test_a_part_of_the_recording(four: Path, autojump_clock: trio.testing.MockClock) -> None:
    replay = replay_of(four, start=WALL_NS + SECOND // 2, end=WALL_NS + 2 * SECOND)
    client = FakeClient()
    join(replay, "/a,b", client)
    began = trio.current_time()
    await replay.play()
    assert client.texts == ["b 1", "a 2"]
    assert since(began, client) == pytest.approx([0, 0.5])


async def test_silences_are_shortened(four: Path, autojump_clock: trio.testing.MockClock) -> None:
    replay, client = replay_of(four, max_idle_ns=SECOND // 4), FakeClient()
    join(replay, "/a,b", client)
    began = trio.current_time()
    await replay.play()
    assert since(began, client) == pytest.approx([0, 0.25, 0.5, 0.75])


async def test_several_recordings_play_on_one_clock(
    four: Path, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    other = make_recording(tmp_path / "other", (0.75, "c 0", ("c",)), (3, "c 1", ("c",)))
    replay, client = replay_of(four, other), FakeClient()
    join(replay, "/a,c", client)
    began = trio.current_time()
    await replay.play()
    assert client.texts == ["a 0", "c 0", "a 2", "a 3", "c 1"]
    assert since(began, client) == pytest.approx([0, 0.75, 1, 2, 3])


async def test_long_runs_are_written_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RUN_BYTES", 6)
    path = make_recording(tmp_path / "run", *((0, f"a {index}", A) for index in range(5)))
    replay, client = replay_of(path, speed=None), FakeClient()
    join(replay, "/a", client)
    await replay.play()
    assert client.texts == [f"a {index}" for index in range(5)]
    assert len(client.times) == 3


# --- orders ------------------------------------------------------------------------------------


async def play_with(replay: Replay, orders: list[tuple[float, Callable[[], object]]]) -> float:
    """Play, and give each order so many seconds after the beginning; how long it took."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(replay.play)
        for at, order in orders:
            await trio.sleep_until(began + at)
            order()
            await trio.testing.wait_all_tasks_blocked()
    return trio.current_time() - began


async def test_it_stands_still_and_goes_on(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(four), FakeClient()
    join(replay, "/a,b", client)
    began = trio.current_time()
    player = replay.player
    await play_with(replay, [(0.7, player.pause), (10.7, player.resume)])
    assert since(began, client) == pytest.approx([0, 0.5, 11, 12])


async def test_it_goes_step_by_step(four: Path, autojump_clock: trio.testing.MockClock) -> None:
    replay, client = replay_of(four), FakeClient()
    join(replay, "/a,b", client)
    began = trio.current_time()
    player = replay.player
    steps = [(10.0, player.step), (20.0, player.step), (30.0, player.resume)]
    await play_with(replay, [(0.1, player.pause), *steps])
    assert client.texts == ["a 0", "b 1", "a 2", "a 3"]
    assert since(began, client) == pytest.approx([0, 10, 20, 31])


async def test_the_pace_changes(four: Path, autojump_clock: trio.testing.MockClock) -> None:
    replay, client = replay_of(four), FakeClient()
    join(replay, "/a", client)
    began = trio.current_time()
    await play_with(replay, [(0.5, lambda: replay.player.set_speed(0.1))])
    assert since(began, client) == pytest.approx([0, 5.5, 15.5])


async def test_a_seek_tells_the_book_anew(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(book_of(tmp_path / "book", 100)), FakeClient()
    port = join(replay, "/book", client)
    player = replay.player
    orders = [(2.5, lambda: player.seek(WALL_NS + 98 * SECOND)), (3.0, player.pause)]
    back = [(4.0, lambda: player.seek(WALL_NS + SECOND)), (5.0, player.step), (6.0, player.step)]
    end = [(7.0, lambda: player.seek(player.programme.last)), (8.0, player.resume)]
    await play_with(replay, [*orders, *back, *end])
    far = ",".join(map(str, range(98)))
    assert client.texts == [
        *("book 0", "book 1", "book 2"),
        *(f"snapshot {far}", "book 98"),
        *("snapshot 0", "book 1", "book 2"),
        *(f"snapshot {far},98", "book 99"),
    ]
    assert port.close is None


async def test_behind_a_seek_a_late_joiner_is_told_the_book_of_then(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, late = replay_of(book_of(tmp_path / "book", 100)), FakeClient()
    player = replay.player

    def join_late() -> None:
        say(replay, join(replay, "/", late), "+book")

    orders = [(0.5, lambda: player.seek(WALL_NS + 2 * SECOND)), (1.0, join_late)]
    await play_with(replay, [*orders, (2.0, lambda: player.seek(WALL_NS + 99 * SECOND))])
    assert late.texts[:3] == ["snapshot 0,1,2", "ok +book: book", "book 3"]


async def test_a_seek_closes_whom_no_snapshot_makes_whole(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = make_recording(tmp_path / "both", (0, "a 0", A), (1, "book 1", BOOK), (9, "a 9", A))
    replay = replay_of(path)
    ports = [join(replay, where, FakeClient()) for where in ("/a", "/book", "/book,a", "/")]
    await play_with(replay, [(2.0, lambda: replay.player.seek(WALL_NS + 9 * SECOND))])
    closed = (1012, "the replay goes on elsewhere")
    assert [port.close for port in ports] == [closed, None, closed, None]


@pytest.mark.parametrize("time", [0, 1 << 62])
async def test_a_seek_stays_in_the_recording(
    four: Path, time: int, autojump_clock: trio.testing.MockClock
) -> None:
    player = replay_of(four).player
    assert player.seek(time) == (player.programme.first if time == 0 else player.programme.last)


async def test_at_the_end_somebody_who_stands_still_may_go_back(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(book_of(tmp_path / "book", 3)), FakeClient()
    join(replay, "/book", client)
    player = replay.player
    steps = [(0.5 + at, player.step) for at in range(3)]
    back = [(9.0, lambda: player.seek(WALL_NS + 2 * SECOND)), (9.5, player.resume)]
    await play_with(replay, [*steps, *back])
    assert client.texts == ["book 0", "book 1", "book 2", "snapshot 0,1", "book 2"]


# --- again -------------------------------------------------------------------------------------


async def test_it_plays_again_and_clients_stay_where_a_snapshot_mends_them(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = make_recording(tmp_path / "book", (0, "book =0", BOOK), (1, "book 1", BOOK))
    replay, client = replay_of(path, loops=3), FakeClient()
    join(replay, "/book", client)
    began = trio.current_time()
    await replay.play()
    assert client.texts == ["book =0", "book 1"] * 3
    assert since(began, client) == pytest.approx([0, 1, 1, 2, 2, 3])


async def test_it_waits_for_those_who_have_to_come_again(
    four: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, clients = replay_of(four, loops=2), [FakeClient(), FakeClient()]

    async def leave(port: Port) -> None:
        with port.scope:
            await trio.sleep_forever()
        assert port.close == (1012, "the replay begins again")
        replay.engine.leave(replay.engine.hubs["fake"], port)
        await trio.sleep(50)
        join(replay, "/a", clients[1])

    port = join(replay, "/a", clients[0])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave, port)
        await replay.play()
    assert [client.texts for client in clients] == [["a 0", "a 2", "a 3"]] * 2


async def test_for_ever_is_for_ever(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    replay, client = replay_of(book_of(tmp_path / "book", 2), loops=None), FakeClient()
    join(replay, "/book", client)
    with trio.move_on_after(100.5) as scope:
        await replay.play()
    assert scope.cancelled_caught
    assert client.texts.count("book 1") == 100


# --- as it was ---------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A connection that the venue closes, and one message behind that."""
    closed = record.closed(1001, "maintenance", "peer")
    return make_recording(
        tmp_path / "broken",
        *((0, "?", ("b",), Kind.ACKNOWLEDGED), (0, "a 0", A), (1, closed, (), Kind.CLOSED)),
        *((1, "?", A, Kind.GAP), (5, "a 5", A)),
    )


async def test_connections_end_as_they_ended(
    broken: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, clients = replay_of(broken, faithful=True), [FakeClient() for _ in range(3)]
    ports = [join(replay, path, one) for path, one in zip(("/a", "/b", "/"), clients, strict=True)]
    await replay.play()
    assert [port.close for port in ports] == [(1001, "maintenance")] * 2 + [None]
    assert clients[0].texts == ["a 0"]


async def test_connections_are_healed_otherwise(
    broken: Path, autojump_clock: trio.testing.MockClock
) -> None:
    replay, client = replay_of(broken), FakeClient()
    port = join(replay, "/a", client)
    await replay.play()
    assert port.close is None
    assert client.texts == ["a 0", "a 5"]
