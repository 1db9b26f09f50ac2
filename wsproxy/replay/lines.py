"""How the recorder's connections ended, and whose streams they carried then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from wsproxy.model import Batch
from wsproxy.recording.events import read_event

_LOST = 1006


class End(NamedTuple):
    """A connection that carried these streams was ended by the venue, or by the network."""

    streams: frozenset[str]
    code: int
    """1006 if no close frame came."""
    reason: str


class Lines:
    """Follows which recorded connection carries which stream.

    A stream is where its last message came from or, before any came, where it was granted. Ends
    that the recorder itself wanted are none: its clients did not notice them.
    """

    def __init__(self) -> None:
        self._line: dict[tuple[str, ...], int] = {}

    def carry(self, batch: Batch) -> None:
        """Messages came, or streams were granted."""
        line = self._line
        for streams in batch.streams:
            line[streams] = batch.connection

    def ends(self, batch: Batch) -> Iterator[End]:
        """The ends that a batch of kind CLOSED tells of."""
        for payload in batch.payloads:
            event = read_event(payload)
            carried = [streams for streams, at in self._line.items() if at == batch.connection]
            for streams in carried:
                del self._line[streams]
            if carried and event.get("by") != "us":
                code = event.get("code")
                yield End(
                    frozenset().union(*carried),
                    code if isinstance(code, int) else _LOST,
                    str(event.get("reason", "")),
                )
