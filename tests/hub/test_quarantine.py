from __future__ import annotations

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play, live
from wsproxy.hub.events import UpstreamClosed
from wsproxy.hub.link import Link
from wsproxy.hub.quarantine import Quarantine

WHY = "the venue closes the connection when it is asked for this"


def act(play: Play, lines: list[str], poison: set[str]) -> list[str]:
    """Play a venue that hangs up on who asks for poison; returns what clients were told."""
    told: list[str] = []
    queue = list(lines)
    while queue:
        line = queue.pop(0)
        words = line.split()
        if words[0] == "open":
            queue += play.opened(int(words[1]))
        elif words[0] == "close":
            queue += play.closed(int(words[1]), 1000)
        elif words[0].endswith(">"):
            number, names = int(words[0][:-1]), set(words[1][1:].split(","))
            if words[1][0] == "+" and names & poison:
                queue += play.closed(number)
            else:
                queue += play.sent(number)
                queue += play.venue_says(number, f"!ok {words[2][1:]}")
        else:
            told.append(line)
    return told


def run(play: Play, lines: list[str], poison: set[str], seconds: int = 14) -> list[str]:
    told = act(play, lines, poison)
    for _ in range(seconds * 4):
        told += act(play, play.wait(0.25), poison)
    return told


def test_one_poison_stream_costs_the_others_one_reconnect() -> None:
    play = live("/a", "/b", close_on_gap=False)
    play.join(3)
    told = run(play, play.say(3, "+x"), {"x"})
    assert told == [f"c3< no +x: {WHY}"]
    assert [note for note in play.notes if "GAP" in note] == ["GAP 1 a,b"]
    assert len(play.pool.links) == 1
    again = play.say(3, "+x")
    assert again[0].startswith(f"c3< no +x: {WHY} (tried again in 5")
    assert play.hub.refused["not to be had"] == 1
    run(play, [], {"x"}, 600)
    assert play.say(3, "+x") == ["3> +x #5"]  # another chance


def test_the_poison_of_a_batch_is_found_by_halving() -> None:
    play = live("/z", close_on_gap=False, venue=FakeVenue(streams_per_connection=20))
    lines: list[str] = []
    for number, stream in enumerate(["a", "b", "x", "c"], 2):
        play.join(number)
        lines += play.say(number, f"+{stream}")
    told = run(play, lines, {"x"}, 20)
    assert sorted(told) == ["c2< ok +a: a", "c3< ok +b: b", f"c4< no +x: {WHY}", "c5< ok +c: c"]
    gaps = [note for note in play.notes if note.startswith("GAP")]
    assert sum("z" in note for note in gaps) == 1
    assert not any("x" in note for note in gaps)  # it never was


def test_where_nobody_else_is_on_the_connection_it_is_tried_there() -> None:
    play = Play(cap=1)
    play.join(1)
    told = run(play, play.say(1, "+x"), {"x"})
    assert told == [f"c1< no +x: {WHY}"]


def test_without_a_connection_to_spare_it_is_refused_for_a_minute() -> None:
    play = live("/a", cap=1, close_on_gap=False)
    play.join(2)
    told = run(play, play.say(2, "+x"), {"x"})
    assert told == [f"c2< no +x: {WHY}, and there is no other connection to try it alone"]
    assert play.venue_says(2, "a 1") == ["c1< a 1"]
    assert play.say(2, "+x")[0].startswith("c2< no +x")
    run(play, [], {"x"}, 50)
    assert play.say(2, "+x") == ["2> +x #4"]


def test_what_was_granted_before_is_not_suspected() -> None:
    play = live("/a", close_on_gap=False)
    play.closed(1)
    play.drive(play.wait(1)[:1])
    lines = play.closed(2)
    assert len(play.pool.links) == 1
    assert run(play, lines, set()) == []
    assert play.venue_says(3, "a 1") == ["c1< a 1"]


def test_suspects_of_several_connections_keep_within_the_limits_of_one() -> None:
    play = Play(cap=4, venue=FakeVenue(streams_per_connection=2))
    play.join(1)
    for line in play.say(1, "+a,b,c,d"):
        play.opened(int(line.split()[1]))
    play.closed(1)
    play.closed(2)
    play.wait(1)
    assert sorted(len(link.streams) for link in play.pool.links) == [2, 2]


def test_a_probe_that_was_granted_everything_is_a_connection_like_others() -> None:
    play = live("/a", close_on_gap=False)
    play.join(2, "/b")
    play.sent(1)
    run(play, play.closed(1), set())
    assert not any(link.is_probe for link in play.pool.links)
    assert len(play.pool.links) == 2
    assert play.rotate() == []  # both may be replaced, when there is room
    assert len(play.pool.waiting(play.now)) == 2


# --- the book of suspects ----------------------------------------------------------------------


def closed(by: str = "peer") -> UpstreamClosed:
    return UpstreamClosed(1, 1006, "", by)


def test_suspects() -> None:
    quarantine, link = Quarantine(), Link(FakeVenue(requests=None), "/")
    for stream in "abcd":
        link.add(stream)
    assert quarantine.suspects(link, closed(), "d") == ()
    link.opened(0)
    link.next_frame(0)
    quarantine.proven("b")
    assert quarantine.suspects(link, closed(), "a") == ("c",)
    quarantine.forget("b")
    assert quarantine.suspects(link, closed(), "") == ("a", "b", "c")
    assert quarantine.suspects(link, closed("us"), "") == ()
    link.closing = True
    assert quarantine.suspects(link, closed(), "") == ()


def test_what_is_refused_is_forgotten_in_time() -> None:
    quarantine = Quarantine()
    for number in range(1000):
        quarantine.condemn(f"x{number}", "bad", number * SECOND, 10 * SECOND)
    assert quarantine.refuses("x0", 1000 * SECOND) is None
    assert quarantine.refuses("x999", 1000 * SECOND) == "bad (tried again in 9 s)"
    assert len(quarantine._refused) == 10


def test_what_was_granted_after_all_is_refused_no_longer() -> None:
    quarantine = Quarantine()
    quarantine.condemn("x", "bad", 0, 10 * SECOND)
    quarantine.proven(["x"])
    assert quarantine.refuses("x", SECOND) is None


def test_what_is_suspected_on_one_connection_may_prove_itself_on_the_other() -> None:
    play = Play(cap=2, redundancy=lambda stream: 2, linger_ns=5 * SECOND, close_on_gap=False)
    play.drive(play.join(1, "/a"))
    play.join(2)
    assert play.say(2, "+b") == ["1> +b #2", "2> +b #2"]
    play.closed(1)  # and there is no third connection
    play.leave(2)
    play.join(3)
    assert play.say(3, "+b") == []
    play.sent(2)
    assert play.venue_says(2, "!ok 2") == ["c3< ok +b: b"]
    play.leave(3)
    run(play, [], set(), 10)
    assert not any("b" in link.streams for link in play.pool.links)
