"""How a live proxy is doing: in one line's worth of numbers, and in full for those who ask.

``wsproxy.app.board`` fills it in; in full it crosses the admin socket as JSON.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from wsproxy.recording.times import iso


@dataclass(frozen=True, slots=True)
class Status:
    """How a live proxy is doing, in numbers."""

    clients: int
    streams: int
    connections: int
    cap: int
    messages: int
    gaps: int
    lost: int
    bytes_on_disk: int | None


# --- in full; the fields are the keys of the JSON ----------------------------------------------


class WindowStatus(msgspec.Struct, frozen=True):
    """A limit of the venue, and how much of it is used up now."""

    name: str
    used: int
    most: int


class ConnectionStatus(msgspec.Struct, frozen=True):
    """One upstream connection, or the place where one is to be."""

    number: int | None
    """As in the recording; None while there is none."""
    state: str
    """open, connecting, rotating, closing or waiting (to be opened again)."""
    url: str
    age_seconds: float | None
    streams: int
    live: int
    """Streams that the venue has granted."""
    messages: int
    messages_per_s: float | None
    """Over the last seconds; None if it is too young to say."""
    last_message_seconds: float | None
    failures: int
    last_error: str
    windows: list[WindowStatus]
    first: int = 0
    """Messages of redundant streams that it brought before another connection did."""
    first_by_seconds: float = 0
    """By how much, all together."""


class WaitingStatus(msgspec.Struct, frozen=True):
    """Work that waits: what, for what, and for how long still, if that is known."""

    what: str
    why: str
    seconds: float | None


class VenueStatus(msgspec.Struct, frozen=True):
    """One venue."""

    name: str
    messages: int
    messages_per_s: float | None
    gaps: int
    refused: dict[str, int]
    """Refusals to clients, by reason."""
    connections: list[ConnectionStatus]
    windows: list[WindowStatus]
    waiting: list[WaitingStatus]
    conflated: int = 0
    """Messages that newer ones replaced before a client had time for them."""


class GapStatus(msgspec.Struct, frozen=True):
    """A gap that was recorded; times are wall clock, ns since 1970."""

    since_ns: int
    until_ns: int
    streams: tuple[str, ...]
    missed: int | None
    """How many messages, if that is known."""
    why: str
    last: int | None = None
    first: int | None = None
    """The venue's sequence numbers before and behind it, where it has them."""

    @property
    def sentence(self) -> str:
        """What is missing, for people."""
        what = "messages may be missing" if self.missed is None else f"{self.missed:,} are missing"
        where = f"between {iso(self.since_ns)} and {iso(self.until_ns)}"
        if self.first is not None:
            where += f", behind number {self.last} and before {self.first}"
        return f"{', '.join(self.streams)}: {what} {where}"


class ClientStatus(msgspec.Struct, frozen=True):
    """One client; what waits for it is its lag."""

    number: int
    name: str
    streams: int
    requests: int
    """That are not answered yet."""
    lag_bytes: int
    lag_seconds: float
    priority: int
    conflated: int = 0
    """Messages that newer ones replaced before it had time for them."""


class RecordingStatus(msgspec.Struct, frozen=True):
    """Where is recorded, how much, and what the recording lacks."""

    path: str
    disk_bytes: int
    lost: int


class FullStatus(msgspec.Struct, frozen=True):
    """What ``GET /status`` answers."""

    version: str
    pid: int
    uptime_seconds: float
    listening: str
    recording: RecordingStatus | None
    totals: Status
    venues: list[VenueStatus]
    gaps: list[GapStatus]
    """The last ones, the newest first."""
    clients: list[ClientStatus]
