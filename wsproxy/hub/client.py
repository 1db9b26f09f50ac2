"""A client as the hub sees it: what it has, and what it asked for and was not answered yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from wsproxy.hub.cohort import Member
from wsproxy.hub.limits import Window
from wsproxy.venues.base import Request, Session
from wsproxy.venues.profile import Rate

PATIENCE_NS = 15_000_000_000
"""How long a client's subscription may wait for the venue before it is refused."""

REQUEST_RATE = Rate(100, 1_000_000_000)
"""What one client may ask for: far above any venue's own limit, far below harm."""


Said = tuple[bytes, int]
"""A message of the client: payload and opcode."""


@dataclass(slots=True)
class Pending:
    """A request that is not answered yet."""

    request: Request
    deadline_ns: int
    outstanding: set[str] = field(default_factory=set)
    """Streams that the venue has not granted yet."""
    refused: str | None = None
    said: Said | None = field(default=None, repr=False)
    streams: frozenset[str] = field(init=False)
    """Those that it subscribes."""

    def __post_init__(self) -> None:
        """Have its streams at hand."""
        wanted = self.request.streams if self.request.kind == "subscribe" else ()
        self.streams = frozenset(wanted)

    @property
    def is_ready(self) -> bool:
        """Whether it can be answered, once those before it are."""
        return self.refused is not None or not self.outstanding


class Client:
    """One client. Its requests are answered in the order in which it made them."""

    def __init__(
        self, number: int, session: Session, priority: int = 0, *, conflates: bool = False
    ) -> None:
        self.session = session
        self.priority = priority
        """Who has the greater one gets the room that is left."""
        self.member = Member(number, conflates=conflates)
        self.active: dict[str, None] = {}
        """Its streams, in order of subscription."""
        self.waiting: deque[Pending] = deque()
        self.window = Window(REQUEST_RATE)

    def ask(self, request: Request, now_ns: int, said: Said | None = None) -> Pending:
        """Queue a request; ``said`` is the message that it came in."""
        pending = Pending(request, now_ns + PATIENCE_NS, said=said)
        self.waiting.append(pending)
        return pending

    def next_ready(self) -> Pending | None:
        """Take the oldest request off the queue, if it can be answered."""
        return self.waiting.popleft() if self.waiting and self.waiting[0].is_ready else None

    def resolve(self, stream: str, why: str | None) -> None:
        """A stream that requests wait for is live (``why`` is None) or refused."""
        for pending in self.waiting:
            if stream in pending.streams:
                pending.outstanding.discard(stream)
                pending.refused = pending.refused or why

    def expire(self, now_ns: int, reason: Callable[[str], str]) -> int:
        """Refuse what waited too long; ``reason`` says why a stream is not live yet.

        Returns how many requests that were.
        """
        expired = 0
        for pending in self.waiting:
            if not pending.is_ready and pending.deadline_ns <= now_ns:
                why = reason(min(pending.outstanding))
                pending.refused = f"not subscribed within {PATIENCE_NS // 10**9} s: {why}"
                expired += 1
        return expired

    def unanswered(self) -> list[Said]:
        """The messages that it sent and that were not answered yet, in order."""
        return [pending.said for pending in self.waiting if pending.said is not None]

    def held(self) -> list[str]:
        """The streams that it has, and those that its address asked for."""
        opening = (p.request.streams for p in self.waiting if p.said is None)
        return list(dict.fromkeys([*self.active, *(s for streams in opening for s in streams)]))

    def keeps(self) -> set[str]:
        """The streams that it has or still waits for."""
        kept = set(self.active)
        for pending in self.waiting:
            if pending.request.kind == "subscribe":
                kept.update(pending.request.streams)
        return kept
