"""What capacity planning goes by: this machine's speed, and what a recording's streams bring."""

from __future__ import annotations

import time
from collections import Counter

from wsproxy.config import SECOND_NS
from wsproxy.errors import RecordingError
from wsproxy.hub.capacity import Traffic
from wsproxy.model import Kind
from wsproxy.recording.reader import Recording
from wsproxy.wire.frames import Splitter, encode

_YARDSTICK_SECONDS = 0.5
_CHUNK_MESSAGES = 862
"""256 KiB of 300-byte messages: what `python -m tests.bench.micro` splits."""


def splitting_rate(seconds: float = _YARDSTICK_SECONDS) -> float:
    """Messages/s that the splitter makes of chunks on this machine now; takes so long."""
    splitter = Splitter(1 << 24)
    chunk = encode(b"x" * 300) * _CHUNK_MESSAGES
    count, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < seconds:
        count += len(splitter.feed(chunk).payloads)
    return count / took


def measured(recording: Recording, venue: str) -> Traffic:
    """What one stream of this venue brought, on average; reads the whole recording.

    Raises RecordingError if it holds no messages of the venue.
    """
    connections = {number for number, one in recording.connections.items() if one.venue == venue}
    names = [key.name for key, stream in recording.streams.items() if key.venue == venue]
    messages: Counter[int] = Counter()
    size: Counter[int] = Counter()
    for batch in recording.batches():
        if batch.kind is Kind.MESSAGE and batch.connection in connections:
            second = batch.mono_ns // SECOND_NS
            messages[second] += len(batch.payloads)
            size[second] += sum(map(len, batch.payloads))
    if not messages or not names:
        raise RecordingError(f"{recording.path} holds no messages of {venue}")
    info = recording.info
    seconds = max(1.0, info.duration / SECOND_NS)
    return Traffic(
        streams=len(names),
        seconds=seconds,
        messages_per_s=messages.total() / seconds / len(names),
        bytes_per_s=size.total() / seconds / len(names),
        peak_messages_per_s=max(messages.values()) / len(names),
        peak_bytes_per_s=max(size.values()) / len(names),
        disk_ratio=info.disk_bytes / info.raw_bytes,
        name_characters=sum(map(len, names)) / len(names),
    )
