"""A recording, then the venue: as clients and operators see the change from one to the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import WALL_NS, Play
from wsproxy.hub import events as e
from wsproxy.model import Batch, Kind
from wsproxy.recording.events import read_event

HELD = frozenset({"a", "b", "seq", "rise", "book", "idle", "a@x"})
WHY = "the recording ends here"


class WarmUp(Play):
    """Now is second 100; what was recorded has a time of its own."""

    def __init__(self, path: str = "/a", **options: Any) -> None:
        super().__init__(**options)
        self.mono_ns = 100 * SECOND
        self.lead_in = self.hub.lead_in(HELD, {"gone": "delisted"}, 99)
        self.gaps: list[dict[str, object]] = []
        self.opening = self.join(1, path)

    def told(self, commands: Iterable[e.Command]) -> list[str]:
        commands = list(commands)
        for command in commands:
            if isinstance(command, e.Note) and command.kind is Kind.GAP:
                self.gaps.append(read_event(command.payload))
        return super().told(commands)

    def recorded(self, second: float, *texts: str) -> list[str]:
        """Records of this time, one after the other; each names its streams."""
        wall_ns = WALL_NS + int(second * SECOND)
        names = [tuple(text.rpartition(" ")[0].split("+")) for text in texts]
        payloads = [text.encode() for text in texts]
        self.lead_in.route(Batch(Kind.MESSAGE, 5, wall_ns, 7, payloads, None, names), self.now)
        lines = self.fetch()
        return lines + (self.do(e.Tick()) if self.hub.is_restless else [])

    def go_live(self) -> None:
        """The venue grants everything that is wanted."""
        assert self.drive(self.opening) == []
        assert not self.lead_in.waits

    def end(self) -> list[str]:
        return self.told(self.hub.end_lead_in(WHY, self.now))


def warm_up(path: str = "/a", **options: Any) -> WarmUp:
    play = WarmUp(path, **options)
    play.go_live()
    return play


def told(stream: str, *numbers: int) -> list[str]:
    return [f"c1< {stream} {number}" for number in numbers]


# --- what clients ask for ---


def test_what_is_recorded_is_granted_at_once_and_asked_for_upstream() -> None:
    play = WarmUp("/")
    assert play.say(1, "+a,b") == ["c1< ok +a,b: a,b", "open 1 /"]
    assert play.lead_in.waits
    assert play.opened(1) == ["1> +a,b #1"]
    play.sent(1)
    assert play.venue_says(1, "!ok 1") == []
    assert not play.lead_in.waits
    assert play.say(1, "+a") == ["c1< ok +a: a,b"]


def test_what_is_not_recorded_is_refused() -> None:
    play = WarmUp("/")
    assert play.say(1, "+zzz") == ["c1< no +zzz: stream zzz is not in this recording"]
    assert play.say(1, "+gone") == ["c1< no +gone: delisted"]


def test_for_what_upstream_has_no_room_is_refused() -> None:
    play = WarmUp("/a", cap=1)
    (refusal,) = play.say(1, "+a@x")
    assert refusal.startswith("c1< no +a@x: ")


def test_what_nobody_wants_any_more_is_given_up_at_the_end() -> None:
    play = WarmUp("/a,book", linger_ns=SECOND, close_on_gap=False)
    play.go_live()
    assert play.say(1, "-book") == ["c1< ok -book: a"]
    assert play.wait(30) == []
    play.recorded(50, "book =1,2")
    assert play.say(1, "+book") == ["c1< snapshot 1,2", "c1< ok +book: a,book"]
    play.say(1, "-book")
    play.end()
    assert "1> -book #2" in play.wait(2)


def test_a_late_client_is_told_the_recorded_state() -> None:
    play = warm_up("/book")
    play.lead_in.know("book", b"book =1,2")
    play.recorded(20, "book 3")
    assert play.join(2, "/book")[0] == "c2< snapshot 1,2,3"


def test_heartbeats_are_those_of_live_connections() -> None:
    play = warm_up("/a,idle", venue=FakeVenue(keepalive="idle"))
    assert play.venue_says(1, "idle 7") == told("idle", 7)
    assert play.recorded(20, "idle 1") == []


# --- with an overlap ---


@pytest.mark.parametrize("stream", ["a", "rise", "seq", "a@x"])
def test_live_messages_wait_until_the_recording_has_come_that_far(stream: str) -> None:
    play = warm_up(f"/{stream}")
    assert play.venue_says(1, f"{stream} 5", f"{stream} 6") == []
    assert play.recorded(40, f"{stream} 1", f"{stream} 2") == told(stream, 1, 2)
    play.mono_ns += 20 * SECOND
    assert play.venue_says(1, f"{stream} 7") == []
    assert play.recorded(90, f"{stream} 3", f"{stream} 4") == told(stream, 3, 4)
    assert play.lead_in.left == [stream]
    assert play.recorded(100, f"{stream} 5", f"{stream} 6") == told(stream, 5, 6, 7)
    assert play.lead_in.left == []
    assert play.recorded(120, f"{stream} 7", f"{stream} 8") == []
    assert play.venue_says(1, f"{stream} 8") == told(stream, 8)
    assert play.end() == []
    assert play.venue_says(1, f"{stream} 9") == told(stream, 9)
    assert (play.hub.gaps, play.warnings, play.kicks) == (0, [], [])


def test_each_stream_changes_over_by_itself() -> None:
    play = warm_up("/a,b")
    play.venue_says(1, "a 2", "b 2", "b 3")
    assert play.recorded(100, "a+b 1", "b 2") == ["c1< a+b 1", "c1< b 2", "c1< b 3"]
    assert play.lead_in.left == ["a"]
    assert play.recorded(101, "a 2") == told("a", 2)


def test_a_live_message_that_follows_the_last_recorded_one() -> None:
    play = warm_up("/seq")
    play.venue_says(1, "seq 3", "seq 4")
    assert play.recorded(99, "seq 1", "seq 2") == told("seq", 1, 2, 3, 4)
    assert play.end() == []
    assert play.hub.gaps == 0


def test_the_recording_may_be_ahead() -> None:
    play = warm_up("/a")
    assert play.recorded(100, "a 1", "a 2") == told("a", 1, 2)
    assert play.venue_says(1, "a 1") == []
    assert play.lead_in.left == []
    assert play.venue_says(1, "a 2", "a 3") == told("a", 3)


def test_a_book_is_not_sent_anew_where_it_is_the_same() -> None:
    play = warm_up("/book")
    play.venue_says(1, "book =1,2,3")
    assert play.recorded(99, "book =1", "book 2", "book 3") == [
        *("c1< book =1", "c1< book 2", "c1< book 3")
    ]
    play.venue_says(1, "book 4")
    assert play.recorded(100, "book 4") == ["c1< book 4"]
    assert play.wait(1) == []
    assert play.venue_says(1, "book 5") == ["c1< book 5"]
    assert play.hub.gaps == 0


def test_a_quiet_stream_changes_over_when_the_recording_has_passed_the_grant() -> None:
    play = warm_up("/a,b")
    play.mono_ns += 10 * SECOND
    play.lead_in.reach(WALL_NS + 102 * SECOND, play.now)
    play.wait(1)
    assert play.lead_in.left == ["a", "b"]
    play.recorded(104, "b 1")
    play.wait(1)
    assert play.lead_in.left == ["b"]  # what it said last may come live, too
    play.lead_in.reach(WALL_NS + 108 * SECOND, play.now)
    play.wait(1)
    assert play.lead_in.left == []
    assert play.venue_says(1, "a 1") == told("a", 1)
    assert play.hub.gaps == 0


def test_what_the_recording_lacks_is_history() -> None:
    play = warm_up("/seq")
    assert play.recorded(20, "seq 1", "seq 7") == told("seq", 1, 7)
    assert (play.hub.gaps, play.warnings, play.kicks) == (0, [], [])


def test_much_is_held_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsproxy.hub.joinline._HELD_MOST", 2)
    play = warm_up("/a", close_on_gap=False)
    play.venue_says(1, "a 1", "a 2", "a 3")
    assert play.recorded(100, "a 1", "a 2") == told("a", 1, 2, 3)  # the recording had what was lost


# --- without one ---


def test_a_gap_with_numbers_is_told_exactly() -> None:
    play = warm_up("/seq", close_on_gap=False)
    play.recorded(60, "seq 1", "seq 2")
    play.venue_says(1, "seq 9", "seq 10")
    play.mono_ns += 10 * SECOND
    assert play.end() == told("seq", 9, 10)
    assert play.gaps == [
        {
            "streams": ["seq"],
            "why": WHY,
            "since": WALL_NS + 60 * SECOND,
            "until": WALL_NS + 100 * SECOND,
            "missed": 6,
            "last": 2,
            "first": 9,
        }
    ]
    assert play.warnings == [f"gap in fake:seq: {WHY}"]
    assert play.hub.gaps == 1


@pytest.mark.parametrize("linger_ns", [0, SECOND])
def test_a_gap_closes_the_client_with_the_reason(linger_ns: int) -> None:
    play = warm_up("/a", linger_ns=linger_ns)
    play.recorded(60, "a 1")
    play.venue_says(1, "a 9")
    assert play.end()[0] == "kick c1 1012"
    assert play.kicks == [f"gap in a: {WHY}"]
    (gap,) = play.gaps
    assert (gap["missed"], gap["since"]) == (None, WALL_NS + 60 * SECOND)


def test_a_gap_where_a_snapshot_mends_it() -> None:
    play = warm_up("/book")
    play.recorded(60, "book =1", "book 2")
    play.venue_says(1, "book =7,8", "book 9")
    assert play.end() == ["c1< book =7,8", "c1< book 9"]
    assert play.kicks == []
    assert play.hub.gaps == 1


def test_numbers_tell_later_whether_a_quiet_stream_has_one() -> None:
    play = warm_up("/seq")
    play.recorded(60, "seq 1", "seq 2")
    assert play.end() == []
    assert play.wait(60) == []
    assert play.venue_says(1, "seq 3") == told("seq", 3)
    assert play.hub.gaps == 0

    play = warm_up("/seq")
    play.recorded(60, "seq 1", "seq 2")
    play.end()
    assert play.venue_says(1, "seq 4")[-1] == "kick c1 1012"
    assert [(gap["last"], gap["first"]) for gap in play.gaps] == [(2, 4)]


def test_without_numbers_a_quiet_stream_has_one() -> None:
    play = warm_up("/a")
    play.recorded(60, "a 1")
    assert play.end() == []
    assert play.wait(4) == ["kick c1 1012"]
    assert play.hub.gaps == 1


def test_a_stream_that_is_not_recorded_any_more_has_one() -> None:
    play = warm_up("/a,b")
    play.recorded(60, "a 1")
    play.venue_says(1, "a 5")
    play.mono_ns += 10 * SECOND
    assert play.wait(5) == []
    play.recorded(104, "b 1")
    assert play.wait(1) == ["kick c1 1012"]
    (gap,) = play.gaps
    assert gap["since"] == WALL_NS + 60 * SECOND


def test_what_overflowed_is_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wsproxy.hub.joinline._HELD_MOST", 2)
    play = warm_up("/seq", close_on_gap=False)
    play.recorded(60, "seq 1", "seq 2")
    play.venue_says(1, "seq 4", "seq 5", "seq 6")
    assert play.end() == told("seq", 5, 6)
    assert [(gap["last"], gap["first"], gap["missed"]) for gap in play.gaps] == [(2, 5, 2)]


def test_the_venue_cannot_be_reached() -> None:
    play = WarmUp("/seq")
    play.recorded(60, "seq 1")
    assert play.lead_in.waits
    assert play.end() == ["kick c1 1012"]


def test_what_the_venue_refuses_ends_with_the_recording() -> None:
    play = WarmUp("/a")
    play.opened(1)
    play.sent(1)
    assert play.venue_says(1, "!no 1 delisted") == ["close 1"]
    assert play.recorded(60, "a 1") == told("a", 1)
    assert play.end() == ["kick c1 1012"]
    assert "a was refused" in play.kicks[0]


def test_a_lost_connection_matters_only_without_the_recording() -> None:
    play = warm_up("/a")
    play.venue_says(1, "a 2")
    assert play.closed(1) == []
    assert (play.kicks, play.hub.gaps) == ([], 0)
    assert play.recorded(60, "a 1", "a 2", "a 3") == told("a", 1, 2, 3)


def test_now_is_not_what_was_recorded() -> None:
    play = warm_up("/a")
    play.lead_in.reach(WALL_NS + 30 * SECOND, play.now)
    assert play.lead_in.held_since_ns is None
    play.venue_says(1, "a 1")
    assert play.lead_in.held_since_ns == play.mono_ns
    assert play.wait(60) == []  # nobody takes over before the recording has come so far
