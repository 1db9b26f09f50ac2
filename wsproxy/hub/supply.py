"""Where streams come from: the live pool and a recording's catalogue look the same to the hub."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from wsproxy.model import Instant


class Refusal(NamedTuple):
    """A stream cannot be had; ``why`` is a sentence for the client's developer."""

    why: str
    for_room: bool = False
    """It could be had if another stream were given up."""


class Supply(Protocol):
    """Streams on demand."""

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Ask for a stream: True if it is live, False if it will be reported later."""

    def release(self, stream: str, now: Instant) -> None:
        """Nobody wants the stream any more."""

    def waiting_for(self, stream: str) -> str:
        """Why a wanted stream is not live yet, as the end of a sentence."""


class Catalogue:
    """The streams of a recording: there or not there, never later.

    ``refused`` are those that the venue refused then, and why.
    """

    def __init__(self, streams: frozenset[str], refused: Mapping[str, str] | None = None) -> None:
        self._streams = streams
        self._refused = refused or {}
        self.lacking: dict[str, str] = {}
        """What was asked for and refused, and why."""

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Grant what is recorded."""
        if stream in self._streams:
            return True
        why = self._refused.get(stream) or f"stream {stream} is not in this recording"
        self.lacking[stream] = why
        return Refusal(why)

    def release(self, stream: str, now: Instant) -> None:
        """Recorded streams need no care."""

    def waiting_for(self, stream: str) -> str:
        """Recorded streams never wait."""
        return f"{stream} is recorded"
