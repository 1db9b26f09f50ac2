"""Ten minutes of virtual time with a fault every few seconds, against a venue of plain values.

50 clients, 300 streams. The venue counts what it is asked and keeps its limits; what every client
is told of every stream is what reached the hub, in order and once, but for what gap notes tell.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random

import pytest

from tests.hub.fake_venue import SECOND, FakeVenue
from tests.hub.playbook import WALL_NS, Play
from tests.kit.chaos import Fault, Gap, Item, Witness, judge, schedule
from wsproxy.hub import events as e
from wsproxy.model import Kind
from wsproxy.recording.events import read_event
from wsproxy.venues.profile import Rate

SECONDS = 600
CAP = 12
MOST_STREAMS = 50
REQUESTS = Rate(4, SECOND)
CONNECTS = Rate(30, 60 * SECOND)
STREAMS = [f"{kind}{n:03}{at}" for n in range(75) for kind in ("seq", "say") for at in ("", "@x")]
SEQUENCED = {stream for stream in STREAMS if stream.startswith("seq")}
MESSAGE_NS = SECOND // 25
LATENCY_NS = 5_000_000

KINDS = ("close", "refuse", "freeze", "swallow", "mute", "drop", "double", "delay", "rotate")


@dataclass(eq=False)
class Connection:
    """As the venue sees it."""

    number: int
    held: set[str] = field(default_factory=set)
    frames: list[int] = field(default_factory=list)
    is_open: bool = False
    is_gone: bool = False
    wire_ns: int = 0
    """When the last message that is under way arrives."""
    delay_ns: int = LATENCY_NS
    frozen_until_ns: int = 0
    copies: list[int] = field(default_factory=list)
    """How often the next messages with sequence numbers are sent."""


@dataclass(eq=False)
class Client:
    streams: list[str]
    told: dict[str, list[Item]] = field(default_factory=lambda: defaultdict(list))


class Chaos(Play):
    """A hub between its clients and the venue, and the clock of all of them."""

    def __init__(self, *, close_on_gap: bool, seed: int) -> None:
        venue = FakeVenue(
            streams_per_connection=MOST_STREAMS,
            streams_per_request=25,
            requests=REQUESTS,
            connects=CONNECTS,
        )
        super().__init__(venue, cap=CAP, close_on_gap=close_on_gap)
        self.dice = Random(seed)
        self.connections: dict[int, Connection] = {}
        self.clients: dict[int, Client] = {}
        self.past: list[Client] = []
        self.witnesses = {stream: Witness() for stream in STREAMS}
        self.last = dict.fromkeys(STREAMS, 0)
        self.doubled: dict[str, set[int]] = defaultdict(set)
        self.violations: list[str] = []
        self.refusing = 0
        self.swallowing = 0
        self.muted: set[str] = set()
        self._attempts: list[int] = []
        self._due: list[tuple[int, int, Callable[[], object]]] = []
        self._count = itertools.count()
        self._numbers = itertools.count(1)

    # --- time ---

    def at(self, time_ns: int, action: Callable[[], object]) -> None:
        heapq.heappush(self._due, (time_ns, next(self._count), action))

    def after(self, ns: int, action: Callable[[], object]) -> None:
        self.at(self.mono_ns + ns, action)

    def run(self, until_ns: int) -> None:
        """Let everything happen at its time."""
        woken = 0
        while True:
            due_ns = self.hub.next_deadline_ns(self.now)
            next_ns = self._due[0][0] if self._due else until_ns
            if due_ns is not None and due_ns <= min(next_ns, until_ns):
                woken = woken + 1 if due_ns <= self.mono_ns else 0
                assert woken < 100, "the hub wants to be woken without end"
                self.mono_ns = max(self.mono_ns, due_ns)
                self.hear(self.do(e.Tick()))
            elif next_ns <= until_ns and self._due:
                self.mono_ns = next_ns
                heapq.heappop(self._due)[2]()
            else:
                self.mono_ns = until_ns
                return

    # --- what the hub says ---

    def told(self, commands: Iterable[e.Command]) -> list[str]:
        commands = list(commands)
        for command in commands:
            if isinstance(command, e.Note) and command.kind is Kind.GAP:
                fields = read_event(command.payload)
                since, missed = fields["since"], fields.get("missed")
                assert isinstance(since, int)
                assert missed is None or isinstance(missed, int)
                for stream in command.streams:
                    gap = Gap(since - WALL_NS, self.mono_ns, missed)
                    self.witnesses[stream].gaps.append(gap)
        return super().told(commands)

    def hear(self, lines: list[str]) -> None:
        for line in lines:
            words = line.split()
            if words[0] == "open":
                self.attempted(Connection(int(words[1])))
            elif words[0] == "close":
                self.after(LATENCY_NS, partial(self.end, self.connections[int(words[1])], 1000))
            elif words[0] == "kick":
                self.gone(int(words[1][1:]))
            elif words[0].endswith(">"):
                connection = self.connections[int(words[0][:-1])]
                self.after(LATENCY_NS, partial(self.asked, connection, " ".join(words[1:])))
            elif words[1] == "no":  # the venue never answered, for instance
                self.depart(int(words[0][1:-1]))
            elif words[1] != "ok":
                client = self.clients.get(int(words[0][1:-1]))
                if client is not None:
                    client.told[words[1]].append(Item(words[1], int(words[2])))

    # --- clients ---

    def arrive(self, streams: list[str]) -> None:
        number = next(self._numbers)
        self.clients[number] = Client(streams)
        self.hear(self.join(number, "/" + ",".join(streams)))

    def depart(self, number: int) -> None:
        self.gone(number)
        self.hear(self.leave(number))

    def gone(self, number: int) -> None:
        """It will be back."""
        client = self.clients.pop(number)
        self.past.append(client)
        self.after(SECOND // 2, partial(self.arrive, client.streams))

    # --- the venue ---

    def attempted(self, connection: Connection) -> None:
        self.connections[connection.number] = connection
        self._attempts.append(self.mono_ns)
        self.check(self._attempts, CONNECTS, "connection attempts")
        if len(self.connections) > CAP:
            self.violations.append(f"{len(self.connections)} connections at once")
        refused, self.refusing = self.refusing > 0, max(0, self.refusing - 1)
        self.after(10 * LATENCY_NS, partial(self.answered, connection, refused))

    def answered(self, connection: Connection, refused: bool) -> None:
        if refused:
            self.end(connection, 1006)
        elif not connection.is_gone:
            connection.is_open = True
            self.hear(self.opened(connection.number))

    def end(self, connection: Connection, code: int = 1006) -> None:
        if not connection.is_gone:
            connection.is_gone = True
            del self.connections[connection.number]
            self.hear(self.closed(connection.number, code))

    def asked(self, connection: Connection, request: str) -> None:
        if connection.is_gone:
            return
        connection.frames.append(self.mono_ns)
        self.check(connection.frames, REQUESTS, f"requests on {connection.number}")
        self.hear(self.sent(connection.number))
        names, _, request_id = request[1:].partition(" #")
        if request.startswith("+"):
            connection.held.update(names.split(","))
        else:
            connection.held.difference_update(names.split(","))
        if len(connection.held) > MOST_STREAMS:
            self.violations.append(f"{len(connection.held)} streams on a connection")
        if self.swallowing:
            self.swallowing -= 1
        else:
            self.send(connection, f"!ok {request_id}")

    def check(self, times: list[int], rate: Rate, what: str) -> None:
        start = self.mono_ns - rate.period_ns
        if sum(time > start for time in times[-rate.most - 1 :]) > rate.most:
            self.violations.append(f"too many {what}")

    def send(self, connection: Connection, text: str) -> None:
        """Send one message; those of a connection keep their order."""
        arrives_ns = max(
            self.mono_ns + connection.delay_ns, connection.wire_ns, connection.frozen_until_ns
        )
        connection.wire_ns = arrives_ns
        self.at(arrives_ns, partial(self.hit, connection, text))

    def hit(self, connection: Connection, text: str) -> None:
        if connection.is_gone:
            return
        stream, _, number = text.partition(" ")
        if stream in self.witnesses:
            self.witnesses[stream].saw(Item(stream, int(number)), self.mono_ns)
        self.hear(self.venue_says(connection.number, text))
        if self.hub.is_restless:
            self.hear(self.do(e.Tick()))

    def trade(self, stream: str) -> None:
        """One message of a stream, to whoever holds it."""
        if stream in self.muted and stream not in SEQUENCED:
            return  # without numbers nobody could tell
        self.last[stream] += 1
        number = self.last[stream]
        for connection in list(self.connections.values()):
            if stream in connection.held and stream not in self.muted:
                copies = 1
                if connection.copies and stream in SEQUENCED:
                    copies = connection.copies.pop()
                if copies == 2:
                    self.doubled[stream].add(number)
                for _ in range(copies):
                    self.send(connection, f"{stream} {number}")

    def market(self, until_ns: int) -> None:
        """A message of a random stream, and so on."""
        self.trade(self.dice.choice(STREAMS))
        if self.mono_ns + MESSAGE_NS < until_ns:
            self.after(MESSAGE_NS, partial(self.market, until_ns))

    # --- what goes wrong ---

    def strike(self, fault: Fault) -> None:
        there = [c for c in self.connections.values() if c.is_open]
        if not there:
            return
        victim, dice = there[fault.target % len(there)], Random(fault.target)
        match fault.kind:
            case "close":
                self.end(victim, dice.choice([1000, 1001, 1006, 1011]))
            case "refuse":
                self.refusing = 2
                self.end(victim)
            case "freeze":
                victim.frozen_until_ns = self.mono_ns + 8 * SECOND
                if dice.random() < 0.5:
                    self.after(6 * SECOND, partial(self.end, victim))  # all under way is lost
            case "swallow":
                self.swallowing = 1
                self.end(victim)
            case "mute":
                self.muted = set(dice.sample(sorted(victim.held), min(3, len(victim.held))))
                self.after(8 * SECOND, self.muted.clear)
                self.end(victim)
            case "drop":
                victim.copies = [0, 1, 0]
            case "double":
                victim.copies = [2, 1, 2]
            case "delay":
                victim.delay_ns = 2 * SECOND
                self.after(4 * SECOND, lambda: setattr(victim, "delay_ns", LATENCY_NS))
            case "rotate":
                self.pool.rotate()
                self.hear(self.do(e.Tick()))


@pytest.mark.parametrize("close_on_gap", [False, True])
def test_ten_minutes(close_on_gap: bool) -> None:
    chaos = Chaos(close_on_gap=close_on_gap, seed=1)
    mixed = chaos.dice.sample(STREAMS, len(STREAMS))
    for number in range(50):
        extra = chaos.dice.sample(STREAMS, 3)
        chaos.arrive(list(dict.fromkeys([*mixed[number::50], *extra])))
    chaos.run(20 * SECOND)
    for stream in STREAMS:
        chaos.trade(stream)
    begin_ns, end_ns = 21 * SECOND, (21 + SECONDS) * SECOND
    for fault in schedule(1, SECONDS, KINDS, 3):
        chaos.at(begin_ns + int(fault.at * SECOND), partial(chaos.strike, fault))
    chaos.at(begin_ns, partial(chaos.market, end_ns))
    for settled_s in (150, 180):  # the first may show that something was lost, and close clients
        chaos.run(end_ns + settled_s * SECOND)
        for stream in STREAMS:
            chaos.trade(stream)
    chaos.run(end_ns + 190 * SECOND)

    assert chaos.violations == []
    assert len(chaos.clients) == 50
    wrong = [
        f"{stream}: {complaint}"
        for client in [*chaos.clients.values(), *chaos.past]
        for stream, items in client.told.items()
        for complaint in judge(
            items,
            chaos.witnesses[stream],
            holes_allowed=not close_on_gap,
            doubled=frozenset(chaos.doubled[stream]),
        )
    ]
    wrong += [
        f"{stream}: the last message never came"
        for client in chaos.clients.values()
        for stream in client.streams
        if not client.told[stream] or client.told[stream][-1].number != chaos.last[stream]
    ]
    assert not wrong, f"{len(wrong)} complaints:\n" + "\n".join(wrong[:20])
    if not close_on_gap:
        assert not [reason for reason in chaos.kicks if "gap" in reason]
