"""Rates over the last few seconds, of counts that only grow. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping

from wsproxy.config import SECOND_NS

SAMPLE_SECONDS = 1.0
_SAMPLES = 5


class Meter:
    """Remembers the counts of the last samples; take one every ``SAMPLE_SECONDS``."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, Mapping[Hashable, int]]] = deque(maxlen=_SAMPLES)

    def sample(self, counts: Mapping[Hashable, int], now_ns: int) -> None:
        """Remember all counts of this moment."""
        self._samples.append((now_ns, counts))

    def rate(self, what: Hashable, count: int, now_ns: int) -> float | None:
        """How much a count has grown a second since the oldest sample; None if that is too new."""
        for then_ns, counts in self._samples:
            if what in counts and then_ns < now_ns:
                return (count - counts[what]) * SECOND_NS / (now_ns - then_ns)
        return None
