"""What the tests of the formats share."""

from __future__ import annotations

from typing import NamedTuple

from wsproxy.model import Kind
from wsproxy.recording.formats.base import Format, Origin

NS = 10**9


class Seen(NamedTuple):
    """One record that a format gave."""

    kind: Kind
    url: str
    time: int
    payload: bytes
    opcode: int = 1


class Reading:
    """Reads chunks with a format, and keeps what it gives and what it says is bad."""

    def __init__(self, reading: Format) -> None:
        self.reading = reading
        self.bad: list[tuple[int, str]] = []
        self.origins: list[Origin] = []

    def read(self, chunk: bytes) -> list[Seen]:
        seen = []
        for run in self.reading.read(chunk, lambda index, why: self.bad.append((index, why))):
            assert len(run.times) == len(run.payloads) > 0
            if run.origin not in self.origins:
                self.origins.append(run.origin)
            for time, payload in zip(run.times, run.payloads, strict=True):
                seen.append(Seen(run.kind, run.origin.url, time, payload, run.opcode))
        return seen
