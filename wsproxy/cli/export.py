"""``wsproxy export``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from wsproxy.cli.writing import progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wsproxy.model import Message

_FORMATS = ("parquet", "ndjson", "hftbacktest", "jsonl")


@click.command("export")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "name",
    required=True,
    type=click.Choice(_FORMATS),
    help="parquet: a table of all records. ndjson: what `wsproxy cat` prints. hftbacktest: its "
    "collector's lines. jsonl: the messages both ways and HTTP bodies, a line each.",
)
@click.option(
    "--out",
    required=True,
    metavar="FILE|-",
    help="The new file; must not be there yet. - is stdout. Lines are compressed where the name "
    "ends with .gz or .zst.",
)
@click.option("--stream", multiple=True, metavar="[VENUE:]STREAM", help="Only this. Repeatable.")
@click.option("--start", metavar="TIME", help="From here: ISO time, or +30s from the start.")
@click.option("--end", metavar="TIME", help="Before this: ISO time, or +2m from the start.")
def command(
    recording: Path,
    name: str,
    out: str,
    stream: tuple[str, ...],
    start: str | None,
    end: str | None,
) -> None:
    """Write a recording's records as Parquet, NDJSON or other recorders' lines.

    hftbacktest converts one instrument at a time: choose its streams with --stream, and name the
    file as its collector does, btcusdt_20240808.gz.
    """
    from wsproxy.cli.options import failing
    from wsproxy.errors import ConfigError
    from wsproxy.recording.exporting import EXPORTS
    from wsproxy.recording.reader import open as open_recording

    export = EXPORTS[name]
    with failing():
        if out == "-" and export.is_binary and sys.stdout.isatty():
            raise ConfigError(f"{name} is binary, and stdout a terminal: use --out FILE")
        reader = open_recording(recording)
        records = reader.messages(stream or None, start, end, export.kinds)
        connections = reader.connections
        with progress(reader.info) as advance, _opened(out, export.is_binary) as file:
            count = export.write(_watched(records, advance), connections, file)
    click.echo(f"{out}: {count:,} records", err=True)


@contextmanager
def _opened(out: str, is_binary: bool) -> Iterator[BinaryIO]:
    from wsproxy.recording.aside import aside_file
    from wsproxy.recording.exporting import compressing

    if out == "-":
        try:
            yield sys.stdout.buffer
            sys.stdout.flush()
        except BrokenPipeError:  # the reader (head, less) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(0)
        return
    with aside_file(Path(out)) as file, compressing(file, "" if is_binary else out) as target:
        yield target


def _watched(
    records: Iterable[Message], advance: Callable[[int], object] | None
) -> Iterator[Message]:
    if advance is None:
        yield from records
        return
    for number, record in enumerate(records):
        if not number & 0xFFF:
            advance(record.time)
        yield record
