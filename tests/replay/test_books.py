"""Books at moments: a message a second, each with a number or several, and snapshots of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest

from tests.hub.fake_venue import SECOND, FakeRest, FakeVenue
from wsproxy.model import TEXT, Kind, Message
from wsproxy.replay.books import Follower, Snapshot


class Tape:
    """Messages at seconds; it counts how many were read."""

    def __init__(self, *messages: tuple[float, str] | tuple[float, str, int]) -> None:
        self.messages = [
            Message(
                seq=seq,
                time=round(at * SECOND),
                mono=0,
                kind=Kind.MESSAGE,
                connection=connection[0] if connection else 1,
                venue="fake",
                streams=("seq",),
                opcode=TEXT,
                payload=f"seq {numbers}".encode(),
            )
            for seq, (at, numbers, *connection) in enumerate(messages)
        ]
        self.reads = 0

    def read(self, start: int | None, end: int | None) -> Iterator[Message]:
        for message in self.messages:
            if (start is None or start <= message.time) and (end is None or message.time < end):
                self.reads += 1
                yield message

    def follower(self, *snapshots: tuple[int, float] | tuple[int, float, int]) -> Follower:
        """Of snapshots with these numbers, recorded at these seconds, bound to a connection."""
        known = [
            Snapshot(
                number,
                round(at * SECOND),
                frozenset(connection) or None,
                partial(bytes, b"%d" % number),
            )
            for number, at, *connection in snapshots
        ]
        mark = partial(FakeVenue().mark, stream="seq")
        return Follower(known, self.read, mark, FakeRest().book)


def at(follower: Follower, second: float) -> str | None:
    book = follower.at(round(second * SECOND))
    return None if book is None else book.text(1)


def run(first: int, last: int, since: float) -> list[tuple[float, str]]:
    """A number a second."""
    return [(since + number - first, str(number)) for number in range(first, last + 1)]


def test_the_book_goes_on_with_each_message() -> None:
    tape = Tape(*run(1, 9, since=1))
    follower = tape.follower((2, 2.5))
    assert [at(follower, second) for second in (2, 3, 3.5, 5, 99)] == [
        "2",
        "2,3",
        "2,3",
        "2,3,4,5",
        "2,3,4,5,6,7,8,9",
    ]


def test_what_was_read_is_not_read_again() -> None:
    tape = Tape(*run(1, 9, since=1))
    follower = tape.follower((1, 1))
    at(follower, 5)
    before = tape.reads
    assert at(follower, 5) == "1,2,3,4,5"
    assert at(follower, 6) == "1,2,3,4,5,6"
    assert tape.reads == before + 1


def test_where_time_goes_back_the_book_is_built_again() -> None:
    follower = Tape(*run(1, 9, since=1)).follower((2, 2))
    assert at(follower, 8) == "2,3,4,5,6,7,8"
    assert at(follower, 4) == "2,3,4"
    assert at(follower, 5) == "2,3,4,5"


@pytest.mark.parametrize("second", [0, 1, 2, 3])
def test_before_its_first_snapshot_the_book_is_that_snapshot(second: float) -> None:
    follower = Tape(*run(1, 9, since=1)).follower((4, 20))
    assert at(follower, second) == "4"
    assert follower.since == 4 * SECOND
    assert at(follower, 5) == "4,5"


def test_a_snapshot_may_lie_within_a_message() -> None:
    tape = Tape((1, "1-3"), (2, "4-6"), (3, "7-9"))
    assert at(tape.follower((5, 2)), 2) == "5,4-6"
    assert at(tape.follower((5, 2)), 3) == "5,4-6,7-9"
    assert at(tape.follower((3, 2)), 1) == "3"


def test_a_newer_snapshot_replaces_the_book() -> None:
    follower = Tape(*run(1, 9, since=1)).follower((1, 1), (5, 5))
    assert at(follower, 4) == "1,2,3,4"
    assert at(follower, 6) == "5,6"


def test_behind_a_hole_another_snapshot_is_needed() -> None:
    tape = Tape(*run(1, 3, since=1), *run(7, 9, since=7))
    assert [at(tape.follower((1, 1)), second) for second in (5, 7)] == ["1,2,3", None]
    both = tape.follower((1, 1), (8, 8.5))
    assert [at(both, second) for second in (5, 7, 9)] == ["1,2,3", "8", "8,9"]
    assert at(tape.follower((8, 8)), 2) is None, "it is of another run"
    assert at(tape.follower((5, 8)), 9) is None, "no message continues it"
    assert at(tape.follower((6, 8)), 9) == "6,7,8,9"


def test_without_snapshots_there_is_no_book_and_nothing_is_read() -> None:
    tape = Tape(*run(1, 9, since=1))
    assert at(tape.follower(), 5) is None
    assert at(tape.follower((0, 0)), 0) == "0"
    assert at(tape.follower((10, 10)), 5) is None


def test_messages_that_came_twice_count_once() -> None:
    tape = Tape((1, "1"), (1, "1", 2), (2, "2", 2), (2, "1"), (2, "2"), (3, "3"))
    assert at(tape.follower((1, 1)), 3) == "1,2,3"


def test_a_snapshot_that_is_bound_fits_its_own_connection_only() -> None:
    tape = Tape((1, "1", 7), (2, "2", 7), (3, "3", 7))
    assert at(tape.follower((1, 1, 7)), 3) == "1,2,3"
    assert at(tape.follower((1, 1, 8)), 3) is None


def test_reading_begins_near_the_snapshot_and_at_the_beginning_if_that_is_in_vain() -> None:
    tape = Tape(*run(1, 100, since=1))
    assert at(tape.follower((80, 80)), 81) == "80,81"
    assert tape.reads < 20
    assert (at(tape.follower((3, 90)), 91) or "").startswith("3,4,5")
