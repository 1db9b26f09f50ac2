"""Where a recording says itself that messages may be missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from wsproxy.model import Kind, StreamKey
from wsproxy.recording.reader import Recording


class GapCount(NamedTuple):
    """How many GAP records there are."""

    records: int
    streams: Mapping[StreamKey, int]
    """Those that name this stream. Some name none: they are about a whole connection or more."""


def count_gaps(recording: Recording) -> GapCount:
    """Count them: at once where the index says that there are none, else by reading it all."""
    kinds = recording.info.kinds
    records = 0
    streams: Counter[StreamKey] = Counter()
    if kinds is None or kinds.get(Kind.GAP):
        for gap in recording.messages(kinds=(Kind.GAP,)):
            records += 1
            streams.update(StreamKey(gap.venue, name) for name in gap.streams)
    return GapCount(records, streams)
