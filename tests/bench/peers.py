"""What others record messages with, each at its best: write a sample to a file, read it again.

- MCAP, the container of robotics, by its Python library: chunks of 1 MiB in zstd, as by default;
- gzip lines, ``<ns> <message>``, at level 6, as the hftbacktest collector writes them (its
  collector/src/file.rs takes the default of flate2; 2026-11);
- JSON lines through ``zstd -3``, as people do first.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import zstandard
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer


class Sample(NamedTuple):
    """One message."""

    time: int
    """When it was received, ns since the Unix epoch."""
    connection: int
    stream: str
    payload: bytes


class Peer(Protocol):
    """One way to keep messages in a file."""

    name: str

    def write(self, path: Path, samples: Sequence[Sample]) -> None:
        """Write the file."""

    def read(self, path: Path) -> Iterator[tuple[int, str | bytes]]:
        """Time and payload of each message, in the order in which they were written."""


class Mcap:
    """One channel a stream."""

    name = "MCAP, zstd"

    def write(self, path: Path, samples: Sequence[Sample]) -> None:
        """Write the file."""
        channels: dict[str, int] = {}
        with path.open("wb") as file:
            writer = Writer(file, compression=CompressionType.ZSTD)
            writer.start()
            for time, _, stream, payload in samples:
                channel = channels.get(stream)
                if channel is None:
                    channel = channels[stream] = writer.register_channel(stream, "json", 0)
                writer.add_message(channel, time, payload, time)
            finish: Callable[[], object] = writer.finish  # which has no types
            finish()

    def read(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Time and payload of each message, without sorting them."""
        with path.open("rb") as file:
            for _, _, message in make_reader(file).iter_messages(log_time_order=False):
                yield message.log_time, message.data


class GzipLines:
    """Time and message, a line each."""

    name = "gzip lines"

    def write(self, path: Path, samples: Sequence[Sample]) -> None:
        """Write the file."""
        with gzip.open(path, "wb", compresslevel=6) as out, io.BufferedWriter(out, 1 << 16) as file:
            for time, _, _, payload in samples:
                file.write(b"%d %b\n" % (time, payload))

    def read(self, path: Path) -> Iterator[tuple[int, bytes]]:
        """Time and payload of each message."""
        with gzip.open(path) as file:
            for line in file:
                time, _, payload = line.partition(b" ")
                yield int(time), payload[:-1]


class JsonLines:
    """An object a line."""

    name = "JSON lines, zstd -3"

    def write(self, path: Path, samples: Sequence[Sample]) -> None:
        """Write the file."""
        compressor = zstandard.ZstdCompressor(level=3)
        with zstandard.open(path, "wt", cctx=compressor, encoding="utf-8") as file:
            for time, _, stream, payload in samples:
                row = {"t": time, "stream": stream, "m": payload.decode()}
                file.write(json.dumps(row) + "\n")

    def read(self, path: Path) -> Iterator[tuple[int, str]]:
        """Time and text of each message."""
        with zstandard.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield row["t"], row["m"]


PEERS: tuple[Peer, ...] = (Mcap(), GzipLines(), JsonLines())
