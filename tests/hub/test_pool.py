from __future__ import annotations

import itertools
from typing import Any

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play
from wsproxy.hub import events as e
from wsproxy.hub.limits import Budget
from wsproxy.venues.profile import Rate

# --- placement ---------------------------------------------------------------------------------


def test_connections_are_filled_before_another_is_opened() -> None:
    play = Play()
    assert play.join(1, "/a,b,c,d") == ["open 1 /"]
    assert play.join(2, "/e") == ["open 2 /"]
    assert play.join(3, "/f") == []
    assert [len(link.streams) for link in play.pool.links] == [4, 2]


def test_endpoints_never_share_a_connection() -> None:
    play = Play()
    assert play.join(1, "/a,b@x,c,d@x") == ["open 1 /", "open 2 /x"]


def test_no_more_connections_than_the_cap() -> None:
    play = Play(cap=1)
    play.drive(play.join(1, "/a,b,c,d"))
    assert play.say(1, "+e") == [
        "c1< no +e: e would need one more upstream connection, and all 1 (--max-connections) are "
        "taken, those for it with 4 streams each"
    ]


def test_a_lingering_stream_gives_way_when_there_is_no_room() -> None:
    play = Play(cap=1)
    play.drive(play.join(1, "/a,b,c,d"))
    play.say(1, "-c")
    play.say(1, "-b")
    assert play.say(1, "+e") == ["1> -c #3"]
    play.sent(1)
    assert play.wait(2) == ["1> +e #4"]
    play.sent(1)
    assert play.venue_says(1, "!ok 3", "!ok 4", "e 1") == ["c1< ok +e: a,d,e", "c1< e 1"]
    assert play.say(1, "+b") == ["c1< ok +b: a,d,e,b"]


def test_a_stream_that_moved_is_not_delivered_twice() -> None:
    play = Play()
    play.drive(play.join(1, "/a,b,c,d"))
    play.drive(play.join(2, "/e"))
    assert play.venue_says(1, "a 0") == ["c1< a 0"]
    play.say(1, "-a")
    assert play.wait(10) == ["1> -a #3"]
    play.sent(1)
    play.drive(play.say(1, "+f"))  # takes its place
    assert play.say(1, "+a") == ["2> +a #2"]
    play.sent(2)
    assert play.venue_says(2, "!ok 2", "a 1") == ["c1< ok +a: b,c,d,f,a", "c1< a 1"]
    assert play.venue_says(1, "a 1", "b 1") == ["c1< b 1"]
    assert play.batch.streams == [(), ("b",)]
    assert play.venue_says(1, "a+b 2") == ["c1< b 2"]


def test_messages_of_a_stream_given_up_reach_its_clients_once_it_is_back() -> None:
    play = Play()
    play.drive(play.join(1, "/a,b"))
    play.say(1, "-a")
    play.drive(play.wait(10))
    assert play.venue_says(1, "a 1", "a+b 2") == ["c1< b 2"]
    play.drive(play.say(1, "+a"))
    assert play.venue_says(1, "a 3", "a+b 4") == ["c1< a 3", "c1< a+b 4"]


# --- opening and mending -----------------------------------------------------------------------


def test_attempts_back_off_and_keep_within_the_venues_window() -> None:
    venue = FakeVenue(connects=Rate(3, 100 * SECOND))
    play = Play(venue)
    play.told(play.hub.pin("a", play.now))
    attempts = [play.mono_ns]
    for number in range(1, 8):
        assert play.closed(number) == []
        while play.wait(0.05) != [f"open {number + 1} /"]:
            assert play.mono_ns < 1000 * SECOND
        attempts.append(play.mono_ns)
    pauses = [(b - a) / SECOND for a, b in itertools.pairwise(attempts)]
    assert [round(pause, 1) for pause in pauses[:2]] == [0.8, 1.5]
    for start in attempts:
        assert sum(start <= other < start + 100 * SECOND for other in attempts) <= 3


def test_back_off_grows_to_a_minute_and_starts_again_after_a_stable_connection() -> None:
    play = Play(FakeVenue(connects=Rate(100, SECOND)))
    play.told(play.hub.pin("a", play.now))
    pauses: list[float] = []
    for number in range(1, 10):
        play.closed(number)
        link = play.pool.links[0]
        pauses.append((link.retry_ns - play.mono_ns) / SECOND)
        assert play.wait(pauses[-1]) == [f"open {number + 1} /"]
    assert pauses == [0.75, 1.5, 3, 6, 12, 24, 45, 45, 45]
    play.drive(play.opened(10))
    play.wait(30)
    play.closed(10)
    assert play.pool.links[0].retry_ns - play.mono_ns == 50_000_000  # jitter


def test_a_connection_that_has_asked_for_nothing_yet_goes_first() -> None:
    play = Play(FakeVenue(requests_per_ip=Rate(1, SECOND), streams_per_request=1))
    play.join(1, "/a,b,c@x")
    assert play.opened(1) == ["1> +a #1"]
    play.sent(1)
    assert play.opened(2) == []
    assert [play.wait(1.1), play.sent(2), play.wait(1.1)] == [["2> +c@x #1"], [], ["1> +b #2"]]


def test_streams_are_asked_for_again_in_batches_within_the_rate() -> None:
    play = Play(FakeVenue(streams_per_connection=20, requests=Rate(3, SECOND)))
    play.drive(play.join(1, "/book1,book2,book3,book4,book5,book6,book7"))
    play.drive(play.wait(5))
    play.closed(1)
    play.wait(1)
    assert play.opened(2) == ["2> +book1,book2,book3 #4"]
    assert play.sent(2) == ["2> +book4,book5,book6 #5"]
    assert play.sent(2) == []
    assert play.wait(1) == []
    assert play.wait(0.1) == ["2> +book7 #6"]


def test_connecting_is_given_up_when_nobody_wants_it_any_more() -> None:
    play = Play(linger_ns=0)
    play.join(1, "/a")
    assert play.leave(1) == ["close 1"]
    assert play.opened(1) == []  # too late, but harmless
    assert play.closed(1) == []
    assert not play.pool.links
    assert play.hub.next_deadline_ns(play.now) is None


def test_a_link_that_nobody_wants_is_forgotten_while_it_waits_to_reconnect() -> None:
    play = Play(linger_ns=0)
    play.drive(play.join(1, "/a"))
    play.closed(1)  # and the client with it, for the gap
    assert not play.pool.links
    assert play.wait(100) == []


def test_reports_of_unknown_connections_are_ignored() -> None:
    play = Play()
    assert play.opened(9) == play.sent(9) == play.closed(9) == play.venue_says(9, "a 1") == []


# --- the keepalive stream ----------------------------------------------------------------------


def beating(**options: Any) -> Play:
    return Play(FakeVenue(keepalive="beat"), **options)


def test_every_connection_holds_the_keepalive_and_one_delivers_it() -> None:
    play = beating()
    assert play.drive(play.join(1, "/a,b,c,beat")) == []
    play.drive(play.join(2, "/d"))
    assert [list(link.streams) for link in play.pool.links] == [
        ["beat", "a", "b", "c"],
        ["beat", "d"],
    ]
    assert play.venue_says(1, "beat 1") == ["c1< beat 1"]
    assert play.venue_says(2, "beat 1", "d 1") == ["c2< d 1"]
    assert play.batch.streams == [(), ("d",)]


def test_the_keepalive_is_a_stream_like_others_for_who_wants_it() -> None:
    play = beating()
    play.drive(play.join(1, "/beat"))
    assert play.venue_says(1, "beat 1") == ["c1< beat 1"]
    assert play.wait(100) == []
    play.leave(1)
    assert play.wait(9.9) == []
    assert play.wait(0.1) == ["close 1"]
    play.join(2)
    assert play.say(2, "+beat") == []  # not live: that connection is going
    assert play.closed(1) == ["open 2 /"]
    assert play.drive(play.opened(2)) == ["c2< ok +beat: beat"]
    assert play.venue_says(2, "beat 1") == ["c2< beat 1"]


def test_the_keepalive_alone_holds_no_connection() -> None:
    play = beating()
    play.drive(play.join(1, "/a"))
    play.leave(1)
    assert play.wait(10) == ["close 1"]


def test_the_keepalive_moves_when_its_home_closes() -> None:
    play = beating()
    play.drive(play.join(1, "/a,b,c"))
    play.drive(play.join(2, "/d"))
    play.leave(1)
    play.drive(play.wait(10))
    assert play.join(3, "/beat") == []
    assert play.venue_says(2, "beat 1") == ["c3< beat 1"]


def test_a_refused_keepalive_harms_no_client_elsewhere() -> None:
    play = beating()
    play.drive(play.join(1, "/a,b,c,beat"))
    play.join(2, "/d")
    play.opened(2)
    play.sent(2)
    assert play.venue_says(2, "!no 1 no") == ["2> +beat #2"]
    assert play.sent(2) == ["2> +d #3"]
    assert play.venue_says(2, "!no 2 no") == []
    assert play.venue_says(1, "beat 1") == ["c1< beat 1"]


def test_a_keepalive_that_was_not_answered_is_asked_for_again() -> None:
    play = beating()
    play.join(1, "/a")
    assert play.opened(1) == ["1> +beat,a #1"]
    play.sent(1)
    play.venue_says(1, "!holds a")
    assert play.wait(10) == ["1> -beat #2"]
    play.sent(1)
    assert play.venue_says(1, "!ok 2") == ["1> +beat #3"]


def test_a_refused_keepalive_that_nobody_waits_for_is_forgotten_with_its_connection() -> None:
    budget = Budget(1, 2)
    play = beating(budget=budget)
    play.join(1, "/")
    play.say(1, "+beat")
    play.opened(1)
    play.sent(1)
    assert [line.split()[0] for line in play.wait(10)] == ["c1<", "close"]
    play.closed(1)
    assert budget.take(first=True)  # another venue was waiting for it
    assert play.say(1, "+a")[0].startswith("c1< no +a: a would need one more")


# --- answers that list everything --------------------------------------------------------------


def test_a_venue_that_answers_with_everything_it_holds() -> None:
    play = Play()
    play.join(1)
    play.say(1, "+a,b")
    play.opened(1)
    play.sent(1)
    assert play.venue_says(1, "!holds a") == []
    assert play.venue_says(1, "!holds a,b") == ["c1< ok +a,b: a,b"]
    assert play.notes == ["SUBSCRIBED 1 a,b", "ACKNOWLEDGED 1 a", "ACKNOWLEDGED 1 b"]


def test_what_the_venue_leaves_out_is_refused_in_the_end() -> None:
    play = Play()
    for client, stream in enumerate("ab", 1):
        play.join(client)
        play.say(client, f"+{stream}")
    play.opened(1)
    play.sent(1)
    assert play.venue_says(1, "!holds a") == ["c1< ok +a: a"]
    assert play.wait(10) == ["c2< no +b: the venue did not answer in time", "1> -b #2"]


def test_a_pong_does_not_let_a_second_request_out() -> None:
    play = Play()
    play.join(1, "/a")
    assert play.opened(1) == ["1> +a #1"]
    play.join(2, "/b")
    assert play.sent(1, control=True) == []
    assert play.do(e.Tick()) == []
    assert play.sent(1) == ["1> +b #2"]


def test_what_the_venue_asks_is_answered_before_anything_is_asked_of_it() -> None:
    play = Play()
    play.drive(play.join(1, "/a"))
    assert play.say(1, "+b") == ["1> +b #2"]
    assert play.venue_says(1, "!ask alive") == []  # one frame at a time
    play.join(2, "/c")
    assert play.sent(1) == ["1> alive"]
    play.sent(1)
    assert play.wait(1.1) == ["1> +c #3"]


def test_a_silent_venue_does_not_wake_the_hub_without_end() -> None:
    play = Play(cap=4, redundancy=lambda stream: 2, mirrors=(1.0, 1.0))
    play.drive(play.join(1, "/a,book,seq"))
    play.drive(play.rotate())
    assert sum(1 for _ in play.ticks(600)) < 1500


def test_two_thousand_streams_are_placed_at_once() -> None:
    venue = FakeVenue(streams_per_connection=1024, streams_per_request=200, requests=None)
    play = Play(venue, cap=2)
    names = ",".join(f"s{number}" for number in range(2000))
    play.join(1)
    assert play.say(1, f"+{names}") == ["open 1 /", "open 2 /"]
    (answer,) = play.drive(["open 1 /", "open 2 /"])
    assert answer.startswith("c1< ok +s0,")
    assert [len(link.streams) for link in play.pool.links] == [1024, 976]
