"""``wsproxy repair``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wsproxy.cli.writing import LOSSY, lines, out_option, progress, tell


@click.command("repair")
@click.argument("recording", type=click.Path(path_type=Path))
@out_option
def command(recording: Path, out: Path) -> None:
    """Write a new recording of what can be read of a damaged one.

    RECORDING stays as it is. Records are numbered anew; where some are lost, gap records say so.
    Exit code 3 if something was lost.
    """
    from wsproxy.cli.options import failing
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.recording.repair import repair

    with failing():
        info = open_recording(recording, damaged="skip").info
        with progress(info) as advance:
            written, losses = repair(recording, out, progress=advance)
    for loss in losses:
        for line in lines(loss):
            click.echo(line)
    tell(out, written, info.disk_bytes)
    sys.exit(LOSSY if any(not loss.is_harmless for loss in losses) else 0)
