"""What the commands share that read recordings and write a new one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wsproxy.recording.reader import Recording, RecordingInfo
    from wsproxy.recording.rewrite import Progress, Written
    from wsproxy.recording.survey import Loss

LOSSY = 3
"""Exit code: good as far as it goes, but something is missing."""

out_option = click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="The new recording; must not be there yet.",
)


@contextmanager
def progress(info: RecordingInfo) -> Iterator[Progress | None]:
    """A bar on stderr, if that is a terminal, for work from the first to the last record."""
    if not sys.stderr.isatty() or not info.duration:
        yield None
        return
    at = info.first or 0
    steps = info.duration // 200
    with click.progressbar(length=info.duration, file=sys.stderr, update_min_steps=steps) as bar:

        def advance(time: int) -> None:
            nonlocal at
            if time > at:
                bar.update(time - at)
                at = time

        yield advance


def write_anew(reader: Recording, out: Path, tool: str, **how: int) -> None:
    """Write all records of a recording as a new one, and say how large it became."""
    from wsproxy.recording.rewrite import rewrite

    info = reader.info
    with progress(info) as advance:
        written = rewrite(
            reader.messages(kinds=None),
            reader.connections,
            out,
            venues=info.venues,
            tool=tool,
            progress=advance,
            **how,
        )
    tell(out, written, info.disk_bytes)


def tell(out: Path, written: Written, before: int) -> None:
    """Say on stderr what was written, and how large that is beside so many bytes."""
    ratio = f", {written.disk_bytes / before:.1%} of the {before:,} before" if before else ""
    click.echo(f"{out}: {written.records:,} records, {written.disk_bytes:,} bytes{ratio}", err=True)


def lines(loss: Loss) -> Iterator[str]:
    """What is damaged or cut off, and what that costs."""
    from wsproxy.cli.table import printable
    from wsproxy.recording.times import iso

    for damage in loss.damage:
        yield f"DAMAGED {damage.path}, byte {damage.offset}: {printable(damage.why)}"
    if loss.cut:
        yield f"CUT OFF the last {loss.cut:,} bytes are a block that was never finished"
    if loss.is_harmless:
        yield "        lost: no record"
        return
    count = (
        "records, nothing tells how many" if loss.records is None else f"{loss.records:,} records"
    )
    times = [
        f"{word} {iso(time)}"
        for word, time in (
            ("after", loss.since),
            ("before", None if loss.until is None else loss.until.wall_ns),
        )
        if time is not None
    ]
    yield "        lost: " + ", ".join([count, *times])
    for key, messages in sorted(loss.messages.items()):
        yield f"              {printable(str(key))}: {messages:,} messages"
