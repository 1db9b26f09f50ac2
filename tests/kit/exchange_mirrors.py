"""Several stand-ins that sell one market, as the endpoints of a venue do.

::

    with running(left) as a, running(right) as b:
        play_mirrored([left, right], cues, rate=1000)

Each plays every message, spelled the same, in the same order; as at a venue, one may be ahead.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from tests.kit.exchange import Exchange
from tests.kit.peer import Cue


class Shared:
    """One series of messages that several threads read, each from its beginning."""

    def __init__(self, cues: Iterable[Cue]) -> None:
        self._source = iter(cues)
        self._taken: list[Cue] = []
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Cue]:
        index = 0
        while True:
            with self._lock:
                if index == len(self._taken):
                    cue = next(self._source, None)
                    if cue is None:
                        return
                    self._taken.append(cue)
                cue = self._taken[index]
            yield cue
            index += 1


def play_mirrored(
    exchanges: Sequence[Exchange], cues: Iterable[Cue], rate: float | None = None
) -> list[Future[None]]:
    """Play the same messages on all of them; see ``Exchange.play``."""
    shared = Shared(cues)
    return [exchange.play(shared, rate) for exchange in exchanges]
