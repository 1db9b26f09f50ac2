"""Where streams come from: the live pool and a recording's catalogue look the same to the hub."""

from __future__ import annotations

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
    """The streams of a recording: there or not there, never later."""

    def __init__(self, streams: frozenset[str]) -> None:
        self._streams = streams

    def want(self, stream: str, now: Instant) -> bool | Refusal:
        """Grant what is recorded."""
        if stream in self._streams:
            return True
        return Refusal(f"stream {stream} is not in this recording")

    def release(self, stream: str, now: Instant) -> None:
        """Recorded streams need no care."""

    def waiting_for(self, stream: str) -> str:
        """Recorded streams never wait."""
        return f"{stream} is recorded"
