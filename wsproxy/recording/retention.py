"""Which parts of a recording have to go, the oldest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Finished(NamedTuple):
    """A part that is closed."""

    path: Path
    part: int
    size: int
    first_seq: int
    records: int
    latest: int
    """The latest time of its records, wall clock, ns."""


class Surplus(NamedTuple):
    """A part that has to go, and why."""

    part: Finished
    why: str


@dataclass(frozen=True, slots=True)
class Retention:
    """What a recording may keep; None is no limit. The part that is being written always stays."""

    bytes: int | None = None
    """All parts together are no larger than this."""
    age_ns: int | None = None
    """A part whose latest record is older goes."""
    free_bytes: int | None = None
    """So much of the disk stays free."""

    def surplus(
        self, finished: Sequence[Finished], open_bytes: int, wall_ns: int, free_bytes: int
    ) -> Iterator[Surplus]:
        """The parts that have to go now, oldest first.

        ``finished`` are in order; the part that is being written has ``open_bytes``, the disk
        has ``free_bytes``.
        """
        size = open_bytes + sum(part.size for part in finished)
        for part in finished:
            if self.bytes is not None and size > self.bytes:
                why = f"the recording had more than {self.bytes} bytes"
            elif self.age_ns is not None and part.latest < wall_ns - self.age_ns:
                why = f"it was older than {self.age_ns // 10**9} s"
            elif self.free_bytes is not None and free_bytes < self.free_bytes:
                why = f"the disk had less than {self.free_bytes} bytes free"
            else:
                return
            yield Surplus(part, why)
            size -= part.size
            free_bytes += part.size
