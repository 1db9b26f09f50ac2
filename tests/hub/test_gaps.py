from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import WALL_NS, Play, live
from wsproxy.hub.gaps import Gap, Gaps, Hole
from wsproxy.venues.base import Numbers, Span

HOLE = Hole(1, "lost", 5)


def watched(stream: str, *values: object, gaps: Gaps | None = None) -> Gaps:
    """Gaps that were fed these messages, a second apart; ``!`` is a hole in between."""
    gaps = gaps or Gaps(FakeVenue())
    sequence, begun = None, False
    for second, value in enumerate(values, 1):
        gaps.wall_ns, gaps.connection = second * SECOND, 7
        if value == "!":
            gaps.lost([stream], HOLE)
            gaps.live([stream])
            continue
        payload = f"{stream} {value}".encode()
        if not begun:
            sequence, begun = gaps.watch(stream, payload), True
        if sequence is not None:
            gaps.feed([sequence], [payload])
    return gaps


@pytest.mark.parametrize(
    ("stream", "values", "found"),
    [
        ("seq", (1, 2, 3), []),
        ("seq", ("1-4", "5-5", "6-9"), []),
        ("seq", (1, "!", 2), []),
        ("seq", (1, 4), [(7, "the sequence jumped from 1 to 4", SECOND, 1, 4, 2)]),
        ("seq", (1, "!", 4), [(1, "lost", 5, 1, 4, 2)]),
        ("seq", (9, "!", 1), [(1, "lost", 5, None, None, None)]),
        ("seq", (9, 1, 2), []),
        ("seq", ("!", 3), [(1, "lost", 5, None, None, None)]),
        ("rise", (1, 4), []),
        ("rise", (1, "!", 2), [(1, "lost", 5, None, None, None)]),
        ("a", (1, "!", 2), [(1, "lost", 5, None, None, None)]),
    ],
)
def test_what_numbers_say(
    stream: str, values: tuple[object, ...], found: list[tuple[object, ...]]
) -> None:
    gaps = watched(stream, *values)
    assert [
        (gap.connection, gap.why, gap.since_ns, gap.last, gap.first, gap.missed)
        for gap in gaps.take()
    ] == found
    assert gaps.open == 0
    assert gaps.take() == []


def test_a_jump_is_news_and_an_ended_hole_is_none() -> None:
    gaps = watched("seq", 1, 4, "!", 9)
    (jump,) = gaps.take_jumps()
    assert (jump.last, jump.first) == (1, 4)
    assert gaps.take_jumps() == []
    assert len(gaps.take()) == 2


@pytest.mark.parametrize(("stream", "after"), [("seq", 9), ("a", 2)])
def test_a_gap_may_have_ended_before_it_is_reported(stream: str, after: int) -> None:
    gaps = watched(stream, 1)
    gaps.lost([stream], Hole(1, "lost", 5, until_ns=8))
    gaps.live([stream])
    watched(stream, after, gaps=gaps)
    assert [gap.until_ns for gap in gaps.take()] == [8]


class TwoKinds(FakeVenue):
    """Numbers of ``seqx`` are written another way, and read by something of their own."""

    def numbers(self, stream: str) -> Numbers | None:
        return self._read_x if stream == "seqx" else super().numbers(stream)

    def _read_x(self, payloads: Sequence[bytes]) -> Sequence[tuple[int, int] | None]:
        assert all(payload.startswith(b"seqx ") for payload in payloads)
        return [(int(payload[5:], 16),) * 2 for payload in payloads]


def test_numbers_of_several_kinds_are_read_together() -> None:
    gaps = Gaps(TwoKinds())
    fed = [b"seq 1", b"seqx f", b"seqx 10", b"seq 2", b"seq !", b"seqx 12", b"seq 3"]
    sequences = []
    for payload in fed:
        sequence = gaps.watch(payload.split()[0].decode(), payload)
        assert sequence is not None
        sequences.append(sequence)
    gaps.feed(sequences, fed)
    assert [gap.why for gap in gaps.take()] == ["the sequence jumped from 16 to 18"]
    assert gaps.run("seq") == Span(1, 3, gapless=True)
    assert gaps.run("seqx") == Span(18, 18, gapless=True)


def test_what_is_passed_over_is_not_reported() -> None:
    gaps = watched("seq", 1, 4)
    gaps.pass_over()
    assert gaps.take() == gaps.take_jumps() == []


def test_streams_of_one_hole_are_one_gap() -> None:
    gaps = Gaps(FakeVenue())
    gaps.lost(["a", "b"], HOLE)
    gaps.lost(["b", "c"], Hole(2, "again", 6))
    assert gaps.open == 3
    gaps.live(["a", "b", "c", "d"])
    assert gaps.take() == [Gap(1, ("a", "b"), "lost", 5), Gap(2, ("c",), "again", 6)]


def test_what_is_not_wanted_any_more_is_not_missed() -> None:
    gaps = watched("seq", 1, 2)
    gaps.lost(["seq", "a"], HOLE)
    for stream in ("seq", "a"):
        gaps.forget(stream)
        assert gaps.last(stream) is None
    gaps.live(["a"])
    assert gaps.take() == []
    assert watched("seq", 9, gaps=gaps).take() == []


def test_what_ends_in_a_hole_has_a_gap_up_to_now() -> None:
    gaps = watched("seq", 1, 2)
    gaps.lost(["seq", "a"], HOLE)
    gaps.finish()
    assert gaps.take() == [Gap(1, ("seq", "a"), "lost", 5)]
    assert gaps.open == 0


# --- as a hub tells of them --------------------------------------------------------------------


def test_a_gap_is_noted_when_its_end_is_known() -> None:
    play = live("/a,seq", close_on_gap=False)
    play.venue_says(1, "seq 1", "a 1")
    play.closed(1)
    assert [note for note in play.notes if "GAP" in note] == []
    assert play.hub.gaps == 2  # they go on
    play.drive(play.wait(4))
    assert play.notes[-2:] == ["GAP 1 a", "ACKNOWLEDGED 2 a,seq"]
    assert play.venue_says(2, "a 5", "seq 5") == ["c1< a 5", "c1< seq 5"]
    assert play.notes[-1] == "GAP 1 seq"
    assert play.hub.gaps == 2


def test_a_hole_in_which_nothing_was_is_no_gap() -> None:
    play = live("/seq", close_on_gap=False)
    play.venue_says(1, "seq 1")
    play.closed(1)
    play.drive(play.wait(4))
    assert play.venue_says(2, "seq 2") == ["c1< seq 2"]
    assert play.hub.gaps == 0
    assert not [note for note in play.notes if "GAP" in note]


def test_a_loss_inside_a_healthy_connection_closes_clients() -> None:
    play = live("/seq", "/a")
    play.venue_says(1, "seq 1", "a 1")
    assert play.venue_says(1, "seq 4", "a 2") == ["c1< seq 4", "c2< a 2", "kick c1 1012"]
    assert play.kicks == ["gap in seq: the sequence jumped from 1 to 4 on connection 1"]
    assert play.notes[-1] == "GAP 1 seq"
    assert play.hub.gaps == 1


def test_a_connection_that_lost_messages_is_replaced() -> None:
    play = live("/a,book")
    assert play.venue_says(1, "a 1 %1", "book =1 %2") == ["c1< a 1 %1", "c1< book =1 %2"]
    assert play.venue_says(1, "!notice x") == ["c1< !notice x"]  # has no number
    lines = play.venue_says(1, "a 3 %4")
    assert lines == ["kick c1 1012", "close 1"]
    assert "lost messages: message 3 was due and 4 came" in play.kicks[0]
    assert play.venue_says(1, "a 4 %7") == []  # said once
    play.join(2, "/book")
    assert play.closed(1, 1000) == []
    assert play.drive(play.wait(2)) == []
    assert play.venue_says(2, "book =7 %1", "book 8 %2") == ["c2< book =7 %1", "c2< book 8 %2"]
    assert {note for note in play.notes if "GAP" in note} == {"GAP 1 a", "GAP 1 book"}


def test_a_gap_lasts_until_the_connection_that_lost_messages_is_replaced() -> None:
    play = live("/book,seq", close_on_gap=False)
    play.venue_says(1, "book =1 %1", "seq 1 %2")
    assert play.venue_says(1, "book 5 %6")[-1] == "close 1"
    for number in (7, 8):  # it takes a while to close
        assert play.venue_says(1, f"book {number} %{number}", f"seq {number} %{number}") == []
        assert play.batch.streams == [(), ()]
    assert play.closed(1, 1000) == []
    assert not [note for note in play.notes if "GAP" in note]
    play.drive(play.wait(2))
    assert play.venue_says(2, "book =9 %1", "seq 9 %2") == ["c1< book =9 %1", "c1< seq 9 %2"]
    assert [note for note in play.notes if "GAP" in note] == ["GAP 1 book", "GAP 1 seq"]


def test_what_follows_a_loss_is_not_delivered_before_another_connection_has_had_its_say() -> None:
    play = Play(redundancy=lambda stream: 2, close_on_gap=False)
    play.drive(play.join(1, "/a"))
    assert play.venue_says(1, "a 1 %1") == ["c1< a 1 %1"]
    assert play.venue_says(1, "a 3 %3") == ["close 1"]
    assert play.venue_says(2, "a 1 %1", "a 2 %2", "a 3 %3") == ["c1< a 2 %2", "c1< a 3 %3"]
    assert play.hub.gaps == 0


def test_a_redundant_connection_that_lost_messages_costs_nothing() -> None:
    play = Play(redundancy=lambda stream: 2)
    play.drive(play.join(1, "/a"))
    for connection in (1, 2):
        play.venue_says(connection, f"a 1 %{connection}")
    assert play.venue_says(1, "a 3 %9") == ["close 1"]  # and not a 3 before a 2
    assert play.venue_says(2, "a 2 %3", "a 3 %4") == ["c1< a 2 %3", "c1< a 3 %4"]
    play.closed(1, 1000)
    assert play.hub.gaps == 0


def test_the_end_of_the_program_ends_every_hole() -> None:
    play = live("/a,seq", close_on_gap=False)
    play.venue_says(1, "seq 1", "a 1")
    play.mono_ns += SECOND
    play.closed(1)
    play.told(play.hub.finish(play.now))
    assert play.notes[-1] == "GAP 1 a,seq"
    assert play.hub.gaps == 2
    assert play.now.wall_ns > WALL_NS
