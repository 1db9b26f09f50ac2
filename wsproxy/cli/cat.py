"""``wsproxy cat``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

_KINDS = (
    "message",
    "request",
    "opened",
    "closed",
    "subscribed",
    "acknowledged",
    "refused",
    "unsubscribed",
    "gap",
    "keyframe",
    "attachment",
    "clock",
    "marker",
    "statistics",
    "deleted",
)


@click.command("cat")
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--stream", multiple=True, metavar="[VENUE:]STREAM", help="Only this. Repeatable.")
@click.option("--start", metavar="TIME", help="From here: ISO time, or +30s from the start.")
@click.option("--end", metavar="TIME", help="Before this: ISO time, or +2m from the start.")
@click.option("--kind", multiple=True, type=click.Choice(_KINDS), help="Only this. Repeatable.")
@click.option("--messages", "only_messages", is_flag=True, help="Short for --kind message.")
@click.option(
    "--raw",
    is_flag=True,
    help="Print only payloads, exactly as they were recorded, each with a newline behind it. Not "
    "to a terminal, which would obey them.",
)
def command(
    recordings: tuple[Path, ...],
    stream: tuple[str, ...],
    start: str | None,
    end: str | None,
    kind: tuple[str, ...],
    only_messages: bool,
    raw: bool,
) -> None:
    """Print a recording's records as NDJSON.

    One a line; those of several recordings by time. Keys: seq, time (ns since 1970, as text),
    kind, connection, stream (null, a name, or a list of names), and text, base64 or event.
    """
    from wsproxy.cli.options import failing
    from wsproxy.errors import ConfigError
    from wsproxy.model import Kind
    from wsproxy.recording.ndjson import line
    from wsproxy.recording.reader import open as open_recording

    with failing():
        if raw and sys.stdout.isatty():
            raise ConfigError("--raw does not print to a terminal: name a file or a pipe")
        names = (*kind, "message") if only_messages else kind
        kinds = {Kind[name.upper()] for name in names} or None
        records = open_recording(recordings).messages(stream or None, start, end, kinds)
        try:
            write = sys.stdout.buffer.write
            for record in records:
                write(record.payload + b"\n" if raw else line(record))
            sys.stdout.flush()
        except BrokenPipeError:  # the reader (head, less) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
