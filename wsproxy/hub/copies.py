"""What was delivered of a stream lately, so that copies from other connections are recognised."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

from wsproxy.venues.base import Same, Span

LAG_NS = 3_000_000_000
"""No line lags behind another by more. (What a recording brings has the time that it has there.)"""

_KEPT_NS = 10_000_000_000
_KEPT_MOST = 4096


class Message(NamedTuple):
    """A message of a stream, as a line (a connection) brought it."""

    line: int
    payload: bytes
    mark: Span | Same
    key: int
    """Equal where the mark is: the last number, or the hash of the identity.

    Contents themselves would keep megabytes alive; of hashes, 64 bits with a secret key, no two
    are equal by chance within so short a history.
    """
    ns: int
    """When it came."""


class Delivered:
    """A message that was delivered, and the lines that are to bring their copies yet."""

    __slots__ = ("key", "line", "ns", "owing", "payload")

    def __init__(self, message: Message, payload: bytes, owing: tuple[int, ...]) -> None:
        self.key = message.key
        self.line = message.line
        self.ns = message.ns
        self.payload = payload
        self.owing = owing


class History:
    """The messages that were delivered last, bounded by number and age.

    ``keep`` keeps their payloads, too.
    """

    def __init__(self, *, keep: bool) -> None:
        self._keep = keep
        self._order: deque[Delivered] = deque()
        self._by_key: dict[int, list[Delivered]] = {}

    def __contains__(self, key: int) -> bool:
        return key in self._by_key

    def add(self, message: Message, owing: tuple[int, ...]) -> None:
        """A message was delivered; these lines are to bring it, too."""
        delivered = Delivered(message, message.payload if self._keep else b"", owing)
        self._order.append(delivered)
        self._by_key.setdefault(delivered.key, []).append(delivered)

    def copied(self, message: Message) -> Delivered | None:
        """What this message is the copy of that its line owed; None if it owed none such."""
        for delivered in self._by_key.get(message.key, ()):
            if message.line in delivered.owing:
                delivered.owing = tuple(one for one in delivered.owing if one != message.line)
                return delivered
        return None

    def owe(self, line: int, after: int | None = None, since_ns: int = 0) -> list[bytes]:
        """A line is to bring all that was delivered after the first message of a key.

        Without a key that is everything since a time; after a key that is unknown nothing.
        Returns the payloads.
        """
        order = iter(self._order)
        if after is not None:
            first = self._by_key[after][0] if after in self._by_key else None
            while next(order, None) is not first:
                pass
        owed = [delivered for delivered in order if delivered.ns >= since_ns]
        for delivered in owed:
            delivered.owing += (line,)
        return [delivered.payload for delivered in owed]

    def expire(self, now_ns: int) -> None:
        """Forget what is too old or too much."""
        order = self._order
        while order and (len(order) > _KEPT_MOST or order[0].ns < now_ns - _KEPT_NS):
            key = order.popleft().key
            del self._by_key[key][0]
            if not self._by_key[key]:
                del self._by_key[key]

    def clear(self) -> None:
        """Forget everything."""
        self._order.clear()
        self._by_key.clear()


def copies_held(held: Iterable[Message], delivered: Message) -> int | None:
    """How many of the messages that a line holds are delivered by now that this one is.

    None where nothing proves that it missed none between these and the delivered ones.
    """
    mark = delivered.mark
    if isinstance(mark, Same):
        near = takewhile(lambda one: one.ns <= delivered.ns + LAG_NS, held)
        return next((n for n, one in enumerate(near, 1) if one.key == delivered.key), None)
    copies = None
    for before, one in enumerate(held):
        if not isinstance(one.mark, Span):
            continue
        if one.mark.last > mark.last:
            return before if copies is None and one.mark.first == mark.last + 1 else copies
        copies = before + 1
    return copies
