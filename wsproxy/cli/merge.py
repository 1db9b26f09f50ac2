"""``wsproxy merge``."""

from __future__ import annotations

from pathlib import Path

import click

from wsproxy.cli.writing import out_option, write_anew


@click.command("merge")
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@out_option
def command(recordings: tuple[Path, ...], out: Path) -> None:
    """Write several recordings as a new one, by time.

    They may be of different venues, or of the same streams on machines side by side: nothing is
    left out, so what several of them hold is there several times. Records and connections are
    numbered anew.
    """
    from wsproxy.cli.options import failing
    from wsproxy.recording.reader import open as open_recording

    with failing():
        write_anew(open_recording(recordings), out, "merge")
