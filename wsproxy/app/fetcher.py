"""Fetches what the recording of a venue's streams needs from its REST interface.

One task a venue, one request at a time. Whatever goes wrong is logged and tried again; streams
and their recording never wait for it.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator

import trio

from wsproxy.app import clock
from wsproxy.app.tape import Tape
from wsproxy.hub.fetches import Fetch, Fetches, runs
from wsproxy.hub.pool import Pool
from wsproxy.model import ConnectionInfo, Kind
from wsproxy.recording import events as record
from wsproxy.venues.base import Rest
from wsproxy.venues.profile import Profile
from wsproxy.wire.rest import Answer, NoAnswer, RestClient, rest_client
from wsproxy.wire.upstream import retry_after_ns

log = logging.getLogger("wsproxy")

_LOOK_SECONDS = 0.5
"""How often to look what the streams need."""
_KEPT_HEADERS = ("content-type", "date", "last-modified", "age")


class Fetcher:
    """Fetches from one venue at ``url``; its records have a connection number of their own."""

    def __init__(
        self,
        rest: Rest,
        profile: Profile,
        pool: Pool,
        tape: Tape,
        url: str,
        numbers: Iterator[int],
    ) -> None:
        self._rest = rest
        self._profile = profile
        self._pool = pool
        self._tape = tape
        self._url = url
        self._numbers = numbers
        self._number = 0
        self._fetches = Fetches(rest, profile, tape.settings.rest_depth)

    async def run(self, ssl_context: ssl.SSLContext) -> None:
        """Fetch until cancelled."""
        async with rest_client(self._url, ssl_context, clock.now) as client:
            while True:
                fetch = self._fetches.due(runs(self._pool), clock.now().mono_ns)
                if fetch is None:
                    await trio.sleep(_LOOK_SECONDS)
                else:
                    await self._fetch(client, fetch)

    async def _fetch(self, client: RestClient, fetch: Fetch) -> None:
        try:
            answer = await client.get(fetch.request.path)
        except NoAnswer as error:
            then = self._fetches.failed(fetch, clock.now().mono_ns)
            self._warn(fetch, f"{error}; {then}")
            return
        headers = answer.headers
        used = headers.get(self._profile.rest_used or "", "")
        wrong = self._fetches.answered(
            fetch,
            answer.status,
            answer.body,
            answer.came.mono_ns,
            used=int(used) if used.isdecimal() else None,
            retry_after_ns=retry_after_ns(headers.get("retry-after", ""), headers.get("date", "")),
        )
        if wrong is not None:
            self._warn(fetch, wrong)
        elif fetch.request == self._rest.time:
            self._compare_clocks(answer)
        else:
            self._keep(fetch, answer)

    def _keep(self, fetch: Fetch, answer: Answer) -> None:
        names = (*_KEPT_HEADERS, self._profile.rest_used)
        headers = {name: value for name, value in answer.headers.items() if name in names}
        url = self._url + fetch.request.path
        payload = record.attachment(url, answer.status, headers, answer.body, answer.asked.wall_ns)
        self._tape.note(Kind.ATTACHMENT, self._connection(), fetch.streams, payload)

    def _compare_clocks(self, answer: Answer) -> None:
        """The venue told its time at some moment between question and answer."""
        time_ns = self._rest.time_ns(answer.body)
        if time_ns is not None:
            half_ns = (answer.came.mono_ns - answer.asked.mono_ns) // 2
            offset_ns = time_ns - (answer.came.wall_ns - half_ns)
            payload = record.clock(offset_ns, half_ns, self._url + self._rest.time.path)
            self._tape.note(Kind.CLOCK, self._connection(), (), payload)

    def _connection(self) -> int:
        if not self._number:
            self._number = next(self._numbers)
            info = ConnectionInfo(self._number, self._profile.name, self._url)
            self._tape.connection(info)
        return self._number

    def _warn(self, fetch: Fetch, why: str) -> None:
        log.warning("%s: GET %s: %s", self._profile.name, self._url + fetch.request.path, why)
