"""The way in for programs: recordings that know what their venues tell a late joiner."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from wsproxy.model import StreamKey
from wsproxy.recording import reader
from wsproxy.venues import base
from wsproxy.venues.registry import VENUES


def open(
    path: str | Path | Iterable[str | Path], *, damaged: Literal["raise", "skip"] = "raise"
) -> reader.Recording:
    """A recording: a directory of parts, or one part. Or several recordings, read as one.

    With ``damaged="raise"``, iterating over damaged bytes raises DamagedRecording once everything
    before them was given; with ``"skip"`` it goes on with the next good block, and
    ``Recording.info.damage`` says what was passed over. Either way a last block that was never
    finished is the end, and ``info.cut`` says how many bytes it has.

    Raises RecordingError if there is no recording.
    """
    return reader.open(path, damaged=damaged, states=late_join)


def late_join(stream: StreamKey) -> LateJoin | None:
    """A fresh state for the stream; None if its venue is unknown or tells a late joiner nothing."""
    venue = VENUES.get(stream.venue)
    state = None if venue is None else venue.state(stream.name)
    return None if state is None else LateJoin(state)


class LateJoin:
    """A venue's state of a stream, its message spelled as the first that a client gets."""

    def __init__(self, state: base.State) -> None:
        self.feed = state.feed
        self._state = state

    def snapshot(self) -> bytes | None:
        """The state now; None if nothing is known."""
        body = self._state.snapshot()
        return body.first() if isinstance(body, base.Numbered) else body
