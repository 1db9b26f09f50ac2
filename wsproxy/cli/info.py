"""``wsproxy info``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from wsproxy.recording.gaps import GapCount
    from wsproxy.recording.reader import Recording


@click.command("info")
@click.argument("recording", type=click.Path(path_type=Path))
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON, one object; times in ns, as text."
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Read all of it, too, and write a page that shows it: messages over time, gaps, latency, "
    "health. FILE must not be there yet. Needs wsproxy[report].",
)
def command(recording: Path, as_json: bool, html: Path | None) -> None:
    """Say what a recording holds: streams, times, sizes, health.

    Fast, because it reads little more than the heads of blocks: `wsproxy verify` reads everything.
    Only where there are gaps, or no index, are blocks read to find which streams have them.
    Exit code 1 if it finds damage.
    """
    from wsproxy.cli.options import failing
    from wsproxy.recording.gaps import count_gaps
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.recording.verify import verify

    with failing():
        if html is not None:
            from wsproxy.cli.page import report

            report(recording, html)
        reader = open_recording(recording, damaged="skip")
        gaps = count_gaps(reader)
        found = [one for loss in verify(recording, quick=True).losses for one in loss.damage]
        damage = {(one.path, one.offset): one for one in (*found, *reader.info.damage)}
        health = "damaged" if damage else "lossy" if reader.info.cut or gaps.records else "good"
        if as_json:
            page = _object(reader, gaps) | {
                "health": health,
                "damage": [
                    {"path": d.path, "offset": d.offset, "why": d.why} for d in damage.values()
                ],
            }
            click.echo(json.dumps(page, indent=2))
        else:
            for line in _page(reader, gaps, health):
                click.echo(line)
    for one in damage.values():
        click.echo(f"  DAMAGE: {one}", err=True)
    sys.exit(1 if damage else 0)


def _page(reader: Recording, gaps: GapCount, health: str) -> Iterator[str]:
    from wsproxy.cli.table import printable, table
    from wsproxy.recording.times import iso

    info = reader.info
    first, seconds = info.first or 0, info.duration / 1e9
    yield f"{info.path}: {info.parts} part(s), {printable(', '.join(info.venues))}"
    if info.first is not None and info.last is not None:
        yield f"  from       {iso(info.first)}"
        yield f"  to         {iso(info.last)}  ({seconds:,.3f} s)"
    yield f"  records    {info.records:,}"
    ratio = f"  ({info.disk_bytes / info.raw_bytes:.1%} of raw)" if info.raw_bytes else ""
    yield f"  raw        {info.raw_bytes:,} bytes"
    yield f"  on disk    {info.disk_bytes:,} bytes{ratio}"
    notes = [f"{gaps.records:,} gap record(s)"] if gaps.records else []
    if info.cut:
        notes.append(f"the last {info.cut:,} bytes are a block that was never finished")
    elif info.kinds is None:
        notes.append("it was not closed in order, or is still being written")
    yield f"  health     {'; '.join([health, *notes])}"
    for connection in info.connections:
        yield f"  connection {connection.number} to {printable(connection.url)}"
    yield from table(
        [">messages", ">per s", ">bytes", ">first", ">last", ">gaps", "stream"],
        [
            (
                f"{stream.messages:,}",
                f"{stream.messages / seconds:.1f}" if seconds else "-",
                f"{stream.bytes:,}",
                *(
                    "-" if time is None else f"+{(time - first) / 1e9:.3f}s"
                    for time in (stream.first, stream.last)
                ),
                f"{gaps.streams.get(key, 0):,}",
                str(key),
            )
            for key, stream in reader.streams.items()
        ],
    )


def _object(reader: Recording, gaps: GapCount) -> dict[str, object]:
    info = reader.info
    seconds = info.duration / 1e9
    return {
        "path": str(info.path),
        "parts": info.parts,
        "venues": info.venues,
        "first": _text(info.first),
        "last": _text(info.last),
        "seconds": seconds,
        "records": info.records,
        "raw_bytes": info.raw_bytes,
        "disk_bytes": info.disk_bytes,
        "ratio": info.disk_bytes / info.raw_bytes if info.raw_bytes else None,
        "gaps": gaps.records,
        "cut_bytes": info.cut,
        "closed_in_order": info.kinds is not None,
        "connections": [connection._asdict() for connection in info.connections],
        "streams": [
            {
                "stream": str(key),
                "messages": stream.messages,
                "per_second": stream.messages / seconds if seconds else None,
                "bytes": stream.bytes,
                "first": _text(stream.first),
                "last": _text(stream.last),
                "gaps": gaps.streams.get(key, 0),
            }
            for key, stream in reader.streams.items()
        ],
    }


def _text(time: int | None) -> str | None:
    return None if time is None else str(time)
