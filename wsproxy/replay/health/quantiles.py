"""A distribution of whole numbers in bounded memory, however many there are."""

from __future__ import annotations

from math import ceil

_BITS = 6


class Quantiles:
    """Counts numbers of equal leading digits together: a quantile is off by less than 1 %.

    Exact are the smallest, the largest, and all that are nearer to 0 than 128.
    """

    __slots__ = ("_counts", "count", "largest", "smallest")

    def __init__(self) -> None:
        self.count = 0
        self.smallest = 0
        self.largest = 0
        self._counts: dict[int, int] = {}

    def add(self, value: int) -> None:
        """Count a number in. The hot path of health checks."""
        if not self.count:
            self.smallest = self.largest = value
        elif value > self.largest:
            self.largest = value
        elif value < self.smallest:
            self.smallest = value
        self.count += 1
        bucket = _bucket(value) if value >= 0 else -_bucket(-value)
        counts = self._counts
        counts[bucket] = counts.get(bucket, 0) + 1

    def merge(self, other: Quantiles) -> None:
        """Count in all that another has counted."""
        if not other.count:
            return
        first = not self.count
        self.smallest = other.smallest if first else min(self.smallest, other.smallest)
        self.largest = other.largest if first else max(self.largest, other.largest)
        self.count += other.count
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def quantile(self, share: float) -> int | None:
        """The smallest number that so large a share of all does not exceed; None without any."""
        if not self.count:
            return None
        rest = max(1, ceil(share * self.count))
        if rest == self.count:
            return self.largest
        for bucket in sorted(self._counts):
            rest -= self._counts[bucket]
            if rest <= 0:
                middle = _middle(bucket) if bucket >= 0 else -_middle(-bucket)
                return min(max(middle, self.smallest), self.largest)
        raise AssertionError("the counts do not add up")


def _bucket(size: int) -> int:
    """Sizes below 128 have a bucket each, then every power of two has 64."""
    shift = size.bit_length() - _BITS - 1
    return size if shift <= 0 else (shift << _BITS) + (size >> shift)


def _middle(bucket: int) -> int:
    shift = (bucket >> _BITS) - 1
    return bucket if shift <= 0 else ((bucket - (shift << _BITS)) << shift) + (1 << shift >> 1)
