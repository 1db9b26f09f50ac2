"""Faults that a replay is to have, as a TOML file says them, and when each of them strikes.

::

    seed = 7

    [[fault]]
    kind = "disconnect"        # what: see StreamKind and ClientKind
    at = "+10s"                # when: a time, or every = SECONDS on average, by chance
    code = 1006
    clients = [1, 2]           # whom: numbers in order of arrival; without, everybody

    [[fault]]
    kind = "latency"
    every = 60
    seconds = 2                # for so long
    delay = 0.25
    streams = ["*@trade"]      # which: patterns with * and ?; without, all

Chance comes from the seed alone: the same file and recording give the same faults.
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from wsproxy.config import SECOND_NS
from wsproxy.errors import ConfigError
from wsproxy.recording.times import moment

StreamKind = Literal["gap", "freeze", "latency", "jitter", "duplicate"]
"""What happens to messages: they are lost, held back until the end, late by ``delay``, late by up
to ``delay``, or come twice."""

ClientKind = Literal["disconnect", "slow-close", "refuse", "mute"]
"""What happens to connections: they are closed with ``code`` (1006: cut), closed only ``seconds``
after the last message, refused with the HTTP status ``code`` (503), or get no pongs."""

_STREAM_KINDS = frozenset(get_args(StreamKind))


class Fault(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One entry of the file."""

    kind: StreamKind | ClientKind
    at: str | int | None = None
    every: float | None = None
    seconds: float = 0.0
    delay: float = 0.0
    code: int | None = None
    reason: str = ""
    streams: tuple[str, ...] = ()
    clients: tuple[int, ...] = ()

    @property
    def is_of_streams(self) -> bool:
        """Whether messages suffer, rather than connections."""
        return self.kind in _STREAM_KINDS

    def hits(self, streams: tuple[str, ...]) -> bool:
        """Whether messages of these streams suffer."""
        return not self.streams or any(
            fnmatchcase(stream, pattern) for stream in streams for pattern in self.streams
        )


class FaultFile(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The whole file."""

    seed: int = 0
    fault: tuple[Fault, ...] = ()


class Strike(NamedTuple):
    """A fault, and when it strikes: from ``begin`` on, before ``end``; wall clock, ns."""

    begin: int
    end: int
    number: int
    """Of the fault in the file, from 0."""
    fault: Fault


def read_faults(path: Path) -> FaultFile:
    """Read a file of faults; raises ConfigError that names it."""
    try:
        found = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), FaultFile)
    except OSError as error:
        raise ConfigError(f"--faults {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"--faults {path}: {error}") from error
    for number, fault in enumerate(found.fault, start=1):
        wrong = _wrong(fault)
        if wrong:
            raise ConfigError(f"--faults {path}: fault {number}, a {fault.kind}, {wrong}")
    return found


def _wrong(fault: Fault) -> str:
    """What makes no sense in a fault, if anything."""
    if (fault.at is None) == (fault.every is None):
        return "needs at or every, and not both"
    if fault.every is not None and not 0 < fault.every < math.inf:
        return "has to have an every above 0"
    if not (0 <= fault.seconds < math.inf and 0 <= fault.delay < math.inf):
        return "has to have seconds and a delay of at least 0"
    if fault.is_of_streams and fault.clients:
        return "happens to streams: all clients see the same, so it can have no clients"
    if fault.kind in ("latency", "jitter") and not fault.delay:
        return "needs a delay"
    if fault.code is not None and not _is_code(fault):
        return f"cannot have the code {fault.code}"
    if fault.kind != "disconnect" and not fault.seconds:
        return "needs seconds"
    return ""


def _is_code(fault: Fault) -> bool:
    assert fault.code is not None
    if fault.kind == "refuse":
        return 400 <= fault.code <= 599
    return 1000 <= fault.code <= 4999 and fault.kind in ("disconnect", "slow-close")


def plan(faults: FaultFile, first_ns: int, last_ns: int) -> list[Strike]:
    """Every strike of a recording that lasts from ``first_ns`` to ``last_ns``, in order.

    Raises ConfigError for a time that is none.
    """
    strikes = [
        Strike(begin, begin + int(fault.seconds * SECOND_NS), number, fault)
        for number, fault in enumerate(faults.fault)
        for begin in _times(fault, faults.seed, number, first_ns, last_ns)
    ]
    return sorted(strikes, key=lambda strike: (strike.begin, strike.number))


def _times(fault: Fault, seed: int, number: int, first_ns: int, last_ns: int) -> Iterator[int]:
    if fault.at is not None:
        yield moment(fault.at, first_ns)
        return
    assert fault.every is not None
    time, count = first_ns, 0
    while True:  # as it is with what happens independently of what happened before
        wait = -math.log(1 - chance(seed, number, count)) * fault.every
        time += max(1, int(wait * SECOND_NS))
        if time > last_ns:
            return
        yield time
        count += 1


def chance(seed: int, *what: int) -> float:
    """A number from 0 up to 1 that depends on nothing but the arguments."""
    found = hashlib.blake2b(repr((seed, *what)).encode(), digest_size=6).digest()
    return int.from_bytes(found, "big") / (1 << 48)
