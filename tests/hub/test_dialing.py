from __future__ import annotations

import pytest

from tests.hub.fake_venue import PROFILE, SECOND, FakeVenue
from tests.hub.playbook import Play, live
from wsproxy.hub import events as e
from wsproxy.hub.dialing import Dialing
from wsproxy.hub.link import Link
from wsproxy.model import Instant
from wsproxy.venues.profile import Rate

NOW = Instant(0, 1000 * SECOND)


def dialing(mirrors: int = 1) -> tuple[Dialing, Link]:
    return Dialing(PROFILE, mirrors, lambda: 0.0), Link(FakeVenue(), "/")


@pytest.mark.parametrize(
    ("code", "status", "retry_after", "link_waits", "all_wait"),
    [
        (1006, 0, None, 0.5, 0),
        (1006, 503, None, 0.5, 0),
        (1006, 503, 7, 7, 7),
        (1006, 429, None, 60, 60),
        (1006, 429, 5, 5, 5),
        (1006, 418, None, 60, 60),
        (1008, 0, None, 60, 0),
        (1000, 0, None, 0.5, 0),
    ],
)
def test_when_to_try_again(
    code: int, status: int, retry_after: int | None, link_waits: float, all_wait: float
) -> None:
    dial, link = dialing()
    retry_after_ns = None if retry_after is None else retry_after * SECOND
    dial.ended(link, e.UpstreamClosed(1, code, "", "peer", status, retry_after_ns), NOW)
    assert (dial.due_ns(link, NOW.mono_ns) - NOW.mono_ns) / SECOND == link_waits
    other = Link(FakeVenue(), "/")
    assert (dial.due_ns(other, NOW.mono_ns) - NOW.mono_ns) / SECOND == all_wait


def test_an_address_that_cannot_be_reached_is_left_for_the_next() -> None:
    dial, link = dialing(mirrors=3)
    tried = []
    for _ in range(4):
        dial.ended(link, e.UpstreamClosed(1, 1006, "refused", "network"), NOW)
        tried.append(link.mirror)
    assert tried == [1, 2, 0, 1]
    assert link.last_error == "refused"
    link.opened(NOW.mono_ns)
    dial.ended(link, e.UpstreamClosed(1, 1006, "", "peer"), NOW)
    assert link.mirror == 1  # where a connection was to be had
    assert link.last_error == "closed with code 1006"


def test_a_refused_handshake_holds_back_every_connection_to_the_venue() -> None:
    play = live("/a", "/b@x", cap=3)
    play.join(3, "/c@y")
    play.closed(3, status=429, retry_after=10)
    assert play.closed(1) == ["kick c1 1012"]
    play.join(4, "/a")
    assert play.wait(9.9) == []
    assert play.wait(0.2) == ["open 4 /", "open 5 /y"]


def test_an_attempt_that_another_process_forbade() -> None:
    play = Play()
    assert play.join(1, "/a") == ["open 1 /"]
    assert play.do(e.UpstreamDeferred(1, 5 * SECOND, "another process")) == []
    (waits,) = play.pool.waiting(play.now)
    assert waits == ("a connection for 1 streams", "another process", 5 * SECOND)
    assert play.wait(4.9) == []
    assert play.wait(0.2) == ["open 2 /"]
    assert play.drive(play.opened(2)) == []
    assert play.venue_says(2, "a 1") == ["c1< a 1"]


def test_an_attempt_that_was_given_up_and_then_not_made() -> None:
    play = Play(linger_ns=0)
    play.join(1, "/a")
    assert play.leave(1) == ["close 1"]
    play.join(2, "/b")
    play.do(e.UpstreamDeferred(1, 5 * SECOND, "another process"))
    assert play.wait(5) == ["open 2 /"]
    assert play.opened(2) == ["2> +b #1"]


def lost(play: Play, connection: int, after: float, *said: str) -> float:
    """Let a connection open, say this, and be lost; returns the pause before the next attempt."""
    play.drive(play.opened(connection))
    play.venue_says(connection, *said)
    play.wait(after)
    play.closed(connection)
    before = play.mono_ns
    for lines in play.ticks(100):
        if f"open {connection + 1} /" in lines:
            break
    return (play.mono_ns - before) / SECOND


def test_a_connection_that_delivered_comes_back_at_once_however_often_it_is_lost() -> None:
    play = Play(FakeVenue(connects=Rate(300, 300 * SECOND)), close_on_gap=False)
    play.join(1, "/a")
    pauses = [lost(play, number, 2, "a 1") for number in range(1, 21)]
    assert set(pauses) == {0.05}  # jitter
    assert play.pool.links[0].failures == 0


def test_back_off_grows_while_connections_deliver_nothing() -> None:
    play = Play(FakeVenue(connects=Rate(300, 300 * SECOND)), close_on_gap=False)
    play.told(play.hub.pin("a", play.now))
    play.drive(play.opened(1))
    play.closed(1)
    play.wait(0.75)
    assert [lost(play, number, 2) for number in range(2, 6)] == [1.5, 3, 6, 12]
    assert [lost(play, number, 2, "a 1") for number in (6, 7)] == [0.05, 0.05]
    assert [lost(play, number, 2) for number in (8, 9)] == [0.75, 1.5]


def test_failed_attempts_are_forgotten_when_one_has_delivered() -> None:
    play = Play(FakeVenue(connects=Rate(300, 300 * SECOND)), close_on_gap=False)
    play.told(play.hub.pin("a", play.now))
    for number in range(1, 6):
        play.closed(number, status=503)
        assert play.pool.links[0].failures == number
        play.wait(30)
    assert lost(play, 6, 2, "a 1") == 0.05


def test_connections_that_die_as_soon_as_they_deliver_leave_room_for_others() -> None:
    rate, names = Rate(60, 60 * SECOND), ["a", "a@b", "a@c"]
    play = Play(FakeVenue(connects=rate), cap=4, close_on_gap=False)
    streams: dict[int, str] = {}
    attempts: list[int] = []

    def opens(lines: list[str]) -> None:
        for line in lines:
            _, number, endpoint = line.split()
            streams[int(number)] = next(n for n in names if play.venue.endpoint(n) == endpoint)
            attempts.append(play.mono_ns)

    for name in names:
        opens(play.told(play.hub.pin(name, play.now)))
    while play.mono_ns < 300 * SECOND:
        for number, stream in list(streams.items()):
            play.drive(play.opened(number))
            play.venue_says(number, f"{stream} 1")
            del streams[number]
            play.closed(number)
        for lines in play.ticks(0.1):
            opens(lines)
        used = sum(time > play.mono_ns - rate.period_ns for time in attempts)
        assert used < rate.most
    assert len(attempts) > 300 / 60 * rate.most // 2  # and yet they use it
    assert play.join(1, "/new@z")[0].startswith("open ")


def test_a_connection_that_always_loses_messages_is_not_replaced_without_end() -> None:
    play = live("/a", close_on_gap=False)
    opened: list[float] = []
    for connection in range(1, 6):
        assert play.venue_says(connection, "a 1 %1", "a 3 %3")[-1] == f"close {connection}"
        play.closed(connection, 1000)
        before = play.mono_ns
        lines = play.wait(30)
        assert lines[0] == f"open {connection + 1} /"
        opened.append(play.pool.links[0].retry_ns - before)
        play.drive(lines)
    assert opened == sorted(opened)
    assert opened[-1] > 5 * opened[0] > 0
