from __future__ import annotations

import pytest

from tests.hub.fake_venue import PROFILE, SECOND, FakeVenue
from tests.hub.playbook import Play, live
from wsproxy.hub import events as e
from wsproxy.hub.dialing import Dialing
from wsproxy.hub.link import Link
from wsproxy.model import Instant

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
