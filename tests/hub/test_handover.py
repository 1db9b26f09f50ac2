"""Make before break, as clients and the venue see it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play, live


def rotating(path: str = "/a", **options: Any) -> Play:
    """Connection 2 has been granted what connection 1 still delivers to client 1."""
    play = live(path, **options)
    assert play.rotate() == ["open 2 /"]
    assert play.drive(play.opened(2)) == []  # clients are told nothing
    return play


def test_a_connection_is_replaced_without_a_hole_or_a_copy() -> None:
    play = live("/a,seq,book")
    assert len(play.venue_says(1, "a 1", "seq 1", "book =1")) == 3
    assert play.rotate() == ["open 2 /"]
    assert play.opened(2) == ["2> +a,seq,book #1"]
    play.sent(2)
    assert play.venue_says(2, "!ok 1") == []
    assert play.venue_says(1, "a 2", "seq 2") == ["c1< a 2", "c1< seq 2"]
    assert play.venue_says(2, "a 2", "book =1", "book 2") == []
    assert play.venue_says(1, "book 2") == ["c1< book 2"]
    assert play.venue_says(2, "a 3", "seq 3") == ["c1< a 3", "c1< seq 3", "close 1"]
    assert play.batch.streams == [("a",), ("seq",)]
    assert play.venue_says(1, "a 3", "seq 3") == []
    assert play.batch.streams == [(), ()]
    assert play.closed(1, 1000) == []
    assert play.venue_says(2, "a 4", "seq 4", "book 3") == ["c1< a 4", "c1< seq 4", "c1< book 3"]
    assert len(play.pool.links) == 1
    assert play.warnings == play.released == []
    assert play.hub.gaps == 0
    assert not [note for note in play.notes if "GAP" in note]


@pytest.mark.parametrize("stream", ["a", "rise", "seq"])
def test_the_new_connection_is_ahead(stream: str) -> None:
    play = rotating(f"/{stream}")
    assert play.venue_says(2, *(f"{stream} {n}" for n in (1, 2, 3))) == []
    told: list[str] = []
    for number in (1, 2, 3):
        told += play.venue_says(1, f"{stream} {number}")
    assert told[:3] == [f"c1< {stream} {n}" for n in (1, 2, 3)]
    assert told[3:] == ["close 1"]
    assert play.venue_says(2, f"{stream} 4") == [f"c1< {stream} 4"]


def test_what_was_held_and_follows_is_released_and_noted() -> None:
    play = rotating("/seq")
    play.venue_says(1, "seq 1")
    assert play.venue_says(2, "seq 3", "seq 4") == []
    assert play.venue_says(1, "seq 2", "seq 3") == [
        "c1< seq 2",
        "c1< seq 3",
        "c1< seq 4",
        "close 1",
    ]
    assert play.released == ["2: seq 3", "2: seq 4"]
    assert play.batch.streams == [("seq",), ()]


def test_what_follows_a_release_in_the_same_batch_is_noted_behind_it() -> None:
    """The recording has the notes behind the batch: else it would have another order."""
    play = rotating("/seq")
    play.venue_says(1, "seq 1")
    play.venue_says(2, "seq 4")
    assert play.venue_says(1, "seq 2", "seq 3", "seq 4", "seq 5")[:4] == [
        "c1< seq 2",
        "c1< seq 3",
        "c1< seq 4",
        "c1< seq 5",
    ]
    assert play.batch.streams == [("seq",), ("seq",), (), ()]
    assert play.released == ["2: seq 4", "1: seq 5"]


def test_a_quiet_stream_is_handed_over_after_a_while() -> None:
    play = rotating("/a,b")
    for second in range(20):
        play.venue_says(1, f"a {second}")
        lines = play.venue_says(2, f"a {second}") + play.wait(1)
        if "close 1" in lines:
            break
    assert 3 <= play.mono_ns / SECOND < 15
    assert play.venue_says(2, "b 1") == ["c1< b 1"]


def test_a_snapshot_that_differs_is_delivered() -> None:
    play = rotating("/book")
    play.venue_says(1, "book =1,2")
    assert play.venue_says(2, "book =1,2,3") == []  # 3 was lost on connection 1
    assert play.venue_says(1, "book 4") == ["c1< book 4"]
    told = play.venue_says(2, "book 4")
    assert told[-1] == "close 1"
    assert told[-2].endswith("1,2,3,4")
    assert play.notes[-1] == "GAP 2 book"
    assert play.kicks == []  # the snapshot mends it
    assert [line.rpartition(" ")[2] for line in play.join(2, "/book")] == ["1,2,3,4"]


def test_lines_without_anything_in_common_are_a_gap() -> None:
    play = rotating("/a")
    play.venue_says(1, "a 1")
    play.venue_says(2, "a 3")
    assert play.wait(4) == ["kick c1 1012", "close 1"]  # and not a 3, as if nothing were missing
    assert play.notes[-1] == "GAP 2 a"
    assert play.released == ["2: a 3"]
    assert play.hub.gaps == 1


# --- when --------------------------------------------------------------------------------------


def test_at_the_cap_the_replacement_waits_and_says_so() -> None:
    play = live("/a", "/b@x")
    assert play.rotate() == []
    assert [(w.what, w.why) for w in play.pool.waiting(play.now)] == [
        (f"a successor of connection {n}", "all 2 (--max-connections) are taken") for n in (1, 2)
    ]
    play.leave(2)
    assert play.wait(10) == ["close 2"]
    assert play.closed(2, 1000) == ["open 3 /"]


def test_one_connection_at_a_time() -> None:
    play = live("/a", "/b@x", cap=4)
    assert play.rotate() == ["open 3 /"]
    (waits,) = play.pool.waiting(play.now)
    assert (waits.what, waits.why) == (
        "a successor of connection 2",
        "connections are replaced one at a time",
    )
    play.drive(play.opened(3))
    play.venue_says(1, "a 1")
    assert play.venue_says(3, "a 1") == ["close 1"]
    assert play.closed(1, 1000) == ["open 4 /x"]
    play.drive(play.opened(4))
    play.venue_says(2, "b@x 1")
    assert play.venue_says(4, "b@x 1") == ["close 2"]


def test_every_connection_is_replaced_in_its_turn() -> None:
    play = live("/a,b,c,d", "/e,f", cap=3)
    closed: list[str] = []
    lines = play.rotate()
    numbers = itertools.count(1)
    for _ in range(40):
        closed += [line for line in lines if line.startswith("close")]
        play.drive(lines)
        number = next(numbers)
        lines = [
            line
            for link in list(play.pool.links)
            if link.number is not None and link.is_open
            for line in play.venue_says(
                link.number, *(f"{stream} {number}" for stream in link.streams)
            )
            if not line.startswith("c1<") and not line.startswith("c2<")
        ] + play.wait(0.5)
    assert sorted(closed) == ["close 1", "close 2"]
    assert len(play.pool.links) == 2
    assert not play.pool.waiting(play.now)


def test_a_connection_is_replaced_before_the_venue_closes_it() -> None:
    play = live("/a", venue=FakeVenue(rotate_ns=100 * SECOND))
    assert play.wait(99) == []
    assert play.wait(11) == ["open 2 /"]
    play.drive(play.opened(2))
    play.venue_says(1, "a 1")
    assert play.venue_says(2, "a 1") == ["close 1"]
    play.closed(1, 1000)
    assert play.wait(80) == []
    assert play.wait(30) == ["open 3 /"]


def test_a_shutdown_notice_is_no_clients_business() -> None:
    play = live("/a")
    assert play.venue_says(1, "!bye 10 minutes") == ["open 2 /"]
    assert play.warnings == ["fake says on connection 1: 10 minutes"]
    assert play.venue_says(1, "!bye 9 minutes") == []
    assert not [w for w in play.pool.waiting(play.now) if "successor" in w.what]


def test_a_connection_that_ends_before_its_turn_is_not_replaced_again() -> None:
    play = live("/a", "/b@x", close_on_gap=False)
    play.rotate()
    play.closed(1)
    lines = play.wait(1)
    assert lines == ["open 3 /"]
    assert play.drive(play.opened(3)) == []
    assert [w.what for w in play.pool.waiting(play.now)] == ["a successor of connection 2"]


# --- what may happen meanwhile -----------------------------------------------------------------


def test_the_old_connection_ends_after_the_new_one_has_joined() -> None:
    play = rotating("/a,b")
    play.venue_says(1, "a 1", "b 1")
    play.venue_says(2, "a 1", "b 1", "b 2")
    assert play.closed(1) == []
    assert play.venue_says(2, "a 2", "b 3") == ["c1< a 2", "c1< b 3"]
    assert play.hub.gaps == 0
    assert len(play.pool.links) == 1


def test_the_old_connection_ends_before_the_new_one_has_joined() -> None:
    play = rotating("/seq,a")
    play.venue_says(1, "seq 1", "a 1")
    assert play.venue_says(2, "seq 3", "a 3") == []
    assert play.closed(1) == ["kick c1 1012"]
    assert play.notes[-2:] == ["GAP 1 a", "GAP 1 seq"]
    assert play.released == ["2: seq 3", "2: a 3"]
    assert len(play.pool.links) == 1


def test_the_new_connection_ends_and_comes_back() -> None:
    play = rotating("/a")
    play.venue_says(1, "a 1")
    play.venue_says(2, "a 2")
    assert play.closed(2) == []
    assert play.venue_says(1, "a 2") == ["c1< a 2"]
    assert play.wait(4) == ["open 3 /"]
    assert play.drive(play.opened(3)) == []
    assert play.venue_says(1, "a 3") == ["c1< a 3"]
    assert play.venue_says(3, "a 3") == ["close 1"]
    assert play.hub.gaps == 0


def test_both_connections_end() -> None:
    play = rotating("/a", close_on_gap=False)
    play.closed(1)
    play.closed(2)
    assert play.drive(play.wait(2)) == []
    assert [link.number for link in play.pool.links] == [3]
    assert play.venue_says(3, "a 5") == ["c1< a 5"]
    assert play.hub.gaps == 2
    assert play.notes[-2:] == ["GAP 2 a", "ACKNOWLEDGED 3 a"]


def test_what_the_new_connection_is_refused_stays_where_it_is() -> None:
    play = live("/a,b")
    play.rotate()
    play.opened(2)
    play.sent(2)
    assert play.venue_says(2, "!no 1 no") == ["2> +a #2"]
    assert play.sent(2) == ["2> +b #3"]
    play.sent(2)
    assert play.venue_says(2, "!ok 2", "!no 3 no") == []
    play.venue_says(1, "a 1")
    assert play.venue_says(2, "a 1") == ["1> -a #2"]  # it stays, so it is asked for less
    assert play.drive(["1> -a #2"]) == []
    assert play.venue_says(1, "a 2", "b 2") == ["c1< b 2"]
    assert play.venue_says(2, "a 2") == ["c1< a 2"]
    (waits,) = play.pool.waiting(play.now)
    assert waits == (
        "a successor of connection 1",
        "the one before could not take over everything",
        60 * SECOND,
    )
    play.leave(1)  # so that connection 2 makes room
    assert play.join(2, "/b") == []
    assert play.venue_says(1, "b 3") == ["c2< b 3"]
    lines = play.drive(play.wait(70))
    assert lines == []
    assert sorted(link.number or 0 for link in play.pool.links) == [1, 3]  # it is tried again


def test_streams_come_and_go_meanwhile() -> None:
    play = live("/a,b", linger_ns=0)
    play.rotate()
    assert play.opened(2) == ["2> +a,b #1"]
    assert play.say(1, "+c") == []  # on the new connection, with the next request
    assert play.say(1, "-a") == []  # in its turn
    assert play.sent(2) == ["2> +c #2"]
    play.sent(2)
    assert play.venue_says(2, "!ok 1", "!ok 2") == [
        "c1< ok +c: a,b,c",
        "c1< ok -a: b,c",
        "2> -a #3",
    ]
    assert play.venue_says(1, "a 1", "b 1") == ["c1< b 1"]
    assert play.venue_says(2, "a 1", "c 1", "b 1") == ["c1< c 1", "close 1"]
    play.closed(1)
    assert play.venue_says(2, "b 2", "c 2") == ["c1< b 2", "c1< c 2"]


def test_the_keepalive_is_delivered_all_the_time() -> None:
    play = live("/a,beat", venue=FakeVenue(keepalive="beat"))
    assert play.venue_says(1, "beat 1") == ["c1< beat 1"]
    play.rotate()
    play.drive(play.opened(2))
    assert play.venue_says(1, "a 1", "beat 2") == ["c1< a 1", "c1< beat 2"]
    assert play.venue_says(2, "beat 2", "a 1") == ["close 1"]
    assert play.venue_says(1, "beat 3") == []  # it has an heir
    assert play.venue_says(2, "beat 3") == ["c1< beat 3"]
    assert play.closed(1, 1000) == []
    assert play.venue_says(2, "beat 4") == ["c1< beat 4"]
    assert play.hub.gaps == 0


def test_one_of_several_streams_in_a_message_is_handed_over() -> None:
    play = rotating("/a,b")
    play.venue_says(1, "a+b 1")
    assert play.venue_says(2, "a 2", "a+b 3") == []
    assert play.venue_says(1, "a 2") == ["c1< a 2", "c1< a 3"]
    assert play.released == ["2: a+b 3"]
    assert play.venue_says(1, "a+b 3") == ["c1< b 3", "close 1"]
    assert play.venue_says(2, "a+b 4") == ["c1< a+b 4"]
