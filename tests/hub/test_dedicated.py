"""Who gets a connection of its own, what it begins with, and what becomes of what it had."""

from __future__ import annotations

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play
from wsproxy.hub import events as e
from wsproxy.hub.hub import Hub
from wsproxy.hub.limits import Budget, Urgency
from wsproxy.model import BINARY, TEXT
from wsproxy.venues.profile import Rate


def dedicate(play: Play, event: e.Event) -> tuple[e.Dedicate, list[str]]:
    """The one Dedicate that an event leads to, and the other commands."""
    commands = play.hub.handle(event, play.now)
    (found,) = [command for command in commands if isinstance(command, e.Dedicate)]
    return found, play.told(command for command in commands if command is not found)


def say(client: int, text: str, opcode: int = TEXT) -> e.ClientSaid:
    return e.ClientSaid(client, text.encode(), opcode)


def served(path: str = "/a,b") -> Play:
    """A client 1 that has the streams of its address."""
    play = Play()
    play.drive(play.join(1, path))
    return play


def test_an_address_is_reason_enough() -> None:
    play = Play()
    session = play.venue.session("/$key", "")
    command, rest = dedicate(play, e.ClientJoined(1, session))
    assert (command.client, command.connection, command.endpoint) == (1, 1, "/$key")
    assert (command.restoring, command.said) == ((), ())
    assert rest == []


def test_the_message_is_passed_on_as_it_came() -> None:
    play = Play()
    play.join(1)
    command, rest = dedicate(play, say(1, "$login", BINARY))
    assert (command.restoring, command.said) == ((), ((b"$login", BINARY),))
    assert (command.endpoint, command.host, rest) == ("/", None, [])


def test_a_command_does_not_show_its_secrets() -> None:
    play = Play()
    play.join(1)
    command, _ = dedicate(play, say(1, "$secret"))
    assert "secret" not in repr(command)


def test_the_streams_move_with_the_client() -> None:
    play = served()
    play.drive(play.say(1, "+c"))
    play.drive(play.say(1, "-b"))
    command, _ = dedicate(play, say(1, "$login"))
    # The address names a and b; c is missing there, and b is one too many.
    requests = [payload.decode().split(" ")[0] for payload in command.restoring]
    assert (command.endpoint, requests) == ("/a,b", ["+c", "-b"])
    numbers = {int(payload.partition(b"#")[2]) for payload in command.restoring}
    assert len(numbers) == 2
    assert min(numbers) > 2**52
    assert play.venue_says(1, "a 1", "c 1") == []  # it gets them over its own connection


def test_what_was_not_answered_is_asked_again_in_the_clients_words() -> None:
    play = served()
    play.say(1, "+d")
    play.say(1, "?")
    command, rest = dedicate(play, say(1, "$login"))
    assert command.restoring == ()
    assert [payload for payload, _ in command.said] == [b"+d", b"?", b"$login"]
    assert not [line for line in rest if line.startswith("c1<")]


def test_an_address_that_was_not_answered_is_the_venues_business() -> None:
    play = Play()
    play.join(1, "/a")
    command, _ = dedicate(play, say(1, "$login"))
    assert (command.endpoint, command.restoring) == ("/a", ())


def test_nobody_else_loses_a_stream() -> None:
    play = served()
    play.drive(play.join(2, "/a"))
    dedicate(play, say(1, "$login"))
    assert play.wait(20) == ["1> -b #2"]
    assert play.venue_says(1, "a 1") == ["c2< a 1"]


def test_gaps_of_the_shared_service_do_not_concern_it() -> None:
    play = served("/a")
    dedicate(play, say(1, "$login"))
    assert not [line for line in play.closed(1) if line.startswith("kick")]


def test_one_that_lags_is_closed() -> None:
    play = Play()
    play.join(1)
    dedicate(play, say(1, "$login"))
    assert play.do(e.ClientLagged(1, 5_000, 2 * SECOND)) == ["kick c1 1008"]


# --- limits -------------------------------------------------------------------------------------


def test_it_counts_in_the_cap_until_the_client_has_left() -> None:
    budget = Budget(2, 1)
    play = Play(budget=budget)
    for client in (1, 2, 3):
        play.join(client)
    dedicate(play, say(1, "$1"))
    dedicate(play, say(2, "$2"))
    assert budget.used == 2
    (refusal,) = play.say(3, "$3")
    assert refusal == (
        "c3< no $3: this needs an upstream connection of its own, and "
        "all 2 (--max-connections) are taken"
    )
    assert play.do(e.ClientLagged(1, 5_000, 2 * SECOND)) == ["kick c1 1008"]
    assert budget.used == 2  # its connection is still being closed
    play.leave(1)
    assert budget.used == 1
    dedicate(play, say(3, "$3"))
    play.leave(2)
    play.leave(3)
    assert budget.used == 0


def test_a_refused_client_stays_in_the_shared_service() -> None:
    play = Play(cap=1)
    play.drive(play.join(1, "/a"))
    assert play.say(1, "$login")[0].startswith("c1< no $login: ")
    assert play.venue_says(1, "a 1") == ["c1< a 1"]


def test_a_refusal_waits_for_its_turn() -> None:
    play = Play(cap=1)
    play.drive(play.join(1, "/a"))
    asked = play.say(1, "+b")
    assert play.say(1, "$login") == []
    told = play.drive(asked)
    assert [line.split(":")[0] for line in told] == ["c1< ok +b", "c1< no $login"]


@pytest.mark.parametrize("connects", [1, 2])
def test_it_waits_for_the_venues_window_of_attempts(connects: int) -> None:
    play = Play(FakeVenue(connects=Rate(connects, 10 * SECOND)), cap=9)
    for client in range(3):
        play.join(client)
    times = [dedicate(play, say(client, "$"))[0].at_ns for client in range(3)]
    assert times == [(number // connects) * 11 * SECOND for number in range(3)]


def test_its_frames_count_with_those_of_the_pool() -> None:
    play = Play(FakeVenue(requests_per_ip=Rate(1, SECOND)), cap=2)
    play.drive(play.join(1, "/a"))
    play.join(2)
    command, _ = dedicate(play, say(2, "$login"))
    assert command.limiter is not None
    assert command.limiter.ready_at(play.mono_ns, Urgency.ANSWER) > play.mono_ns


def test_another_host_has_limits_of_its_own() -> None:
    hosts = (("/api", "wss://api.fake"), ("/other", "wss://other"))
    play = Play(FakeVenue(private_hosts=hosts))
    command, _ = dedicate(play, e.ClientJoined(1, play.venue.session("/api$", "")))
    assert (command.host, command.limiter) == ("wss://api.fake", None)


# --- where there are none -----------------------------------------------------------------------


def test_a_replay_has_none() -> None:
    play = Play()
    play.hub = Hub(play.venue)
    play.hub.play(frozenset({"a"}))
    play.join(1, "/a")
    assert play.say(1, "$login") == ["c1< no $login: a recording holds nothing private"]
    assert play.fetch() == []
    play.leave(1)


def test_a_proxy_can_be_told_to_refuse() -> None:
    play = Play()
    play.hub = Hub(play.venue)
    play.hub.go_live(
        Budget(2, 1), linger_ns=0, numbers=iter([1]), jitter=lambda: 0.5, private=False
    )
    assert play.join(1, "/$key") == [
        "c1< no None: the proxy passes on nothing private (--private refuse)"
    ]
    assert play.say(1, "$login")[0].startswith("c1< no $login: ")
