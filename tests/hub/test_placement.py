"""Which connections there are and what they carry, as the commands of a hub show it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play, live
from wsproxy.model import Batch, Kind
from wsproxy.venues.profile import Rate


def carried(play: Play) -> list[list[str]]:
    return [sorted(link.streams) for link in play.pool.links]


def says(play: Play, connection: int, stream: str, count: int) -> None:
    """Many messages of a stream."""
    batch = Batch(Kind.MESSAGE, connection, *play.now, [f"{stream} 1".encode()] * count)
    play.hub.route(batch)
    play.fetch()


# --- redundancy --------------------------------------------------------------------------------


def redundant(path: str, **options: Any) -> Play:
    play = Play(redundancy=lambda stream: 2, mirrors=(1.0, 1.0), **options)
    assert play.drive(play.join(1, path)) == []
    return play


def test_copies_come_from_two_mirrors() -> None:
    play = Play(redundancy=lambda stream: 2, mirrors=(1.0, 1.0))
    assert play.join(1, "/a") == ["open 1 /", "open 2 / @1"]
    assert play.drive(play.opened(2)) == []
    assert play.venue_says(2, "a 1") == ["c1< a 1"]
    assert play.drive(play.opened(1)) == []
    assert play.venue_says(1, "a 1", "a 2") == ["c1< a 2"]


def test_whichever_is_first_delivers_and_is_recorded_by_name() -> None:
    play = redundant("/a")
    told = [
        play.venue_says(1, "a 1") + play.venue_says(2, "a 1"),
        play.venue_says(2, "a 2"),
        play.venue_says(1, "a 2", "a 3"),
    ]
    assert told == [["c1< a 1"], ["c1< a 2"], ["c1< a 3"]]
    assert play.batch.streams == [(), ("a",)]
    assert play.hub.messages == 3


@pytest.mark.parametrize("lost", [1, 2])
@pytest.mark.parametrize("stream", ["a", "seq", "rise"])
def test_either_may_end(stream: str, lost: int) -> None:
    play = redundant(f"/{stream}")
    for number in (1, 2):
        play.venue_says(number, f"{stream} 1")
    assert play.closed(lost) == []
    left = 3 - lost
    assert play.venue_says(left, f"{stream} 2") == [f"c1< {stream} 2"]
    assert play.drive(play.wait(4)) == []
    told = play.venue_says(3, f"{stream} 3")
    assert told == ([f"c1< {stream} 3"] if stream != "a" else [])  # numbers prove
    told += play.venue_says(left, f"{stream} 3")
    assert told == [f"c1< {stream} 3"]
    assert play.venue_says(3, f"{stream} 4") == [f"c1< {stream} 4"]
    assert play.hub.gaps == 0
    assert play.warnings == []


def test_what_one_lost_the_other_brings() -> None:
    play = redundant("/seq")
    for number in (1, 2):
        play.venue_says(number, "seq 1")
    assert play.venue_says(1, "seq 3") == []
    assert play.venue_says(2, "seq 2", "seq 3") == ["c1< seq 2", "c1< seq 3"]
    assert play.hub.gaps == 0


def test_copies_for_which_there_was_no_room_come_later() -> None:
    play = Play(redundancy=lambda stream: 2 if stream == "a" else 1, cap=2)
    play.drive(play.join(1, "/b@x,a"))
    assert carried(play) == [["b@x"], ["a"]]
    play.say(1, "-b@x")
    assert play.wait(10) == ["close 1"]
    assert play.closed(1, 1000) == []
    assert play.wait(10) == ["open 3 /"]
    assert carried(play) == [["a"], ["a"]]


def test_a_rotation_keeps_both_copies_going() -> None:
    play = redundant("/a", cap=3)
    play.venue_says(1, "a 1")
    play.venue_says(2, "a 1")
    assert play.rotate() == ["open 3 /"]
    assert play.drive(play.opened(3)) == []
    assert play.venue_says(1, "a 2") == ["c1< a 2"]
    assert play.venue_says(2, "a 2") == []  # connection 1 waits for its own successor
    assert play.venue_says(3, "a 2") == ["close 1"]
    assert play.closed(1, 1000) == ["open 4 / @1"]
    assert play.hub.gaps == 0


def test_the_keepalive_needs_no_copies() -> None:
    play = redundant("/a,beat", venue=FakeVenue(keepalive="beat"))
    assert carried(play) == [["a", "beat"], ["a", "beat"]]
    assert [link.characters for link in play.pool.links] == [5, 5]
    assert play.venue_says(1, "beat 1") + play.venue_says(2, "beat 1") == ["c1< beat 1"]


# --- filling -----------------------------------------------------------------------------------


def test_variants_that_messages_do_not_tell_apart_never_share_a_connection() -> None:
    play = Play(cap=2)
    assert play.join(1, "/a#1,a#2,b") == ["open 1 /", "open 2 /"]
    assert carried(play) == [["a#1", "b"], ["a#2"]]
    play.drive(["open 1 /", "open 2 /"])
    assert play.say(1, "+a#3")[0].endswith(
        "taken, those for it with a variant that the venue cannot tell apart from it"
    )


def test_a_variant_does_not_cost_others_their_place() -> None:
    """It could not be had for it."""
    play = live("/a#1,b", cap=1)
    play.join(2, "/", priority=9)
    (line,) = play.say(2, "+a#2")
    assert line.startswith("c2< no +a#2: a#2 would need one more")


def test_a_name_that_no_connection_can_hold_costs_nobody_anything() -> None:
    play = live("/a,b", cap=1, venue=FakeVenue(characters_per_connection=10))
    play.say(1, "-b")  # lingers
    play.join(2, "/", priority=9)
    assert play.say(2, "+abcdefghijk") == [
        "c2< no +abcdefghijk: abcdefghijk is longer than the 10 characters of a connection"
    ]
    assert carried(play) == [["a", "b"]]


def test_connections_are_filled_evenly_where_the_venue_wants_that() -> None:
    play = live("/a,b,c,d,e", cap=3, venue=FakeVenue(fill="spread"))
    assert sorted(map(len, carried(play))) == [1, 2, 2]


def test_a_keepalive_takes_room_on_every_connection() -> None:
    play = live("/a,b,c,d,e,f", venue=FakeVenue(keepalive="k"), redundancy=lambda stream: 1)
    assert carried(play) == [["a", "b", "c", "k"], ["d", "e", "f", "k"]]


# --- hot connections ---------------------------------------------------------------------------


def hot() -> Play:
    """a and b are heavy, c is not; all are on connection 1."""
    play = live("/a,b,c", venue=FakeVenue(hot_rate=100, requests=Rate(100, SECOND)))
    play.wait(10)
    for stream, count in (("a", 700), ("b", 500), ("c", 10)):
        says(play, 1, stream, count)
    return play


def test_a_heavy_stream_moves_off_a_hot_connection() -> None:
    play = hot()
    assert play.wait(10) == ["open 2 /"]
    assert play.drive(play.opened(2)) == []
    play.venue_says(1, "a 2")
    assert play.venue_says(2, "a 2") == ["1> -a #2"]
    assert play.venue_says(2, "a 3") == ["c1< a 3"]
    assert carried(play) == [["b", "c"], ["a"]]
    assert play.hub.gaps == 0


def test_one_stream_a_look() -> None:
    play = hot()
    play.drive(play.wait(10))
    for number in (2, 3):
        says(play, 1, "b", 900)
        says(play, 1, "c", 900)
        play.venue_says(1, f"a {number}")
        play.drive(play.venue_says(2, f"a {number}"))
        play.drive(play.wait(9.9))
        assert len(carried(play)[1]) == number - 1
    assert play.hub.gaps == 0


def test_nothing_moves_where_nothing_is_hot() -> None:
    play = live("/a,b", venue=FakeVenue(hot_rate=100))
    play.wait(10)
    says(play, 1, "a", 900)
    assert play.wait(30) == []
