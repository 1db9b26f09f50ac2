"""The lines of tardis.dev's raw data: ``2019-06-01T00:00:00.0000000Z {…}``, one message a line.

The time is that of arrival, in steps of 100 ns. An empty line says that tardis.dev's connection
broke there (https://docs.tardis.dev/api/http, 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

from wsproxy.model import Kind
from wsproxy.recording import events
from wsproxy.recording.formats.base import Bad, Item, Origin, Run, lines, opcode_of, runs

_line = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{1,9})Z (.+)").fullmatch
_WHY = "the recorder's connection broke"


class Tardis:
    """Reads one file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._origin = self._next_origin()
        self._second = b"", 0
        """The last text of a second, and what it means, ns: most lines repeat it."""
        self._last_ns = 0
        """The time of the connection's last message; 0 where it has none."""
        self._broken: Origin | None = None
        """What ended, until it is known when messages came again."""

    def read(self, chunk: bytes, bad: Bad) -> Iterator[Run]:
        """Messages; and where the connection broke its end, a gap, and another connection."""
        return runs(self._items(chunk, bad))

    def _items(self, chunk: bytes, bad: Bad) -> Iterator[Item]:
        for index, line in enumerate(lines(chunk)):
            found = _line(line)
            if found is None:
                if line.strip():
                    bad(index, "it is no time (2019-06-01T00:00:00.0000000Z) and message")
                else:
                    yield from self._break()
                continue
            try:
                time = self._time(found[1], found[2])
            except ValueError as error:
                bad(index, f"its time is none: {error}")
                continue
            if self._broken is not None:
                gap = events.gap([], _WHY, self._last_ns)
                yield Item(Kind.GAP, self._broken, 1, time, gap)
                self._broken = None
            self._last_ns = time
            yield Item(Kind.MESSAGE, self._origin, opcode_of(found[3]), time, found[3])

    def _break(self) -> Iterator[Item]:
        """An empty line: several say no more than one, nor does one before the first message."""
        if self._last_ns and self._broken is None:
            end = events.closed(1006, _WHY, "network")
            yield Item(Kind.CLOSED, self._origin, 1, self._last_ns, end)
            self._broken = self._origin
            self._origin = self._next_origin()

    def _next_origin(self) -> Origin:
        return Origin(f"tardis:{self._name}", self._name.partition(".")[0])

    def _time(self, second: bytes, fraction: bytes) -> int:
        known, start = self._second
        if second != known:
            at = datetime.fromisoformat(second.decode()).replace(tzinfo=UTC)
            start = int(at.timestamp()) * 10**9
            self._second = second, start
        return start + int(fraction.ljust(9, b"0"))


def is_line(line: bytes) -> bool:
    """Whether this is a line of the format."""
    return _line(line) is not None
