"""Which streams the messages of a venue belong to, when others recorded them."""

from __future__ import annotations

from collections.abc import Sequence

from wsproxy.venues.base import Data, Unknown, Venue
from wsproxy.venues.registry import VENUES


class Naming:
    """Names the streams of messages that came over connections which were not ours.

    ``venue`` may be one that wsproxy does not know.
    """

    def __init__(self, venue: str) -> None:
        self._venue = VENUES.get(venue)
        self._names: dict[bytes, tuple[str, ...]] = {}

    def __call__(self, payloads: Sequence[bytes], otherwise: str) -> list[tuple[str, ...]]:
        """Each message's streams, as the venue names them.

        Where the venue is unknown, or cannot place the message, it is ``otherwise``. What is
        understood and belongs to no stream (a reply to a request) has none.
        """
        if self._venue is None:
            return [(otherwise,)] * len(payloads)
        keys = list(map(self._venue.key, payloads))
        for key in set(keys) - self._names.keys():
            if key is not None:
                self._names[key] = self._venue.streams(key, self._venue.endpoint(""))
        return [
            _read(self._venue, payload, otherwise) if key is None else self._names[key]
            for key, payload in zip(keys, payloads, strict=True)
        ]


def _read(venue: Venue, payload: bytes, otherwise: str) -> tuple[str, ...]:
    reading = venue.read(payload, venue.endpoint(""))
    if isinstance(reading, Data):
        return reading.streams
    return (otherwise,) if isinstance(reading, Unknown) else ()
