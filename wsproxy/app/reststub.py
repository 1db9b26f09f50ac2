"""REST in a replay: what clients ask the venue for beside the streams, on the same port."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import trio

from wsproxy.errors import WsproxyError
from wsproxy.hub.hub import Hub
from wsproxy.replay.past import Archive
from wsproxy.replay.programme import Programme
from wsproxy.venues.base import RestAnswer
from wsproxy.wire.http import Answer, Request, upgrade_required

log = logging.getLogger("wsproxy")

_METHODS = ("GET", "HEAD")


class RestStub:
    """Answers as of the time that ``now`` gives, wall clock, ns.

    Recordings are read in a thread, for one request at a time: a book that was not asked for yet
    can take seconds.
    """

    def __init__(
        self, programme: Programme, hubs: Mapping[str, Hub], now: Callable[[], int]
    ) -> None:
        self._archives = {
            name: Archive(programme, hub.venue, rest)
            for name, hub in hubs.items()
            if (rest := hub.venue.rest) is not None
        }
        self._now = now
        self._one = trio.CapacityLimiter(1)
        self._warned: set[str] = set()

    async def answer(self, request: Request) -> Answer:
        """The answer to a request that asks for no WebSocket."""
        try:
            parts = urlsplit(request.target)
        except ValueError:
            return Answer(400, "That is no address.\n")
        name, path = self._find(parts.path)
        if name is None:
            return await upgrade_required(request)
        try:
            found, warning = await trio.to_thread.run_sync(
                self._archives[name].answer, path, parts.query, self._now(), limiter=self._one
            )
        except (WsproxyError, ValueError) as error:
            found, warning = RestAnswer(500, f"The recording cannot be read: {error}.\n"), ""
        if found is None:
            return await upgrade_required(request)
        if request.method not in _METHODS:
            allowed = ", ".join(_METHODS)
            return Answer(405, f"There are {allowed}.\n", (("Allow", allowed),))
        if found.status != 200:
            warning = f"HTTP {found.status}, {found.text.strip()}"
        if warning:
            self._warn(f"{name}: GET {path}: {warning}")  # a query can hold a secret
        return Answer(found.status, found.text)

    def _find(self, path: str) -> tuple[str | None, str]:
        """Venue and the venue's own path; where one venue alone has REST, without its name, too."""
        first, _, rest = path.removeprefix("/").partition("/")
        if first in self._archives:
            return first, "/" + rest
        if len(self._archives) == 1:
            return next(iter(self._archives)), path
        return None, path

    def _warn(self, what: str) -> None:
        """Once: clients ask again and again."""
        if what not in self._warned:
            self._warned.add(what)
            log.warning("%s", what)
