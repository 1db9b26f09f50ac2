"""``wsproxy mark``."""

from __future__ import annotations

import os

import click

from wsproxy.cli.options import failing
from wsproxy.cli.running import admin_option, running_proxy


@click.command("mark")
@click.argument("text")
@click.option(
    "--who",
    default=lambda: os.environ.get("USER", ""),
    show_default="$USER",
    metavar="NAME",
    help="Who says so.",
)
@admin_option
def command(text: str, who: str, admin: str) -> None:
    """Put a note into the recording that a running proxy writes.

    It becomes a record of the kind MARKER, at this moment: `wsproxy cat` shows it.
    """
    import msgspec

    from wsproxy.app import asking
    from wsproxy.app.recorder import Mark, Marked
    from wsproxy.recording.times import iso

    with failing():
        body = msgspec.json.encode(Mark(text, who))
        said = asking.ask(running_proxy(admin), "POST", "/mark", body)
        click.echo(f"marked at {iso(msgspec.json.decode(said, type=Marked).time_ns)}")
