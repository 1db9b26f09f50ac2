"""Clients with an upstream connection of their own, because they authenticate or trade.

Such a client has left the shared service: all that it says is passed on as it is, and so is all
that the venue answers. The hub only counts its connection.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from wsproxy.hub.client import Client
from wsproxy.hub.events import Dedicate
from wsproxy.hub.limits import Limiter
from wsproxy.hub.pool import Pool
from wsproxy.hub.supply import Refusal
from wsproxy.model import Instant
from wsproxy.venues.base import Request, Venue

_FIRST_ID = 2**53 - 1_000_000
"""Ids of our own requests on a client's connection: JSON keeps them, and clients count from 0."""


class Dedicated:
    """The dedicated connections of one venue, within the limits that they share with its pool."""

    def __init__(self, venue: Venue, pool: Pool, numbers: Iterator[int]) -> None:
        self.clients: set[int] = set()
        """Those who have one, or just had."""
        self._venue = venue
        self._share = pool.placement.share
        self._per_ip = pool.placement.per_ip
        self._attempts = pool.dialing.window
        self._numbers = numbers

    def claim(
        self, client: Client, request: Request, said: tuple[bytes, int] | None, now: Instant
    ) -> Dedicate | Refusal:
        """Give a client a connection for its private request; ``said`` is the message itself."""
        if not self._share.take():
            return Refusal(f"this needs an upstream connection of its own, and {self._share.limit}")
        number = client.member.client
        self.clients.add(number)
        at_ns = self._attempts.ready_at(now.mono_ns)
        self._attempts.record(at_ns)
        profile = self._venue.profile
        hosts = (host for start, host in profile.private_hosts if request.address.startswith(start))
        host = next(hosts, None)
        return Dedicate(
            number,
            next(self._numbers),
            host,
            request.address,
            at_ns,
            Limiter(profile, self._per_ip) if host is None else None,
            self._restoring(client, request),
            (*client.unanswered(), *([] if said is None else [said])),
        )

    def left(self, client: int) -> None:
        """A client is gone, and with it the connection that it may have had."""
        if client in self.clients:
            self.clients.remove(client)
            self._share.give_back()

    def _restoring(self, client: Client, request: Request) -> tuple[bytes, ...]:
        """Requests after which the new connection carries what the client had, or waits for."""
        named, kept = set(request.streams), client.keeps()
        wanted = [s for s in client.held() if s not in named]
        unwanted = [s for s in request.streams if s not in kept]
        ids, venue = count(_FIRST_ID), self._venue
        return (
            *(venue.subscribe(batch, next(ids)) for batch in venue.batches(wanted)),
            *(venue.unsubscribe(batch, next(ids)) for batch in venue.batches(unwanted)),
        )
