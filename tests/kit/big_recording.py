"""Write a recording of any size and read it in every way: ``python -m tests.kit.big_recording``.

Prints, as one JSON object, how much memory the process used at most in each step, in bytes.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

from click.testing import CliRunner

import wsproxy
from wsproxy.cli.info import command as info
from wsproxy.model import Batch, ConnectionInfo, Kind
from wsproxy.recording.verify import verify
from wsproxy.recording.writer import Writer

_MESSAGE_BYTES = 1000
_BATCH = 64


def main() -> None:
    """Write so many MB to a directory and read them."""
    directory, size = Path(sys.argv[1]), int(sys.argv[2]) * 10**6
    peak()
    write(directory, size)
    peaks = {"write": peak()}
    read(directory, size, "", peaks)
    for part in directory.iterdir():
        os.truncate(part, part.stat().st_size - 1)  # without seek table, the index is not found
    read(directory, size, ", without index", peaks)
    print(json.dumps(peaks))


def write(directory: Path, size: int) -> None:
    """A recording of about so many bytes."""
    with Writer.create(directory, venues=["binance"], wall_ns=1, mono_ns=1) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "ws://127.0.0.1"))
        while writer.bytes_written < size:
            writer.write(batches(writer.records, 1 << 20))


def batches(first: int, size: int) -> Iterator[Batch]:
    """Messages that do not compress, a thousand a second."""
    dice = Random(first)
    for number in range(first, first + size // _MESSAGE_BYTES, _BATCH):
        payloads = [dice.randbytes(_MESSAGE_BYTES) for _ in range(_BATCH)]
        at = (number + 1) * 10**6
        streams: list[tuple[str, ...]] = [
            (f"s{(number + index) % 100}",) for index in range(_BATCH)
        ]
        yield Batch(Kind.MESSAGE, 1, at, at, payloads, None, streams)


def read(directory: Path, size: int, how: str, peaks: dict[str, int]) -> None:
    """Everything that reads a recording."""
    assert CliRunner().invoke(info, [str(directory)]).exit_code == 0
    peaks["info" + how] = peak()
    verdict = verify(directory)
    assert verdict.records * _MESSAGE_BYTES > size * 0.9
    peaks["verify" + how] = peak()
    recording = wsproxy.open(directory)
    assert sum(1 for _ in recording.messages()) == verdict.records
    peaks["messages" + how] = peak()
    assert sum(map(len, recording.blocks())) == verdict.records
    peaks["blocks" + how] = peak()


def peak() -> int:
    """The most memory that this process has used since the last call, bytes."""
    itself = Path("/proc/self")
    found = re.search(r"VmHWM:\s+(\d+) kB", (itself / "status").read_text(encoding="ascii"))
    assert found is not None
    (itself / "clear_refs").write_text("5", encoding="ascii")  # proc(5): begin anew
    return int(found[1]) << 10


if __name__ == "__main__":
    main()
