"""Who is served when not everybody can be."""

from __future__ import annotations

from tests.hub.fake_venue import FakeVenue
from tests.hub.playbook import Play, live

FULL = (
    "would need one more upstream connection, and all 1 (--max-connections) are taken, those for "
    "it with 4 streams each"
)
TAKEN = "its place was needed for a client of higher priority: all are taken"


def full(*clients: tuple[str, int]) -> Play:
    """One connection for four streams, and clients 1, 2, ... with paths and priorities."""
    play = Play(cap=1)
    for number, (path, priority) in enumerate(clients, 1):
        play.drive(play.join(number, path, priority=priority))
    return play


def test_among_equals_the_first_are_served() -> None:
    play = full(("/a,b", 0), ("/c,d", 0))
    play.join(3)
    assert play.say(3, "+e") == [f"c3< no +e: e {FULL}"]
    assert +play.hub.refused == {"no room": 1}
    assert play.venue_says(1, "a 1", "d 1") == ["c1< a 1", "c2< d 1"]


def test_a_higher_priority_takes_the_place_of_the_least_important_stream() -> None:
    play = full(("/a", 2), ("/b", 1), ("/c", 0), ("/d,a", 1))
    play.join(5, "/", priority=2)
    assert play.say(5, "+e") == ["kick c3 1013"]
    assert play.kicks == [TAKEN]
    assert play.wait(1.1) == ["1> -c #4"]
    assert play.drive(["1> -c #4"]) == ["c5< ok +e: e"]
    assert play.venue_says(1, "a 1", "b 1", "e 1") == ["c1< a 1", "c4< a 1", "c2< b 1", "c5< e 1"]
    assert not +play.hub.refused


def test_of_equals_the_last_that_was_asked_for_has_to_go() -> None:
    play = full(("/a", 0), ("/b", 0), ("/c,d", 0))
    play.join(4, "/", priority=1)
    assert play.say(4, "+e")[0] == "kick c3 1013"
    assert list(play.hub.clients) == [1, 2, 4]


def test_a_stream_counts_as_much_as_the_most_important_of_its_clients() -> None:
    play = full(("/a,b", 0), ("/c,d", 0), ("/a,b,c,d", 3))
    play.join(4, "/", priority=3)
    assert play.say(4, "+e") == [f"c4< no +e: e {FULL}"]
    assert len(play.hub.clients) == 4


def test_what_lingers_goes_before_anybody_is_closed() -> None:
    play = full(("/a,b", 0), ("/c,d", 0))
    play.say(2, "-d")
    play.join(3, "/", priority=1)
    assert play.say(3, "+e") == ["1> -d #3"]
    assert play.kicks == []


def test_what_is_recorded_is_not_given_up_for_anybody() -> None:
    play = Play(cap=1)
    for stream in "abcd":
        play.drive(play.told(play.hub.pin(stream, play.now)))
    play.drive(play.join(1, "/a"))
    play.join(2, "/", priority=9)
    assert play.say(2, "+e") == [f"c2< no +e: e {FULL}"]
    assert list(play.hub.clients) == [1, 2]


def test_streams_at_another_address_do_not_help() -> None:
    play = full(("/a@x", 0))
    play.join(2, "/", priority=9)
    assert play.say(2, "+a") == [
        "c2< no +a: a would need one more upstream connection, and all 1 (--max-connections) are "
        "taken"
    ]
    assert list(play.hub.clients) == [1, 2]


def test_nobody_makes_room_by_closing_itself() -> None:
    play = full(("/a,b", 5), ("/c", 9))
    assert play.say(1, "+d,e")[0] == f"c1< no +d,e: e {FULL}"
    assert list(play.hub.clients) == [1, 2]


def test_refusals_are_counted_by_reason() -> None:
    play = live("/a,b,c,d", cap=1)
    play.join(2)
    play.say(2, "+e")
    play.say(1, "-d")
    play.drive(play.say(2, "+f"))
    play.say(1, "-c")
    play.drive(play.wait(11))
    lines = play.say(2, "+x")
    play.sent(1)
    request = lines[0].rpartition("#")[2]
    assert play.venue_says(1, f"!no {request} bad") == ["c2< no +x: bad"]
    assert +play.hub.refused == {"no room": 1, "by the venue": 1}


def test_a_notice_is_rendered_for_each_client_that_has_to_do_with_the_connection() -> None:
    play = Play(venue=FakeVenue(), cap=3)
    play.drive(play.join(1, "/a", "round"))
    play.drive(play.join(2, "/a"))
    play.drive(play.join(3, "/b@x"))
    assert play.venue_says(1, "!notice soon") == ["c1< (!notice soon)", "c2< !notice soon"]
