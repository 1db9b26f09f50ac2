"""``wsproxy verify``."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("verify")
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Read only the heads of blocks and the index.")
def command(recordings: tuple[Path, ...], quick: bool) -> None:
    """Read all of a recording and say whether it is whole.

    Says for each damage where it is, and what it costs. Exit code 0 if all is good, 1 if bytes are
    damaged, 3 if they are good but something is missing, as gap records or a cut end say.
    """
    from wsproxy.cli.options import failing
    from wsproxy.cli.writing import LOSSY, lines, progress
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.recording.verify import verify

    verdicts = []
    with failing():
        for path in recordings:
            with progress(open_recording(path, damaged="skip").info) as advance:
                verdict = verify(path, quick=quick, progress=advance)
            verdicts.append(verdict)
            word = "DAMAGED" if verdict.is_damaged else "lossy" if verdict.is_lossy else "good"
            click.echo(
                f"{path}: {word}; {verdict.parts:,} part(s), {verdict.blocks:,} blocks, "
                f"{verdict.records:,} records"
            )
            for loss in verdict.losses:
                for line in lines(loss):
                    click.echo(f"  {line}")
            if verdict.gaps:
                click.echo(f"  {verdict.gaps:,} gap record(s): messages may be missing there")
            elif verdict.gaps is None:
                click.echo("  gaps were not looked for: there is no index that counts them")
            if not verdict.is_closed:
                click.echo("  it was not closed in order, or is still being written")
    if any(verdict.is_damaged for verdict in verdicts):
        sys.exit(1)
    sys.exit(LOSSY if any(verdict.is_lossy for verdict in verdicts) else 0)
