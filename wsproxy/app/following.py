"""The clock of a replay, for strategies that have something to do at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import trio

from wsproxy.app.asking import ask
from wsproxy.config import SECOND_NS, Address, parse_admin
from wsproxy.errors import ConfigError, WsproxyError
from wsproxy.recording.times import Moment, iso, moment

_POLL_SECONDS = 0.01
"""How often to look where nobody knows when the time will come: at full speed, or paused."""
_NAP_SECONDS = 0.25
"""How often to look at least: somebody may seek or change the speed."""


class Reading(msgspec.Struct, frozen=True):
    """What a clock shows. ``GET /replay`` tells this among other things."""

    now_ns: int
    first_ns: int
    """When the recording begins."""
    speed: float | None
    """None is as fast as the slowest client reads."""
    paused: bool
    over: bool = False


class ReplayClock:
    """The time of a replay, wall clock, on Trio and on asyncio alike; made by ``follow``.

    It is the time of what was sent last and, at a finite speed, what has passed since. At full
    speed a client has up to some MB of that still to read, and time flies: only with lockstep is
    everything before ``now`` known to be handled.
    """

    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def now(self) -> int:
        """The time, ns since 1970. Raises WsproxyError if the replay cannot be asked."""
        return self._read().now_ns

    async def sleep_until(self, time: Moment) -> None:
        """Wait until it is this time, or later.

        Nothing waits for the sleeper: at a finite speed it wakes within milliseconds, at full
        speed wherever the replay is when it looks, every 10 ms. Raises WsproxyError if the replay
        is over, or gone, before.
        """
        while (reading := self._read()).now_ns < (wanted := moment(time, reading.first_ns)):
            if reading.over:
                raise WsproxyError(f"the replay is over: it ends before {iso(wanted)}")
            seconds = _POLL_SECONDS
            if reading.speed is not None and not reading.paused:
                left = (wanted - reading.now_ns) / SECOND_NS / reading.speed
                seconds = min(left, _NAP_SECONDS)
            await _sleep(seconds)


def follow(admin: str | Path) -> ReplayClock:
    """The clock of a running ``wsproxy replay``, asked by HTTP each time: that takes about a ms.

    ``admin`` is what its ``--admin`` was: HOST:PORT, or a path with a slash. Raises ConfigError if
    it is neither.
    """
    where = admin if isinstance(admin, Path) else parse_admin(admin)
    if not isinstance(where, Path | Address):
        raise ConfigError(f"{admin!r} is no admin address: write HOST:PORT, or a path with a slash")
    return ReplayClock(lambda: _ask(where))


_decode = msgspec.json.Decoder(Reading).decode


def _ask(where: Path | Address) -> Reading:
    try:
        return _decode(ask(where, "GET", "/replay"))
    except msgspec.DecodeError:
        raise WsproxyError(f"what answers at {where} is no replay") from None


async def _sleep(seconds: float) -> None:
    if trio.lowlevel.in_trio_task():
        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)
