"""``wsproxy compact``."""

from __future__ import annotations

from pathlib import Path

import click

from wsproxy.cli.writing import out_option, write_anew


@click.command("compact")
@click.argument("recording", type=click.Path(path_type=Path))
@out_option
@click.option(
    "--level",
    type=click.IntRange(1, 22),
    default=19,
    show_default=True,
    help="Of zstd: higher is smaller, and takes longer to write; reading does not.",
)
@click.option(
    "--block-mb",
    type=click.IntRange(1, 32),
    default=4,
    show_default=True,
    help="Larger blocks are smaller altogether; to read one record takes a whole block.",
)
def command(recording: Path, out: Path, level: int, block_mb: int) -> None:
    """Write a recording anew, as small as it gets: the same records in larger blocks."""
    from wsproxy.cli.options import failing
    from wsproxy.recording.reader import open as open_recording

    with failing():
        reader = open_recording(recording)
        write_anew(reader, out, "compact", level=level, block_bytes=block_mb << 20)
