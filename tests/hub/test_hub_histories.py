"""Random histories of a hub between clients and a venue that keeps the books on both.

The venue enforces its limits, answers late, refuses, loses messages, breaks connections; these are
replaced, and with redundancy each stream comes on two. Clients come, change their minds and go.
Whatever happens, the rules of ``Histories`` hold at every step. Above all: what a client is told
of a stream is what was published, in order and once, but for holes that are declared.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import Play
from wsproxy.hub import events as e
from wsproxy.hub.client import PATIENCE_NS
from wsproxy.model import Kind
from wsproxy.venues.profile import Rate

CAP = 3
MOST_STREAMS = 3
REQUESTS = Rate(3, SECOND)
CONNECTS = Rate(4, 20 * SECOND)
LINGER_NS = 4 * SECOND
LAG_NS = SECOND
"""No message is under way for longer."""
BAD = {"x", "bad@x"}
STREAMS = ["a", "b", "seq", "book", "c@x", "book@x", "beat", *sorted(BAD)]

streams = st.lists(st.sampled_from(STREAMS), min_size=1, max_size=3, unique=True)


@dataclass
class Connection:
    """As the venue sees it."""

    endpoint: str
    is_open: bool = False
    unsent: deque[str] = field(default_factory=deque)
    unread: deque[str] = field(default_factory=deque)
    unsaid: deque[str] = field(default_factory=deque)
    wire: deque[tuple[int, str]] = field(default_factory=deque)
    """Data under way, and since when."""
    holds: set[str] = field(default_factory=set)
    frames: list[int] = field(default_factory=list)
    going: bool = False


@dataclass
class Told:
    """What a client knows of a stream that it has."""

    last: int = 0
    """The number that it was told last; 0 before the first."""
    gaps: int = 0
    """How many there had been then."""


@dataclass
class Asker:
    """A client, by what it was told."""

    active: list[str] = field(default_factory=list)
    asked: deque[tuple[str, int]] = field(default_factory=deque)
    told: dict[str, Told] = field(default_factory=dict)
    highest: Counter[str] = field(default_factory=Counter)


class Recorder(Play):
    """Keeps what is recorded by name, and counts gaps."""

    def told(self, commands: Iterable[e.Command]) -> list[str]:
        commands = list(commands)
        for command in commands:
            if isinstance(command, e.Note) and command.kind is Kind.MESSAGE:
                self.behind.append((command.streams, command.payload))
            elif isinstance(command, e.Note) and command.kind is Kind.GAP:
                self.gaps.update(command.streams)
        return super().told(commands)

    gaps: Counter[str]
    recorded: Counter[str]
    """The number that was recorded last, by stream."""
    behind: list[tuple[tuple[str, ...], bytes]]
    """Noted, and to be recorded behind the batch that is on its way."""

    def record(self, names: tuple[str, ...], payload: bytes) -> None:
        value = payload.rpartition(b" ")[2]
        for name in names if value.isdigit() else ():
            in_order = int(value) > self.recorded[name]
            assert in_order or name == self.venue.profile.keepalive, "recorded once, in order"
            self.recorded[name] = int(value)

    def carry(self, connection: int, texts: list[str]) -> list[str]:
        """One chunk of data; the notes that it causes are recorded behind it."""
        self.flush()
        lines = self.venue_says(connection, *texts)
        for names, payload in zip(self.batch.streams, self.batch.payloads, strict=False):
            self.record(names, payload)
        self.flush()
        return lines

    def flush(self) -> None:
        for names, payload in self.behind:
            self.record(names, payload)
        self.behind.clear()


class Histories(RuleBasedStateMachine):
    connections: dict[int, Connection]
    play: Recorder

    @initialize(
        keepalive=st.sampled_from([None, "beat"]),
        close_on_gap=st.booleans(),
        lists=st.booleans(),
        copies=st.sampled_from([1, 1, 2]),
    )
    def start(self, keepalive: str | None, close_on_gap: bool, lists: bool, copies: int) -> None:
        venue = FakeVenue(
            keepalive=keepalive,
            streams_per_connection=MOST_STREAMS,
            requests=REQUESTS,
            connects=CONNECTS,
        )
        self.play = Recorder(
            venue,
            cap=CAP,
            close_on_gap=close_on_gap,
            linger_ns=LINGER_NS,
            redundancy=lambda stream: copies,
            mirrors=(1.0,) * copies,
        )
        self.play.gaps, self.play.recorded, self.play.behind = Counter(), Counter(), []
        self.keepalive = keepalive
        self.close_on_gap = close_on_gap
        self.lists = lists
        self.copies = copies
        self.connections = {}
        self.clients: dict[int, Asker] = {}
        self.attempts: list[int] = []
        self.published: dict[str, list[int]] = {stream: [] for stream in STREAMS}
        self.number = 0
        self.claims: list[tuple[int, str, int]] = []
        """Clients that saw a hole in a stream, and how many gaps there had been before it."""
        self.next_client = 1
        for names in ("a,book", "seq,c@x"):
            self.join()
            self.say(self.next_client - 1, f"+{names}")
        self.go_on(12)

    # --- what the hub says ---

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            head, _, rest = line.partition(" ")
            if head == "open":
                connection_number, endpoint = rest.split()[:2]
                self.connections[int(connection_number)] = Connection(endpoint)
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
                self.told(int(head[1:-1]), rest)
        for number, stream, gaps in self.claims:
            is_open = stream in self.play.pool.intake.gaps.holes
            assert self.play.gaps[stream] > gaps or is_open, f"an undeclared hole in {stream}"
            mends = not self.close_on_gap or self.play.venue.resnapshots(stream)
            assert mends or number not in self.clients, f"a hole in {stream} closed nobody"
        self.claims.clear()

    def told(self, number: int, text: str) -> None:
        client = self.clients[number]
        kind, _, rest = text.partition(" ")
        if kind == "snapshot":
            numbers = [int(one) for one in rest.split(",")]
            books = [self.published[stream][: len(numbers)] for stream in ("book", "book@x")]
            gaps = self.play.pool.intake.gaps
            is_holed = any(self.play.gaps[s] or s in gaps.holes for s in ("book", "book@x"))
            assert numbers in books or is_holed, (numbers, books)
        elif kind in ("ok", "no"):
            tag, _, answer = rest.partition(": ")
            asked, _ = client.asked.popleft()
            assert tag == asked, "answers in the order of the requests"
            if kind == "ok":
                client.active = [s for s in answer.split(",") if s]
                client.told = {s: client.told.get(s, Told()) for s in client.active}
        else:
            for stream in kind.split("+"):
                if stream != self.keepalive:  # its copies may differ: it only keeps alive
                    self.saw(number, client, stream, rest)

    def saw(self, number: int, client: Asker, stream: str, value: str) -> None:
        assert stream in client.active, (number, stream, value)
        told = client.told[stream]
        now = int(value.rpartition(",")[2].removeprefix("="))
        is_snapshot = value.startswith("=")
        highest = client.highest[stream]
        assert now > highest or (is_snapshot and now == highest), (number, stream, value, highest)
        missed = [n for n in self.published[stream] if told.last < n < now]
        if told.last and missed and not is_snapshot:
            self.claims.append((number, stream, told.gaps))
        client.told[stream] = Told(now, self.play.gaps[stream])
        client.highest[stream] = now

    @staticmethod
    def check_window(times: list[int], rate: Rate) -> None:
        start = times[-1] - rate.period_ns
        assert sum(time > start for time in times) <= rate.most

    # --- clients ---

    @rule()
    def join(self) -> None:
        number, self.next_client = self.next_client, self.next_client + 1
        self.clients[number] = Asker()
        self.hear(self.play.join(number, priority=number % 2))

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), sign=st.sampled_from("+++-?"), names=streams)
    def ask(self, data: st.DataObject, sign: str, names: list[str]) -> None:
        number = data.draw(st.sampled_from(sorted(self.clients)))
        self.say(number, "?" if sign == "?" else sign + ",".join(names))

    def say(self, number: int, text: str) -> None:
        self.clients[number].asked.append((text, self.play.mono_ns))
        self.hear(self.play.say(number, text))

    @precondition(lambda self: len(self.clients) > 1)
    @rule(data=st.data(), lags=st.booleans())
    def leave(self, data: st.DataObject, lags: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.clients)))
        if lags:
            self.hear(self.play.do(e.ClientLagged(number, 1, 1)))
        else:
            lines = self.play.leave(number)
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

    @rule(data=st.data(), times=st.integers(1, 6))
    def steps(self, data: st.DataObject, times: int) -> None:
        """A frame leaves, is read, is answered: whatever can happen first."""
        number = self.pick(data, is_open=True)
        for _ in range(times if number is not None else 0):
            assert number is not None
            self.advance(number, self.connections[number])

    @rule(turns=st.integers(1, 12))
    def go_on(self, turns: int) -> None:
        """The venue does what it should."""
        for _ in range(turns):
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
            connection.holds -= batch
        elif batch & BAD:
            connection.unsaid.append(f"!no {request_id} bad")
            return
        else:
            new = sorted(batch - connection.holds)
            connection.holds |= batch
            assert len(connection.holds) <= MOST_STREAMS
            for name in new:
                if self.play.venue.resnapshots(name) and self.published[name]:
                    book = ",".join(map(str, self.published[name]))
                    connection.wire.append((self.play.mono_ns, f"{name} ={book}"))
        listed = f"!holds {','.join(sorted(connection.holds))}"
        connection.unsaid.append(listed if self.lists else f"!ok {request_id}")

    @rule(data=st.data())
    def lose_answer(self, data: st.DataObject) -> None:
        number = self.pick(data, is_open=True)
        if number is not None and self.connections[number].unsaid:
            self.connections[number].unsaid.popleft()

    @rule(data=st.data(), code=st.sampled_from([1000, 1006]))
    def disconnect(self, data: st.DataObject, code: int) -> None:
        """What is under way is lost."""
        number = self.pick(data, is_open=True)
        if number is not None:
            del self.connections[number]
            self.hear(self.play.closed(number, code))

    @rule()
    def rotate(self) -> None:
        self.hear(self.play.rotate())

    # --- data ---

    @rule(names=st.lists(st.sampled_from(["a", "b", "book", "c@x"]), max_size=2, unique=True))
    def publish(self, names: list[str]) -> None:
        """One message of one or two streams."""
        self.number += 1
        for name in names:
            self.published[name].append(self.number)
        for connection in self.connections.values():
            held = [name for name in names if name in connection.holds]
            if held:
                self.send(connection, f"{'+'.join(held)} {self.number}")

    @rule(stream=st.sampled_from(["seq", "seq", "beat", "book@x"]))
    def publish_one(self, stream: str) -> None:
        """Numbers of ``seq`` have no gaps."""
        self.number += 1
        number = len(self.published[stream]) + 1 if stream == "seq" else self.number
        self.published[stream].append(number)
        for connection in self.connections.values():
            if stream in connection.holds:
                self.send(connection, f"{stream} {number}")

    def send(self, connection: Connection, text: str) -> None:
        connection.wire.append((self.play.mono_ns, text))

    @rule(data=st.data(), count=st.integers(1, 4))
    def arrive(self, data: st.DataObject, count: int) -> None:
        number = self.pick(data, is_open=True)
        if number is not None:
            self.bring(number, count)

    def bring(self, number: int, count: int) -> None:
        wire = self.connections[number].wire
        texts = [wire.popleft()[1] for _ in range(min(count, len(wire)))]
        if texts:
            self.hear(self.play.carry(number, texts))

    @rule(data=st.data())
    def lose_message(self, data: st.DataObject) -> None:
        """One whose number is missed."""
        number = self.pick(data, is_open=True)
        wire = self.connections[number].wire if number is not None else None
        if wire and wire[0][1].startswith("seq "):
            wire.popleft()

    # --- time ---

    @rule(seconds=st.sampled_from([0.05, 0.5, 2, 6, 16]))
    def time_passes(self, seconds: float) -> None:
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        until_ns = self.play.mono_ns + int(seconds * SECOND)
        for number, connection in list(self.connections.items()):
            late = [since for since, _ in connection.wire if since + LAG_NS < until_ns]
            if late and number in self.connections:
                self.bring(number, len(late))
        for lines in self.play.ticks(seconds):
            self.hear(lines)

    # --- what always holds ---

    @invariant()
    def streams_are_where_they_belong(self) -> None:
        if not hasattr(self, "play"):
            return
        pool = self.play.pool
        assert len(pool.links) == pool.placement.share.used <= CAP
        for link in pool.links:
            assert len(link.streams) <= MOST_STREAMS
            assert link.characters == sum(map(len, link.streams))
            assert set(link.leaving) <= set(link.streams)
            for stream in link.streams:
                assert stream == self.keepalive or link in pool.carriers.of(stream)
        for stream in pool.carriers.streams():
            homes = pool.carriers.of(stream)
            assert len([link for link in homes if stream not in link.leaving]) <= self.copies
            assert all(stream in link.streams for link in homes)
        assert pool.carriers.joins.keys() <= set(pool.carriers.streams())
        assert pool.carriers.joining.keys() <= pool.carriers.joins.keys()
        for client in self.clients.values():
            for stream in client.active:
                assert pool.carriers.of(stream)

    @invariant()
    def nobody_waits_too_long(self) -> None:
        for client in getattr(self, "clients", {}).values():
            for _, since_ns in client.asked:
                assert self.play.mono_ns - since_ns <= PATIENCE_NS

    def teardown(self) -> None:
        """Give a willing venue the time to do everything: then both sides' books agree."""
        if not hasattr(self, "play"):
            return
        for _ in range(30):
            self.publish_all()
            self.go_on(10)
        self.hear(self.play.do(e.Tick()))
        assert not any(client.asked for client in self.clients.values())
        wanted = {stream for client in self.clients.values() for stream in client.active}
        held = Counter(s for c in self.connections.values() for s in c.holds if s != self.keepalive)
        assert held.keys() == wanted - {self.keepalive}
        assert all(count <= self.copies for count in held.values())
        assert all(self.keepalive in c.holds for c in self.connections.values() if self.keepalive)
        assert bool(self.connections) == bool(wanted)
        assert not any(link.rotating or link.leaving for link in self.play.pool.links)
        self.publish_all()
        self.wait(10)
        for client in self.clients.values():
            for stream in client.active:
                last = self.published[stream][-1]
                assert stream == self.keepalive or client.told[stream].last == last

    def publish_all(self) -> None:
        for stream in STREAMS:
            if stream not in BAD:
                self.publish_one(stream)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, derandomize=True
)
