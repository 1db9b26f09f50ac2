"""``wsproxy info``."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command("info")
@click.argument("recording", type=click.Path(path_type=Path))
def command(recording: Path) -> None:
    """Say what a recording holds: streams, times, sizes, health.

    Fast, because it reads little more than the heads of blocks. Exit code 1 if it finds damage.
    """
    from wsproxy.cli.options import failing
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.recording.times import iso

    with failing():
        reader = open_recording(recording, damaged="skip")
        streams, info = reader.streams, reader.info
        click.echo(f"{info.path}: {info.parts} part(s), {', '.join(info.venues)}")
        if info.first is not None and info.last is not None:
            click.echo(f"  from       {iso(info.first)}")
            click.echo(f"  to         {iso(info.last)}  ({info.duration / 1e9:,.3f} s)")
        click.echo(f"  records    {info.records:,}")
        ratio = f"  ({info.disk_bytes / info.raw_bytes:.1%} of raw)" if info.raw_bytes else ""
        click.echo(f"  raw        {info.raw_bytes:,} bytes")
        click.echo(f"  on disk    {info.disk_bytes:,} bytes{ratio}")
        for connection in info.connections:
            click.echo(f"  connection {connection.number} to {connection.url}")
        width = max((len(str(key)) for key in streams), default=0)
        click.echo(f"  {'stream':{width}}  {'messages':>10}  {'per s':>8}  {'bytes':>13}")
        for key, stream in streams.items():
            seconds = info.duration / 1e9
            rate = f"{stream.messages / seconds:8.1f}" if seconds else f"{'-':>8}"
            click.echo(f"  {key!s:{width}}  {stream.messages:>10,}  {rate}  {stream.bytes:>13,}")
        if info.cut:
            click.echo(f"  the last {info.cut:,} bytes are a block that was never finished")
        for damage in info.damage:
            click.echo(f"  DAMAGE: {damage}", err=True)
    sys.exit(1 if info.damage else 0)
