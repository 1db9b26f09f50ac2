"""``wsproxy cat``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click


@click.command("cat")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option("--stream", multiple=True, metavar="[VENUE:]STREAM", help="Only this. Repeatable.")
@click.option("--start", metavar="TIME", help="From here: ISO time, or +30s from the start.")
@click.option("--end", metavar="TIME", help="Before this: ISO time, or +2m from the start.")
@click.option("--messages", "only_messages", is_flag=True, help="Only what the venue sent.")
def command(
    recording: Path,
    stream: tuple[str, ...],
    start: str | None,
    end: str | None,
    only_messages: bool,
) -> None:
    """Print a recording's records as NDJSON, one a line.

    Keys: seq, time (ns since 1970, as text), kind, connection, stream (null, a name, or a list
    of names), and text, base64 or event.
    """
    from wsproxy.cli.options import failing
    from wsproxy.model import Kind
    from wsproxy.recording.ndjson import line
    from wsproxy.recording.reader import open as open_recording

    with failing():
        kinds = (Kind.MESSAGE,) if only_messages else None
        records = open_recording(recording).messages(stream or None, start, end, kinds)
        try:
            write = sys.stdout.buffer.write
            for record in records:
                write(line(record))
            sys.stdout.flush()
        except BrokenPipeError:  # the reader (head, less) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
