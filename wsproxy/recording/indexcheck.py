"""Whether the index of a part says what its blocks say."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from wsproxy.model import StreamKey
from wsproxy.recording.decode import Block
from wsproxy.recording.frames import Tally
from wsproxy.recording.index import Index
from wsproxy.recording.part import Place

_NOTHING = Tally(0, 0)


class IndexCheck:
    """Counts a part's blocks; all of them, before it can tell."""

    def __init__(self, index: Index) -> None:
        self.end = 0
        """Where the last block ends, and the index should begin."""
        self._index = index
        self._offsets = array("Q")
        self._seqs = array("Q")
        self._earliest = array("q")
        self._latest = array("q")
        self._keyframes: list[int] = []
        self._records = 0
        self._payload_bytes = 0
        self._kinds: Counter[int] = Counter()
        self._tallies: dict[int, Tally] = {}
        self._streams: dict[int, StreamKey] = {}
        self._times: dict[int, tuple[int, int]] = {}
        self._has_records = True

    def add(self, place: Place, block: Block | None) -> None:
        """Count in the next block; without its records, less can be compared."""
        head, self.end = place.head, place.end
        if head.has_keyframe:
            self._keyframes.append(len(self._offsets))
        self._offsets.append(place.offset)
        self._seqs.append(head.first_seq)
        self._earliest.append(head.earliest)
        self._latest.append(head.latest)
        self._records += head.count
        self._payload_bytes += head.payload_bytes
        for number, tally in head.streams.items():
            so_far = self._tallies.get(number, _NOTHING)
            self._tallies[number] = Tally(
                so_far.messages + tally.messages, so_far.size + tally.size
            )
        if block is None:
            self._has_records = False
            return
        self._kinds.update(block.kind)
        self._streams |= block.streams
        for number, (first, last) in block.spans().items():
            self._times[number] = (self._times.get(number, (first, last))[0], last)

    @property
    def disagreement(self) -> str:
        """What the index has wrong, as the end of a sentence; empty if nothing."""
        return next(self._disagreements(), "")

    def _disagreements(self) -> Iterator[str]:
        index = self._index
        totals = {n: Tally(t.messages, t.bytes) for n, t in index.totals.items()}
        earliest = list(accumulate(reversed(self._earliest), min))[::-1]
        if [*index.offsets] != [*self._offsets] or [*index.seqs] != [*self._seqs]:
            yield "where the blocks are"
        if [*index.latest] != [*accumulate(self._latest, max)] or [*index.earliest] != earliest:
            yield "the times of the blocks"
        if [*index.keyframes] != self._keyframes:
            yield "which blocks hold keyframes"
        if (index.records, index.payload_bytes) != (self._records, self._payload_bytes):
            yield "how much the part holds"
        if totals != self._tallies:
            yield "what the part holds of each stream"
        if not self._has_records:
            return
        if index.kinds != self._kinds:
            yield "how many records there are of each kind"
        if index.streams != self._streams:
            yield "the names of the streams"
        times = {n: (t.first, t.last) for n, t in index.totals.items() if t.messages}
        if times != self._times:
            yield "when each stream has its first and last message"
