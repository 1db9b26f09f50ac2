"""Clients as routing sees them, alone and in groups that get the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from wsproxy.hub.backlog import Backlog, Content, Item
from wsproxy.venues.base import Body, Numbered
from wsproxy.wire.frames import encode, encode_all, header


def framed(body: Body) -> Item:
    """Encode what is the same for every client."""
    return body if isinstance(body, Numbered) else encode(body)


def are_bytes(items: Sequence[Item]) -> TypeGuard[Sequence[bytes]]:
    """Whether none of them has to be numbered."""
    return Numbered not in set(map(type, items))


def encoded(bodies: Sequence[Body]) -> Sequence[Item]:
    """The same for many."""
    return encode_all(bodies) if are_bytes(bodies) else list(map(framed, bodies))


class Member:
    """A client as routing sees it: its number, and how many numbered messages it was sent."""

    __slots__ = ("backlog", "client", "cohort", "sent")

    def __init__(self, client: int, *, conflates: bool = False) -> None:
        self.client = client
        self.backlog = Backlog() if conflates else None
        """What it gets before anything else; None if it wants every message."""
        self.cohort: Cohort | None = None
        self.sent = 0

    def frames(self, items: Sequence[Item]) -> bytes:
        """Join what is sent to this client next, with its own numbers."""
        if self.backlog is not None:
            items = [*self.backlog.take(), *items]
        if are_bytes(items):
            return b"".join(items)
        parts: list[bytes] = []
        sent = self.sent
        for item in items:
            if isinstance(item, Numbered):
                head, tail = item
                number = b"%d" % sent
                sent += 1
                parts += (header(len(head) + len(number) + len(tail)), head, number, tail)
            else:
                parts.append(item)
        self.sent = sent
        return b"".join(parts)


class Cohort:
    """Clients with the same view and the same streams, and what is to be sent to them next."""

    __slots__ = ("conflates", "contents", "members", "pending", "streams", "view")

    def __init__(self, view: str, streams: frozenset[str], conflates: bool) -> None:
        self.view = view
        self.streams = streams
        self.conflates = conflates
        self.members: dict[int, Member] = {}
        self.pending: list[Item] = []
        self.contents: list[Content] = []
        """Of what is pending, where the members conflate."""
