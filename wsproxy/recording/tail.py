"""Reads a recording to its present end, and on from there, while it is being written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wsproxy.errors import DamagedRecording
from wsproxy.model import Batch, ConnectionInfo
from wsproxy.recording.decode import Selection
from wsproxy.recording.part import Part
from wsproxy.recording.source import find_parts


class Tail:
    """The records of one recording from ``start`` (wall clock, ns) on, as they come.

    Raises RecordingError if there is no recording, and DamagedRecording where it is damaged.
    """

    def __init__(self, path: Path, start: int | None = None) -> None:
        self.connections: dict[int, ConnectionInfo] = {}
        """Every connection of which a record was given, by number."""
        self.is_over = False
        """Whether nothing more will come, as far as the last ``batches`` saw."""
        self._path = path
        self._selection = Selection(start=start)
        self._part = find_parts(path)[0]
        self._seen: tuple[int, int] | None = None
        """Of the present part: where it was read to, and the next sequence number."""

    def batches(self) -> Iterator[Batch]:
        """The records that were not given yet, together where they arrived together."""
        while True:
            # Both are asked before the part is opened to be read: what they say holds for it then.
            following = [part for part in find_parts(self._path) if part > self._part]
            with Part(self._part, _raise) as part:
                self.is_over = not following and not part.is_being_written
            with Part(self._part, _raise) as part:
                yield from self._new(part)
            if not following:
                return
            self._part, self._seen = following[0], None

    def _new(self, part: Part) -> Iterator[Batch]:
        start = self._selection.start
        places = part.places(start) if self._seen is None else part.resume(*self._seen)
        for place in places:
            self._seen = place.end, place.head.first_seq + place.head.count
            block = part.load(place)
            if block is not None and self._selection.overlaps(block.head):
                self.connections.update(block.connections)
                yield from block.batches(self._selection)


def _raise(damage: DamagedRecording) -> None:
    raise damage
