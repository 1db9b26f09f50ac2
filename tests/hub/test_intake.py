from __future__ import annotations

from tests.hub.fake_venue import FakeVenue
from tests.hub.playbook import Play, live
from wsproxy.hub import events as e
from wsproxy.model import BINARY, TEXT, Batch, Kind


def batch(play: Play, connection: int, *texts: str) -> Batch:
    return Batch(Kind.MESSAGE, connection, *play.now, [text.encode() for text in texts])


def test_messages_are_named_as_far_as_routing_goes() -> None:
    play = live("/a,b")
    one = batch(play, 1, "a 1", "b 1", "~a 2", "z 1", "a 3")
    link = play.pool.link(1)
    assert link is not None
    assert play.pool.intake.route(link, one) == 2
    play.pool.intake.read(link, one, 2)
    assert play.pool.intake.route(link, one, 3) == 5
    assert one.streams == [("a",), ("b",), ("a",), (), ("a",)]
    assert link.messages == 6  # with the acknowledgement
    assert play.fetch() == ["c1< a 1", "c1< b 1", "c1< ~a 2", "c1< a 3"]


def test_a_chunk_of_known_streams_is_sent_on_as_it_came() -> None:
    play = live("/a,b")
    play.venue_says(1, "a 1", "b 1")
    one = batch(play, 1, "a 2", "b 2")
    assert play.hub.route(one, frames=b"both") == 2
    assert [frames for frames, _ in play.hub.deliveries()] == [b"both"]
    assert one.streams == [("a",), ("b",)]
    odd = batch(play, 1, "a 3", "~a 4")
    assert play.hub.route(odd, frames=b"both") == 1
    assert play.fetch() == ["c1< a 3"]


def test_routing_stops_where_text_does() -> None:
    play = live("/a")
    one = batch(play, 1, "a 1", "a 2", "a 3")
    one.opcodes = bytes([TEXT, BINARY, TEXT])
    assert play.hub.route(one) == 1
    play.do(e.UpstreamSaid(one, 1))
    assert play.hub.route(one, 2) == 3
    assert one.streams == [("a",), (), ("a",)]


def test_a_stream_comes_to_be_carried_by_two() -> None:
    """The routes that are known then must not pass on its messages unseen."""
    play = live("/a,b")
    assert len(play.venue_says(1, "a 1", "b 1", "a+b 2")) == 3
    play.rotate()
    play.drive(play.opened(2))
    assert play.venue_says(1, "a 3", "a+b 4") == ["c1< a 3", "c1< a+b 4"]
    assert play.venue_says(2, "a 3", "a+b 4", "a+b 5")[0] == "c1< a+b 5"
    assert play.venue_says(1, "a+b 5") == []


def test_what_was_held_back_is_counted_and_its_clients_get_their_share() -> None:
    play = live("/a,b", "/b")
    play.rotate()
    play.drive(play.opened(2))
    before = play.hub.messages
    assert play.venue_says(2, "a+b 1", "a+b 2") == []
    assert play.hub.messages == before
    assert play.venue_says(1, "a+b 1")[:4] == ["c1< a+b 1", "c1< a 2", "c1< b 2", "c2< b 1"]
    assert play.released == ["2: a+b 2", "2: a+b 2"]  # once for each stream


def test_numbers_that_a_connection_counts() -> None:
    play = live("/a", close_on_gap=False)
    link = play.pool.link(1)
    assert link is not None
    play.venue_says(1, "a 1 %5", "?", "a 2 %6")
    assert link.next_sequence == 7
    play.venue_says(1, "?")
    assert play.venue_says(1, "a 3 %8")[-1] == "close 1"


def test_a_venue_that_does_not_count_is_not_asked_again() -> None:
    class Venue(FakeVenue):
        asked = 0

        def sequence(self, payload: bytes) -> int | None:
            self.asked += 1
            return None

    venue = Venue()
    play = live("/a", venue=venue)
    for number in range(100):
        play.venue_says(1, f"a {number}")
    asked = venue.asked
    play.venue_says(1, "a 2", "a 3")
    assert venue.asked == asked


def test_a_stream_that_delivers_nothing_is_worth_a_warning() -> None:
    play = Play()
    play.join(1, "/a,b,c")
    play.opened(1)
    play.sent(1)
    play.venue_says(1, "a 1", "!ok 1")  # before it was granted
    play.wait(20)
    play.venue_says(1, "~b 1")
    assert play.warnings == []
    play.wait(20)
    assert play.warnings == ["fake granted c and sent nothing for 30 s"]
    play.wait(100)
    assert len(play.warnings) == 1


def test_nothing_is_kept_of_streams_that_are_gone() -> None:
    play = Play(linger_ns=0, redundancy=lambda stream: 2)
    for number in range(1, 40):
        names = f"/a{number},b{number}"
        play.drive(play.join(number, names))
        for link in list(play.pool.links):
            if link.number is not None:
                play.venue_says(link.number, f"a{number} 1", f"a{number}+b{number} 2")
        play.drive(play.leave(number))
    assert not play.pool.links
    assert not play.pool.carriers.joins
    assert not play.pool.intake._shared
    assert not play.pool._quarantine._proven
