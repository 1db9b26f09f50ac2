"""Whom a stand-in exchange lets in: connection attempts, connections at once, bans."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from tests.kit.peer import Limit, Window

UNDER_WAY_S = 0.5
"""Attempts that come so soon after the first refusal of a ban had begun before it."""


class Refusal(NamedTuple):
    """The HTTP answer to a handshake that is not let in."""

    status: int
    why: str
    retry_after_s: int | None = None


class Gate:
    """The limits that an exchange counts over all connections of an address.

    ``cap`` are connections at once. After ``ban_after`` violations of any kind the address is
    banned for ``ban_s`` seconds of ``clock``, and so again after as many more.
    """

    def __init__(
        self,
        attempts: Limit,
        cap: int | None,
        clock: Callable[[], float],
        ban_after: int | None = None,
        ban_s: float = 120,
    ) -> None:
        self.violations: list[str] = []
        self.refused: list[int] = []
        self._attempts = Window(attempts, clock)
        self._cap = cap
        self._clock = clock
        self._ban_after = ban_after
        self._ban_s = ban_s
        self._ban_status = 418
        self._banned_until = -math.inf
        self._told_at: float | None = None
        self._told_to_wait: deque[Refusal] = deque()

    def knock(self, connections: int) -> Refusal | None:
        """Judge one attempt while so many connections are open."""
        refusal = self._judge(connections)
        if refusal is not None:
            self.refused.append(refusal.status)
        return refusal

    def _judge(self, connections: int) -> Refusal | None:
        if self._attempts.exceeded():
            why = f"more than {self._attempts.limit.most} attempts"
            self.violated(why)
            return Refusal(429, why, math.ceil(self._attempts.room_in_s()))
        if (left_s := self._banned_until - self._clock()) > 0:
            return self._banned(left_s)
        if self._told_to_wait:
            return self._told_to_wait.popleft()
        if self._cap is not None and connections >= self._cap:
            why = f"more than {self._cap} connections at once"
            self.violated(why)
            return Refusal(429, why, 1)
        return None

    def _banned(self, left_s: float) -> Refusal:
        now = self._clock()
        if self._told_at is None:
            self._told_at = now
        elif now > self._told_at + UNDER_WAY_S:
            self.violated(f"came back {left_s:.1f} s before the end of a ban")
        return Refusal(self._ban_status, "banned", math.ceil(left_s))

    def violated(self, why: str) -> None:
        """A client broke a limit."""
        self.violations.append(why)
        if self._ban_after and len(self.violations) % self._ban_after == 0:
            self.ban(self._ban_s)

    def ban(self, seconds: float, status: int = 418) -> None:
        """Let nobody in for so long; ``Retry-After`` says it, and who comes all the same errs."""
        self._banned_until = self._clock() + seconds
        self._ban_status = status
        self._told_at = None

    def refuse_next(self, status: int, times: int) -> None:
        """Turn the next attempts away without a reason."""
        retry_after_s = 1 if status in {418, 429, 503} else None
        self._told_to_wait.extend([Refusal(status, "not now", retry_after_s)] * times)
