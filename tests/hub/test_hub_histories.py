"""Random histories of a hub between clients and a venue that keeps the books on both.

The venue enforces its limits, answers late, refuses, breaks connections; clients come, change
their minds and go. Whatever happens, the rules of ``Histories`` hold at every step.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play
from wsproxy.hub import events as e
from wsproxy.hub.client import PATIENCE_NS
from wsproxy.model import Batch, Kind
from wsproxy.venues.profile import Rate

CAP = 3
MOST_STREAMS = 3
REQUESTS = Rate(3, SECOND)
CONNECTS = Rate(4, 20 * SECOND)
LINGER_NS = 4 * SECOND
BAD = {"x", "bad@x"}
STREAMS = ["a", "b", "book", "c@x", "book@x", "beat", *sorted(BAD)]

streams = st.lists(st.sampled_from(STREAMS), min_size=1, max_size=3, unique=True)


@dataclass
class Connection:
    """As the venue sees it."""

    endpoint: str
    is_open: bool = False
    unsent: deque[str] = field(default_factory=deque)
    unread: deque[str] = field(default_factory=deque)
    unsaid: deque[str] = field(default_factory=deque)
    holds: set[str] = field(default_factory=set)
    frames: list[int] = field(default_factory=list)
    going: bool = False


@dataclass
class Asker:
    """A client, by what it was told."""

    active: list[str] = field(default_factory=list)
    asked: deque[tuple[str, int]] = field(default_factory=deque)
    expected: deque[str] = field(default_factory=deque)


class Histories(RuleBasedStateMachine):
    connections: dict[int, Connection]

    @initialize(
        keepalive=st.sampled_from([None, "beat"]),
        close_on_gap=st.booleans(),
        lists=st.booleans(),
    )
    def start(self, keepalive: str | None, close_on_gap: bool, lists: bool) -> None:
        venue = FakeVenue(
            keepalive=keepalive,
            streams_per_connection=MOST_STREAMS,
            requests=REQUESTS,
            connects=CONNECTS,
        )
        self.play = Play(venue, cap=CAP, close_on_gap=close_on_gap, linger_ns=LINGER_NS)
        self.keepalive = keepalive
        self.lists = lists
        self.connections = {}
        self.clients: dict[int, Asker] = {}
        self.attempts: list[int] = []
        self.number = 0
        self.log: dict[str, list[str]] = {}
        self.next_client = 1

    # --- what the hub says ---

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            head, _, rest = line.partition(" ")
            if head == "open":
                number, _, endpoint = rest.partition(" ")
                self.connections[int(number)] = Connection(endpoint)
                self.attempts.append(self.play.mono_ns)
                self.check_window(self.attempts, CONNECTS)
                assert len(self.connections) <= CAP
            elif head == "close":
                self.connections[int(rest)].going = True
            elif head == "kick":
                del self.clients[int(rest.split()[0][1:])]
            elif head.endswith(">"):
                connection = self.connections[int(head[:-1])]
                assert not connection.unsent, "the frame before has not left"
                connection.unsent.append(rest)
            else:
                self.told(self.clients[int(head[1:-1])], rest)
        for client in self.clients.values():
            assert not client.expected

    def told(self, client: Asker, text: str) -> None:
        kind, _, rest = text.partition(" ")
        if kind == "snapshot":
            numbers = rest.split(",")
            assert any(log[-len(numbers) :] == numbers for log in self.log.values())
        elif kind in ("ok", "no"):
            tag, _, answer = rest.partition(": ")
            asked, _ = client.asked.popleft()
            assert tag == asked, "answers in the order of the requests"
            if kind == "ok":
                client.active = [s for s in answer.split(",") if s]
        else:
            assert client.expected.popleft() == text

    @staticmethod
    def check_window(times: list[int], rate: Rate) -> None:
        start = times[-1] - rate.period_ns
        assert sum(time > start for time in times) <= rate.most

    # --- clients ---

    @rule()
    def join(self) -> None:
        number, self.next_client = self.next_client, self.next_client + 1
        self.clients[number] = Asker()
        self.hear(self.play.join(number))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), sign=st.sampled_from("+++-?"), names=streams)
    def ask(self, data: st.DataObject, sign: str, names: list[str]) -> None:
        number = data.draw(st.sampled_from(sorted(self.clients)))
        text = "?" if sign == "?" else sign + ",".join(names)
        self.clients[number].asked.append((text, self.play.mono_ns))
        self.hear(self.play.say(number, text))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), lags=st.booleans())
    def leave(self, data: st.DataObject, lags: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.clients)))
        if lags:
            self.hear(self.play.do(e.ClientLagged(number, 1, 1)))
        else:
            lines = self.play.leave(number)
            self.clients[number].expected.clear()
            own = [line for line in lines if line.startswith(f"c{number}<")]
            del self.clients[number]
            self.hear([line for line in lines if line not in own])

    # --- the venue ---

    def pick(self, data: st.DataObject, *, is_open: bool) -> int | None:
        numbers = [n for n, c in self.connections.items() if c.is_open is is_open]
        return data.draw(st.sampled_from(numbers)) if numbers else None

    @rule(data=st.data(), succeeds=st.sampled_from([True, True, True, False]))
    def connect(self, data: st.DataObject, succeeds: bool) -> None:
        number = self.pick(data, is_open=False)
        if number is None:
            return
        if succeeds and not self.connections[number].going:
            self.connections[number].is_open = True
            self.hear(self.play.opened(number))
        else:
            del self.connections[number]
            self.hear(self.play.closed(number))

    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """A frame leaves, is read, is answered: whatever can happen first."""
        number = self.pick(data, is_open=True)
        if number is not None:
            self.advance(number, self.connections[number])

    @rule(data=st.data(), times=st.integers(1, 6))
    def steps(self, data: st.DataObject, times: int) -> None:
        number = self.pick(data, is_open=True)
        for _ in range(times if number is not None else 0):
            assert number is not None
            self.advance(number, self.connections[number])

    def advance(self, number: int, connection: Connection) -> None:
        if connection.unsaid:
            self.hear(self.play.venue_says(number, connection.unsaid.popleft()))
        elif connection.unread:
            self.read(connection, connection.unread.popleft())
        elif connection.unsent:
            connection.unread.append(connection.unsent.popleft())
            connection.frames.append(self.play.mono_ns)
            self.check_window(connection.frames, REQUESTS)
            self.hear(self.play.sent(number))

    def read(self, connection: Connection, request: str) -> None:
        names, _, request_id = request[1:].partition(" #")
        batch = set(names.split(","))
        for name in batch:
            assert self.play.venue.endpoint(name) == connection.endpoint or name == self.keepalive
        if request[0] == "-":
            assert batch <= connection.holds or not batch & connection.holds
            connection.holds -= batch
        elif batch & BAD:
            connection.unsaid.append(f"!no {request_id} bad")
            return
        else:
            connection.holds |= batch
            assert len(connection.holds) <= MOST_STREAMS
        listed = f"!holds {','.join(sorted(connection.holds))}"
        connection.unsaid.append(listed if self.lists else f"!ok {request_id}")

    @rule(data=st.data())
    def lose_answer(self, data: st.DataObject) -> None:
        number = self.pick(data, is_open=True)
        if number is not None and self.connections[number].unsaid:
            self.connections[number].unsaid.popleft()

    @rule(data=st.data(), code=st.sampled_from([1000, 1006]))
    def disconnect(self, data: st.DataObject, code: int) -> None:
        number = self.pick(data, is_open=True)
        if number is not None:
            del self.connections[number]
            self.hear(self.play.closed(number, code))

    @rule(data=st.data(), count=st.integers(1, 2), fetch=st.booleans())
    def publish(self, data: st.DataObject, count: int, fetch: bool) -> None:
        number = self.pick(data, is_open=True)
        if number is None or len(self.connections[number].holds) < count:
            return
        holds = sorted(self.connections[number].holds)
        names = data.draw(st.permutations(holds))[:count]
        self.number += 1
        link = self.play.pool.link(number)
        assert link is not None
        mine = [name for name in names if link in self.play.pool.carriers.of(name)]
        for name in mine:
            self.log.setdefault(name, []).append(str(self.number))
        for client in self.clients.values():
            wanted = [name for name in mine if name in client.active]
            if wanted:
                form = names if len(wanted) == len(names) else sorted(wanted)
                client.expected.append(f"{'+'.join(form)} {self.number}")
        payload = f"{'+'.join(names)} {self.number}".encode()
        batch = Batch(Kind.MESSAGE, number, *self.play.now, [payload])
        assert self.play.hub.route(batch) == 1
        assert batch.streams == [tuple(mine)]
        if fetch:
            self.hear(self.play.fetch())

    @rule(seconds=st.sampled_from([0.05, 0.5, 2, 6, 16]))
    def time_passes(self, seconds: float) -> None:
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        for lines in self.play.ticks(seconds):
            self.hear(lines)

    # --- what always holds ---

    @invariant()
    def streams_are_where_they_belong(self) -> None:
        if not hasattr(self, "play"):
            return
        links = self.play.pool.links
        assert len(links) <= CAP
        for link in links:
            assert len(link.streams) <= MOST_STREAMS
        carried = [s for link in links for s in link.streams if s != self.keepalive]
        assert len(carried) == len(set(carried))
        for client in self.clients.values():
            for stream in client.active:
                homes = [link for link in links if link in self.play.pool.carriers.of(stream)]
                assert len(homes) == 1
                assert stream in homes[0].streams

    @invariant()
    def nobody_waits_too_long(self) -> None:
        for client in getattr(self, "clients", {}).values():
            for _, since_ns in client.asked:
                assert self.play.mono_ns - since_ns <= PATIENCE_NS

    def teardown(self) -> None:
        """Give a willing venue the time to do everything: then both sides' books agree."""
        if not hasattr(self, "play"):
            return
        for _ in range(300):
            for number, connection in list(self.connections.items()):
                if connection.going:
                    del self.connections[number]
                    self.hear(self.play.closed(number, 1000))
                elif not connection.is_open:
                    connection.is_open = True
                    self.hear(self.play.opened(number))
                else:
                    self.advance(number, connection)
            self.wait(0.5)
        self.hear(self.play.do(e.Tick()))
        assert not any(client.asked for client in self.clients.values())
        wanted = {stream for client in self.clients.values() for stream in client.active}
        held = [s for c in self.connections.values() for s in c.holds if s != self.keepalive]
        assert sorted(held) == sorted(wanted - {self.keepalive})
        assert all(self.keepalive in c.holds for c in self.connections.values() if self.keepalive)
        assert bool(self.connections) == bool(wanted)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=60, stateful_step_count=60, deadline=None, derandomize=True
)
