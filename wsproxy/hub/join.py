"""One stream out of the several connections (lines) that carry it: each message once, in order.

So it is for a while when a stream changes connections, and always with redundancy. The lines
that are *joined* bring the same messages: whichever is first with one delivers it, and the copies
of the others are dropped. A line that is new has to join: nothing of it is delivered before both
it and those that are joined have brought the same message, which proves that there is no hole
between them. What it brings before that is held.

What is the same is the venue's to say (``Mark``). Numbers prove. Equal contents prove unless a
stream repeats itself while a line joins it: a wrong guess then is one about the order of equals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from wsproxy.hub.copies import LAG_NS, History, Message, copies_held
from wsproxy.hub.joinline import JoinLine
from wsproxy.venues.base import Numbered, Same, Snapshot, Span, State, Venue

PATIENCE_NS = LAG_NS
"""For so long a line may take to join."""

_ASK_AGAIN_NS = 500_000_000


class Item(NamedTuple):
    """A message to deliver, and the line that brought it."""

    line: int
    payload: bytes


class Removed(NamedTuple):
    """What a line's end means: ``whole`` if the others bring all that clients have not got."""

    whole: bool
    items: list[Item]


class Settled(NamedTuple):
    """A line took over although clients may have missed something; ``why`` says how that is."""

    line: int
    why: str
    items: list[Item]


class Lead(NamedTuple):
    """How many messages a line brought before another one, and by how much all together."""

    wins: int
    lead_ns: int


class Join:
    """One stream's lines. Lines are numbered; times are monotonic, in ns.

    ``last`` is what was delivered of the stream so far, where it has numbers. ``known`` gives the
    late-join state that all delivered messages were fed to: with it a new line's snapshot is
    compared to what clients were told, and delivered where that differs. Without it the
    snapshots of lines that are proven to join are dropped.
    """

    def __init__(
        self,
        venue: Venue,
        stream: str,
        *,
        last: Span | None = None,
        known: Callable[[], State | None] | None = None,
        heard: Callable[[int], int] | None = None,
        silence_ns: int = 0,
    ) -> None:
        self._mark = venue.mark
        self._new_state = venue.state
        self._stream = stream
        self._known = known
        self._heard = heard
        self._silence_ns = silence_ns
        self._last = None if last is None else last.last
        self.last_ns: int | None = None
        """When a message was last delivered."""
        self._history = History(keep=known is not None)
        self._is_orphaned = False
        """No line is joined any more, and those that are left hold nothing."""
        self.is_restless = False
        """Whether ``settle`` has something to do at once."""
        self._lines: dict[int, JoinLine] = {}

    @property
    def lines(self) -> Collection[int]:
        """All lines."""
        return self._lines.keys()

    @property
    def joined(self) -> tuple[int, ...]:
        """The lines whose messages are delivered."""
        return tuple(number for number, line in self._lines.items() if line.is_joined)

    def is_joined(self, line: int) -> bool:
        """Whether this line's messages are delivered."""
        return self._lines[line].is_joined

    def leads(self) -> dict[int, Lead]:
        """Who leads, by how much: counted when the copy of another line comes."""
        return {number: Lead(line.wins, line.lead_ns) for number, line in self._lines.items()}

    # --- lines ---

    def add(self, line: int, *, source: bool) -> None:
        """A line carries the stream, too. A source is joined at once: clients got its messages."""
        self._lines[line] = JoinLine(is_joined=source)

    def acknowledged(self, line: int, now_ns: int) -> None:
        """The venue granted the stream on this line; patience with it starts."""
        self._lines[line].since_ns = now_ns

    def remove(self, line: int, now_ns: int) -> Removed:
        """A line carries the stream no longer.

        Where no other line is joined, one that has brought something is to take over: that it holds
        what nobody delivered means that something may be missing. One that has brought nothing
        may still prove, by what comes, that it was behind and will bring all.
        """
        del self._lines[line]
        if self.joined:
            return Removed(whole=True, items=[])
        if not self._lines:
            self._begin_anew()
            return Removed(whole=False, items=[])
        nothing_held = not any(line.held for line in self._lines.values())
        if nothing_held and self.last_ns is not None:
            self._is_orphaned = True
            return Removed(whole=True, items=[])
        heir = min(self._lines, key=lambda number: _age(self._lines[number].since_ns))
        return Removed(whole=False, items=self._trust(heir, now_ns))

    def follow(self) -> None:
        """Deliver what comes next, from any line: its numbers tell whether anything is missing."""
        for line in self._lines.values():
            self._admit(line, [])

    @property
    def held_since_ns(self) -> int | None:
        """When the first message came that is held; None if none is."""
        return min((line.held[0].ns for line in self._lines.values() if line.held), default=None)

    def passed(self, last: Span | None, ns: int) -> list[Item]:
        """A source delivered all up to these numbers, at this time, before others could bring it.

        Returns what follows that and is held.
        """
        self.last_ns = ns
        if last is None:
            return []
        self._last = last.last
        proven: list[Message] = []
        for line in self._lines.values():
            if line.follows(last.last):
                proven += line.let_go()
                self._admit(line, [])
        return self._release(proven)

    # --- messages ---

    def offer(self, line: int, payload: bytes, now_ns: int) -> list[Item]:
        """A line brought a message; returns what to deliver now, in order."""
        self._history.expire(now_ns)
        mark = self._mark(payload, self._stream)
        if isinstance(mark, Snapshot):
            return self._state_afresh(line, payload, now_ns)
        if isinstance(mark, Same):
            return self._take(Message(line, payload, mark, hash(mark.identity), now_ns))
        mine = self._lines[line]
        if mine.count is not None and mark.last < mine.count:
            self._count_anew(mine, now_ns)
        mine.count = mark.last
        return self._take(Message(line, payload, mark, mark.last, now_ns))

    def _take(self, message: Message) -> list[Item]:
        if self._lines[message.line].is_joined:
            return self._pass(message)
        return self._prove(message)

    def _pass(self, message: Message) -> list[Item]:
        """A joined line brought this: deliver it, unless another one did before."""
        copied = self._history.copied(message)
        if copied is not None and copied.line in self._lines:
            winner = self._lines[copied.line]
            winner.wins += 1
            winner.lead_ns += message.ns - copied.ns
        mark = message.mark
        if isinstance(mark, Same):
            return self._deliver(message) if copied is None else []
        if self._last is None:
            return self._deliver(message)
        alone = len(self.joined) == 1
        if mark.last <= self._last:
            # Alone, a number that was not delivered means that the venue counts anew.
            return self._deliver(message) if alone and message.key not in self._history else []
        if mark.gapless and mark.first != self._last + 1:
            return self._jump(message, mark.first, alone=alone)
        return self._deliver(message)

    def _jump(self, message: Message, first: int, *, alone: bool) -> list[Item]:
        """A joined line has missed something that others may still bring, or hold already."""
        holder = next((n for n, line in self._lines.items() if line.holds_before(first)), None)
        if alone and holder is None:
            return self._deliver(message)
        mine = self._lines[message.line]
        mine.part(message.ns)
        mine.hold(message)
        return self._trust(holder, message.ns) if alone and holder is not None else []

    def _prove(self, message: Message) -> list[Item]:
        """A line that has to join brought this: perhaps it was delivered already, or is next."""
        mine, mark = self._lines[message.line], message.mark
        delivered, follows = message.key in self._history, False
        if isinstance(mark, Span) and self._last is not None:
            # Orphaned, a number that was not delivered may also mean that the venue counts anew.
            delivered |= mark.last <= self._last and not self._is_orphaned
            follows = mark.first == self._last + 1
        if not delivered and not follows:
            mine.hold(message)
            self.is_restless |= self._is_orphaned
            return []
        before = [one.payload for one in mine.let_go()]
        if follows:
            self._admit(mine, before)
            return self._pass(message)
        if message.key not in self._history:
            mine.snapshot = None  # what followed is forgotten, so there is nothing to compare
        since = self._history.owe(message.line, message.key)
        self._admit(mine, [*before, message.payload, *since])
        return []

    def _deliver(self, message: Message) -> list[Item]:
        mark = message.mark
        if isinstance(mark, Span):
            self._last = mark.last
        self.last_ns = max(self.last_ns or 0, message.ns)
        owing = tuple(number for number in self.joined if number != message.line)
        self._history.add(message, owing)
        self._tell(message.payload)
        # Every line that this proves is joined before anything is released: it owes that, too.
        proven: list[Message] = []
        for line in self._lines.values():
            copies = None if line.is_joined else copies_held(line.held, message)
            if copies is not None:
                held = line.let_go()
                self._admit(line, [one.payload for one in held[:copies]])
                proven += held[copies:]
        return [Item(message.line, message.payload), *self._release(proven)]

    def _release(self, held: Iterable[Message]) -> list[Item]:
        return [item for message in held for item in self._take(message)]

    # --- snapshots ---

    def _state_afresh(self, number: int, payload: bytes, now_ns: int) -> list[Item]:
        """A snapshot: of the only joined line it is delivered, any other joins anew with it.

        (What others delivered may be ahead of the line, and their copies would not come again.)
        """
        line = self._lines[number]
        if self.joined == (number,):
            self._begin_anew()
            self.last_ns = now_ns
            self._tell(payload)
            return [Item(number, payload)]
        if line.is_joined:
            line.part(now_ns, payload)
        else:
            line.let_go()
            line.snapshot = payload
        return []

    def _admit(self, line: JoinLine, told: list[bytes]) -> None:
        """A line is joined; ``told`` is what followed its snapshot and was delivered."""
        if line.snapshot is not None and self._known is not None:
            line.told = [line.snapshot, *told]
        line.is_joined, line.snapshot = True, None
        self._is_orphaned = self.is_restless = False

    def _tell(self, payload: bytes) -> None:
        for line in self._lines.values():
            line.tell(payload)

    def _afresh(self, told: list[bytes]) -> list[bytes]:
        """The state that these messages make, if clients were told another one."""
        known = None if self._known is None else self._known()
        state = self._new_state(self._stream)
        if known is None or state is None:
            return []
        for payload in told:
            state.feed(payload)
        body = None if known.same(state) else state.snapshot()
        if body is None:
            return []
        return [body.first() if isinstance(body, Numbered) else body]

    # --- time ---

    def settle(self, now_ns: int) -> Settled | None:
        """Join the lines that had nothing to miss, and one for which patience has ended.

        Call it again until it returns None.
        """
        for number, line in self._lines.items():
            if not line.is_joined and not line.held and self._due_ns(line) <= now_ns:
                if self._is_orphaned:
                    why = "one connection ended, and the other has brought nothing"
                    return Settled(number, why, self._trust(number, now_ns))
                since_ns = line.since_ns or 0
                if self._is_quiet(since_ns, now_ns):
                    self._history.owe(number, since_ns=since_ns)  # it may be that late
                    self._admit(line, [])
                else:
                    line.later_ns = now_ns + _ASK_AGAIN_NS
        for number, line in self._lines.items():
            if line.told is not None:
                told, line.told = line.told, None
                items = [Item(number, payload) for payload in self._afresh(told)]
                if items:
                    why = "a new connection's snapshot differs from what clients were told"
                    return Settled(number, why, items)
            if line.held and (self.is_restless or self._due_ns(line) <= now_ns):
                why = "its connections had no message in common"
                return Settled(number, why, self._trust(number, now_ns))
        return None

    def next_deadline_ns(self) -> int | None:
        """When ``settle`` has something to do; it may be in the past."""
        due = min((self._due_ns(line) for line in self._lines.values()), default=_NEVER)
        return None if due == _NEVER else int(due)

    def _due_ns(self, line: JoinLine) -> float:
        if line.told is not None:
            return 0
        if line.is_joined or line.since_ns is None:
            return _NEVER
        quiet_ns = line.since_ns if line.held else max(line.since_ns, self.last_ns or 0)
        return max(quiet_ns + PATIENCE_NS, line.later_ns)

    def _is_quiet(self, since_ns: int, now_ns: int) -> bool:
        """Whether the joined lines brought all that was said before a new one could hear it.

        So it is once something came from them that is younger, in whatever stream; or they
        have been silent for longer than a connection that lives.
        """
        due_ns = since_ns + PATIENCE_NS
        if self._heard is None or now_ns >= due_ns + self._silence_ns:
            return True
        return any(self._heard(number) >= due_ns for number in self.joined)

    def _trust(self, number: int, now_ns: int) -> list[Item]:
        """Join a line without proof: deliver all that it holds, its snapshot first."""
        line = self._lines[number]
        held, items = line.let_go(), []
        if held:
            self._last = None
        else:
            self._history.owe(number)  # it may bring some of that yet
        if line.snapshot is not None:
            for other in self._lines.values():
                if other is not line and other.is_joined:
                    other.part(now_ns)  # it may be behind the snapshot
            self._begin_anew()
            items.append(Item(number, line.snapshot))
        line.is_joined, line.snapshot = True, None
        self._is_orphaned = self.is_restless = False
        return items + self._release(held)

    # --- beginning anew ---

    def _begin_anew(self) -> None:
        """What was delivered before says nothing about what comes now."""
        self._last = None
        self._history.clear()

    def _count_anew(self, line: JoinLine, now_ns: int) -> None:
        """The venue's numbers begin again: those of other lines will follow."""
        if line.is_joined:
            self._begin_anew()
            for other in self._lines.values():
                if other is not line and other.is_joined:
                    other.part(now_ns)
        else:
            line.let_go()


_NEVER = float("inf")


def _age(since_ns: int | None) -> float:
    return _NEVER if since_ns is None else since_ns
