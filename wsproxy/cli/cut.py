"""``wsproxy cut``."""

from __future__ import annotations

from pathlib import Path

import click

from wsproxy.cli.writing import out_option, progress, tell


@click.command("cut")
@click.argument("recording", type=click.Path(path_type=Path))
@out_option
@click.option("--start", metavar="TIME", help="From here: ISO time, or +30s from the start.")
@click.option("--end", metavar="TIME", help="Before this: ISO time, or +2m from the start.")
@click.option("--stream", multiple=True, metavar="[VENUE:]STREAM", help="Only this. Repeatable.")
def command(
    recording: Path, out: Path, start: str | None, end: str | None, stream: tuple[str, ...]
) -> None:
    """Write a new recording of some of the time and some of the streams.

    It begins with what is known at its start: which streams were granted, the book (or the last
    REST attachment) of those whose snapshots come by REST, and a keyframe of each stream that has a
    state, so that a replay can tell late joiners.
    A message of several streams is kept whole if one of them is wanted. Records are numbered anew.
    """
    from wsproxy.cli.options import failing
    from wsproxy.recording.cut import cut
    from wsproxy.replay.library import open as open_recording
    from wsproxy.replay.past import books

    with failing():
        reader = open_recording(recording)
        with progress(reader.info) as advance:
            written = cut(
                reader,
                out,
                streams=stream,
                start=start,
                end=end,
                books=books(reader),
                progress=advance,
            )
    tell(out, written, reader.info.disk_bytes)
