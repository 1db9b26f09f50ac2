"""What a recording says of the clock of its machine."""

from __future__ import annotations

from typing import NamedTuple


class Comparison(NamedTuple):
    """This machine's wall clock beside another one, as a CLOCK record has it."""

    source: str
    offset: int
    """How far the other was ahead, ns."""
    error: int | None
    """How far off that may be, ns; None where it is not known."""

    @property
    def certain(self) -> int:
        """By how much the two differ at least, ns."""
        return max(0, abs(self.offset) - (self.error or 0))


class Clock:
    """The wall clock beside the monotonic one, and beside others."""

    def __init__(self) -> None:
        self.step = 0
        """The largest jump of the wall clock between two records, ns; negative: backwards."""
        self.step_at: int | None = None
        """When that was, wall clock, ns."""
        self.comparisons = 0
        self.worst: Comparison | None = None
        """The one that differs most for certain."""
        self._first: int | None = None
        self._last = self._lowest = self._highest = 0

    @property
    def drift(self) -> int:
        """By how much the wall clock moved against the monotonic one, first to last record, ns."""
        return 0 if self._first is None else self._last - self._first

    @property
    def spread(self) -> int:
        """How far apart the two ever were from each other, ns."""
        return self._highest - self._lowest

    def record(self, wall: int, mono: int) -> None:
        """Take in both times of a record."""
        skew = wall - mono
        if self._first is None:
            self._first = self._last = self._lowest = self._highest = skew
        elif skew != self._last:
            step, self._last = skew - self._last, skew
            self._lowest, self._highest = min(self._lowest, skew), max(self._highest, skew)
            if abs(step) > abs(self.step):
                self.step, self.step_at = step, wall

    def compared(self, other: Comparison) -> None:
        """Take in a comparison."""
        self.comparisons += 1
        if self.worst is None or other.certain > self.worst.certain:
            self.worst = other
