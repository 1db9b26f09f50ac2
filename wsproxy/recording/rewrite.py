"""Records from other recordings as a new recording: what every tool ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from wsproxy.errors import RecordingError
from wsproxy.model import TEXT, Batch, ConnectionInfo, Instant, Kind, Message
from wsproxy.recording.aside import aside
from wsproxy.recording.encode import LEVEL
from wsproxy.recording.writer import BLOCK_BYTES, Writer

Progress = Callable[[int], object]
"""Is told now and then how far the work has come: a wall clock time of the recording, ns."""


class Written(NamedTuple):
    """What a new recording holds."""

    records: int
    raw_bytes: int
    """Of all payloads."""
    disk_bytes: int


def rewrite(
    messages: Iterable[Message],
    connections: Mapping[int, ConnectionInfo],
    out: Path,
    *,
    venues: Sequence[str],
    tool: str,
    level: int = LEVEL,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
) -> Written:
    """Write these records, of whatever kind, as the new recording ``out``.

    They are numbered anew, from 0, in the order in which they come. Of ``connections``, by
    number, those are taken over that a record belongs to. ``out`` appears when all is written
    and synced; before that, and where anything fails, there is nothing.

    Raises RecordingError if there is no record, ``out`` is there, or the system refuses.
    """
    rest = iter(messages)
    first = next(rest, None)
    if first is None:
        raise RecordingError(f"{out} is not written: it would hold no records")
    with (
        aside(out) as directory,
        Writer.create(
            directory,
            venues=venues,
            wall_ns=first.time,
            mono_ns=first.mono,
            settings={"tool": tool},
            level=level,
            block_bytes=block_bytes,
        ) as writer,
    ):
        known = {0}

        def introduced() -> Iterator[Message]:
            for message in chain((first,), rest):
                number = message.connection
                if number not in known:
                    known.add(number)
                    unknown = ConnectionInfo(number, message.venue, "")
                    writer.add_connection(connections.get(number, unknown))
                yield message

        def watched(batches: Iterable[Batch]) -> Iterator[Batch]:
            for batch in batches:
                yield batch
                if progress is not None:
                    progress(batch.wall_ns)

        writer.write(watched(batched(introduced(), block_bytes)))
        writer.close()
        return Written(writer.records, writer.raw_bytes, writer.bytes_written)


def made(
    kind: Kind, at: Instant, connection: ConnectionInfo, streams: tuple[str, ...], payload: bytes
) -> Message:
    """A record of this moment that a tool adds; ``rewrite`` numbers it."""
    return Message(
        seq=0,
        time=at.wall_ns,
        mono=at.mono_ns,
        kind=kind,
        connection=connection.number,
        venue=connection.venue,
        streams=streams,
        opcode=TEXT,
        payload=payload,
    )


def batched(messages: Iterable[Message], most_bytes: int = BLOCK_BYTES) -> Iterator[Batch]:
    """The records that follow each other and agree in kind, connection and times, together.

    A batch ends with the record that brings it to ``most_bytes``.
    """
    for (kind, connection, wall, mono), run in groupby(messages, _WHERE):
        payloads: list[bytes] = []
        streams: list[tuple[str, ...]] = []
        opcodes = bytearray()
        size = 0
        for message in run:
            payloads.append(message.payload)
            streams.append(message.streams)
            opcodes.append(message.opcode)
            size += len(message.payload) + _RECORD_BYTES
            if size >= most_bytes:
                yield Batch(kind, connection, wall, mono, payloads, _narrow(opcodes), streams)
                payloads, streams, opcodes, size = [], [], bytearray(), 0
        if payloads:
            yield Batch(kind, connection, wall, mono, payloads, _narrow(opcodes), streams)


_WHERE = attrgetter("kind", "connection", "time", "mono")
_RECORD_BYTES = 8
"""About what a record needs beside its payload, so that empty ones, too, fill a batch."""


def _narrow(opcodes: bytearray) -> bytes | None:
    return None if opcodes.count(TEXT) == len(opcodes) else bytes(opcodes)
