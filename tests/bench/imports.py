"""Import all recorded traffic, export it, import that again: nothing changes. And how fast.

``python -m tests.bench.imports [DIRECTORY]`` takes the files of ``../shared/traffic``, or those
of another directory with the same layout, and prints a table.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from base64 import b64decode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from wsproxy.app.importing import import_files
from wsproxy.model import Kind
from wsproxy.recording.aside import aside_file
from wsproxy.recording.exporting import EXPORTS, compressing
from wsproxy.recording.formats.base import attached
from wsproxy.recording.reader import open as open_recording
from wsproxy.venues.naming import Naming

TRAFFIC = Path(__file__).parents[3] / "shared" / "traffic"


class Proof(NamedTuple):
    """One file, there and back again."""

    records: int
    text_bytes: int
    """Of the messages' text: of those that were compressed on the wire, decompressed."""
    seconds: float
    """Of the first import."""


def prove(file: Path, work: Path) -> Proof:
    """Import the file, export it, import that; raises AssertionError where anything differs."""
    expected, records, text_bytes = _expected(file)
    began = perf_counter()
    imported = import_file(file, work / "first")
    seconds = perf_counter() - began
    assert imported == records, f"{file}: {imported} records of {records}"
    assert _held(work / "first") == expected, f"{file}: payloads changed"
    export(work / "first", "jsonl", work / "again.jsonl.gz")
    assert _content(work / "again.jsonl.gz") == _content(file), f"{file}: lines changed"
    import_file(work / "again.jsonl.gz", work / "second", venue_of(file))
    assert _held(work / "second") == expected, f"{file}: payloads changed on the way back"
    return Proof(records, text_bytes, seconds)


def prove_hftbacktest(file: Path, work: Path) -> None:
    """The file's messages as hftbacktest's collector wrote them survive, byte for byte."""
    original = work / "btcusdt_20240808.gz"
    with gzip.open(original, "wb") as out:
        for row in _rows(file):
            out.write(f"{row['t']} {row['m']}\n".encode())
    import_file(original, work / "lines", venue_of(file))
    export(work / "lines", "hftbacktest", work / "lines.gz")
    assert _content(original) == _content(work / "lines.gz"), f"{file}: lines changed"


def venue_of(file: Path) -> str:
    """Files are called ``venue__source``."""
    return file.name.partition("__")[0]


def import_file(file: Path, out: Path, venue: str | None = None) -> int:
    """As ``wsproxy import``; how many records."""
    name = venue or venue_of(file)
    return import_files([file], out, venue=name, name=Naming(name)).written.records


def export(recording: Path, name: str, out: Path) -> None:
    """As ``wsproxy export``."""
    reader = open_recording(recording)
    records = reader.messages(kinds=EXPORTS[name].kinds)
    with aside_file(out) as file, compressing(file, out.name) as target:
        EXPORTS[name].write(records, reader.connections, target)


def _rows(file: Path) -> Iterator[dict[str, object]]:
    with gzip.open(file) as lines:
        yield from map(json.loads, lines)


def _content(file: Path) -> str:
    with gzip.open(file) as stream:
        return sha256(stream.read()).hexdigest()


def _expected(file: Path) -> tuple[str, int, int]:
    """SHA-256 of the payloads in order, how many, the bytes of text; by the standard library."""
    text_bytes = 0
    payloads = []
    for row in _rows(file):
        text = str(row["m"]).encode()
        text_bytes += len(text)
        payloads.append(b64decode(str(row["b64"])) if "b64" in row else text)
    return _digest(payloads), len(payloads), text_bytes


def _held(recording: Path) -> str:
    messages = open_recording(recording).messages(kinds=None)
    return _digest(
        attached(message.payload)[1] if message.kind == Kind.ATTACHMENT else message.payload
        for message in messages
    )


def _digest(payloads: Iterable[bytes]) -> str:
    digest = sha256()
    for payload in payloads:
        digest.update(b"%d " % len(payload) + payload)
    return digest.hexdigest()


def main(directory: Path = TRAFFIC) -> None:
    """Prove every file, then import all streams at once, and print how fast."""
    streams = sorted((directory / "streams").glob("*.jsonl.gz"))
    bodies = sorted((directory / "http").glob("*.jsonl.gz"))
    if not streams:
        sys.exit(f"{directory}/streams holds no files")
    text_bytes = 0
    print(f"{'file':52} {'records':>9} {'text MB':>8} {'MB/s':>6}")
    for file in [*streams, *bodies]:
        with tempfile.TemporaryDirectory() as work:
            proof = prove(file, Path(work))
            if "__hftb-" in file.name and file in streams:
                prove_hftbacktest(file, Path(work))
        if file in streams:
            text_bytes += proof.text_bytes
        size = proof.text_bytes / 1e6
        name = f"{file.parent.name}/{file.name.removesuffix('.jsonl.gz')}"
        print(f"{name:52} {proof.records:>9,} {size:>8.2f} {size / proof.seconds:>6.1f}")
    best = min(seconds_for_all(streams) for _ in range(5))
    print(f"all streams in one import: {text_bytes / 1e6 / best:.1f} MB/s of message text")


def seconds_for_all(files: list[Path]) -> float:
    """How long it takes to import these files as one recording."""
    with tempfile.TemporaryDirectory() as work:
        began = perf_counter()
        import_files(files, Path(work) / "all", venue="all", name=Naming("all"))
        return perf_counter() - began


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
