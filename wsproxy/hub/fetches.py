"""What a recording needs of a venue's REST interface, and when it may be asked for.

A stream that tells differences only begins with a snapshot. One that holds number N goes on with
the stream's message that holds N + 1; so a snapshot is wanted for every run of messages that no
earlier one reaches into: when the stream becomes live, and behind each gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wsproxy.hub.limits import Window
from wsproxy.hub.link import Phase
from wsproxy.hub.pool import Pool
from wsproxy.venues.base import Rest, RestRequest, Span
from wsproxy.venues.profile import Profile, Rate

_SECOND_NS = 1_000_000_000
_SHARE_PERCENT = 50
"""Of the weight that the venue allows an IP address: strategies on this machine want some, too."""
_CROWDED_PERCENT = 80
"""When so much of it is used, by whomever, nothing more is asked for in this window."""
_MOST_BACKOFF_NS = 60 * _SECOND_NS
_CLOCK_NS = 60 * _SECOND_NS
"""How often the venue's clock is asked for."""
_NEVER_NS = 1 << 63

Runs = Mapping[str, Span | None]
"""The streams that are live, and of each the numbers that came without a break up to now."""


def runs(pool: Pool) -> dict[str, Span | None]:
    """Those of a pool; a stream that has a hole now is still in its last run."""
    found: dict[str, Span | None] = {}
    for stream in pool.carriers.streams():
        run = pool.intake.gaps.run(stream)
        links = pool.carriers.of(stream)
        if run is not None or any(link.streams.get(stream) is Phase.LIVE for link in links):
            found[stream] = run
    return found


class Fetch(NamedTuple):
    """Something to ask for, and the streams that need it."""

    request: RestRequest
    streams: tuple[str, ...]


class Fetches:
    """Decides what to ask one venue for. One request is under way at a time.

    ``depth`` is how many levels of a book are wanted. Times are of the monotonic clock.
    """

    def __init__(self, rest: Rest, profile: Profile, depth: int) -> None:
        assert profile.rest_weight is not None, f"{profile.name} does not say what it allows"
        self._rest = rest
        self._too_fast = profile.too_fast
        self._penalty_ns = profile.penalty_ns
        self._depth = depth
        most, self._period_ns = profile.rest_weight
        self._crowded = most * _CROWDED_PERCENT // 100
        self._window = Window(Rate(most * _SHARE_PERCENT // 100, self._period_ns))
        self._once = dict.fromkeys(rest.once, ())
        self._numbers: dict[str, int] = {}
        """The last number that the stream's last snapshot holds."""
        self._tries: dict[RestRequest, int] = {}
        self._again_ns: dict[RestRequest, int] = {}
        self._failures = 0

    def due(self, live: Runs, now_ns: int) -> Fetch | None:
        """What to ask for now: report ``answered`` or ``failed``. None: look again soon.

        What is due goes in order, so that what is cheap does not overtake for ever.
        """
        for fetch in self._wanted(live):
            weight = fetch.request.weight
            if self._again_ns.get(fetch.request, now_ns) <= now_ns:
                if self._window.ready_at(now_ns, weight=weight) > now_ns:
                    return None
                self._window.begin(weight)
                return fetch
        return None

    def answered(
        self,
        fetch: Fetch,
        status: int,
        body: bytes,
        now_ns: int,
        *,
        used: int | None = None,
        retry_after_ns: int | None = None,
    ) -> str | None:
        """Take in an answer; returns what is wrong with it, None if it is what was wanted.

        ``used`` is the weight that the venue says is used, ``retry_after_ns`` how long it says
        to wait; None where it does not say.
        """
        self._window.finish(now_ns, fetch.request.weight)
        if used is not None and used > self._crowded:
            self._window.stretch(now_ns + self._period_ns)
        if status in self._too_fast:
            wait_ns = self._penalty_ns if retry_after_ns is None else retry_after_ns
            self._window.stretch(now_ns + wait_ns)
            return f"HTTP {status}; nothing is asked for in the next {wait_ns / _SECOND_NS:.0f} s"
        if status >= 500:
            return f"HTTP {status}; {self._back_off(now_ns)}"
        self._failures = 0
        if status != 200:
            self._again_ns[fetch.request] = _NEVER_NS
            return f"HTTP {status}, {body[:100].decode(errors='replace')}; it is not asked again"
        return self._take(fetch, body, now_ns)

    def failed(self, fetch: Fetch, now_ns: int) -> str:
        """No answer came; returns what follows from that."""
        self._window.finish(now_ns, fetch.request.weight)
        return self._back_off(now_ns)

    def _back_off(self, now_ns: int) -> str:
        wait_ns = _backoff_ns(self._failures)
        self._failures += 1
        self._window.stretch(now_ns + wait_ns)
        return f"trying again in {wait_ns / _SECOND_NS:.0f} s"

    def _wanted(self, live: Runs) -> list[Fetch]:
        if not live:
            return []
        wanted: dict[RestRequest, tuple[str, ...]] = {self._rest.time: ()}
        for stream, run in live.items():
            request = self._rest.snapshot(stream, self._depth)
            if request is not None and not self._reaches(stream, run):
                wanted[request] = (*wanted.get(request, ()), stream)
        wanted |= self._once
        for stream in self._numbers.keys() - live.keys():
            del self._numbers[stream]
        for request in self._again_ns.keys() - wanted.keys():
            del self._again_ns[request]
            self._tries.pop(request, None)
        return [Fetch(request, streams) for request, streams in wanted.items()]

    def _reaches(self, stream: str, run: Span | None) -> bool:
        """Whether the stream's last snapshot goes on with a message of this run."""
        number = self._numbers.get(stream)
        return number is not None and (run is None or number + 1 >= run.first)

    def _take(self, fetch: Fetch, body: bytes, now_ns: int) -> str | None:
        request = fetch.request
        if request == self._rest.time:
            self._again_ns[request] = now_ns + _CLOCK_NS
            return None
        if request in self._once:
            del self._once[request]
            return None
        number = self._rest.number(body)
        if number is not None:
            self._numbers.update(dict.fromkeys(fetch.streams, number))
        # It may be older than the run, and would then be asked for at once, again and again.
        tries = self._tries.get(request, 0)
        self._tries[request] = tries + 1
        self._again_ns[request] = now_ns + _backoff_ns(tries)
        return "it is no snapshot" if number is None else None


def _backoff_ns(tries: int) -> int:
    return min(_SECOND_NS << min(tries, 6), _MOST_BACKOFF_NS)
