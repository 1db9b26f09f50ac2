"""When a part is full, and the next one begins."""

from __future__ import annotations

from dataclasses import dataclass

from wsproxy.model import Instant

DAY_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class Rotation:
    """Where a recording is cut into parts; None is no limit."""

    bytes: int | None = 4 << 30
    """A part ends with the block that brings it to this size."""
    after_ns: int | None = None
    """It ends so long after it was begun, by the monotonic clock."""
    daily: bool = False
    """It ends at midnight, UTC."""

    @property
    def is_timed(self) -> bool:
        """Whether a part can become full though nothing is written."""
        return self.after_ns is not None or self.daily

    def is_due(self, size: int, began: Instant, now: Instant) -> bool:
        """Whether a record of this moment belongs to the next part.

        The part has ``size`` bytes and was begun at ``began``.
        """
        return (
            (self.bytes is not None and size >= self.bytes)
            or (self.after_ns is not None and now.mono_ns - began.mono_ns >= self.after_ns)
            # A wall clock that is set back into yesterday does not end a part.
            or (self.daily and now.wall_ns // DAY_NS > began.wall_ns // DAY_NS)
        )
