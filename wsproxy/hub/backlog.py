"""What waits for a client that wants no more than the newest of what it had no time to read."""

from __future__ import annotations

from typing import NamedTuple

from wsproxy.venues.base import Numbered

Item = bytes | Numbered
"""An encoded frame, or a message that is numbered and encoded for each client."""


class Content(NamedTuple):
    """What a message states of streams whose messages replace one another."""

    stream: str | None
    """The one of which it states all that there is, if it states nothing else."""
    others: tuple[str, ...] = ()
    """Those of which it states something beside something else: it can neither replace nor be."""


class Backlog:
    """Messages in order; the newest of a stream takes the place of the one that it replaces.

    So no stream waits longer for being busy, each stream's own order is kept, and what cannot be
    replaced stays where it is.
    """

    def __init__(self) -> None:
        self.bytes = 0
        """How much waits, without the heads of frames that are not encoded yet."""
        self.replaced = 0
        """How many messages were replaced, ever."""
        self._items: list[Item] = []
        self._newest: dict[str, int] = {}
        """The place of each stream's message, while a newer one may take it."""

    def add(self, item: Item, content: Content) -> bool:
        """Put a message behind the others, or in the place of one: then the result is True."""
        stream, others = content
        self.bytes += _size(item)
        place = None if stream is None else self._newest.get(stream)
        if place is not None:
            self.bytes -= _size(self._items[place])
            self._items[place] = item
            self.replaced += 1
            return True
        for other in others:
            self._newest.pop(other, None)
        if stream is not None:
            self._newest[stream] = len(self._items)
        self._items.append(item)
        return False

    def take(self) -> list[Item]:
        """All of it; nothing waits any more."""
        items, self._items = self._items, []
        self._newest.clear()
        self.bytes = 0
        return items


def _size(item: Item) -> int:
    return len(item) if isinstance(item, bytes) else sum(map(len, item))
