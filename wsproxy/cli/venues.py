"""``wsproxy venues``."""

from __future__ import annotations

import click


@click.command("venues")
@click.argument("names", nargs=-1, metavar="[VENUE]...")
def command(names: tuple[str, ...]) -> None:
    """List the venues with their limits, each with source and date."""
    from wsproxy.cli.options import fail
    from wsproxy.errors import ConfigError
    from wsproxy.venues.registry import VENUES

    for name in names or VENUES:
        if name not in VENUES:
            fail(ConfigError(f"unknown venue {name!r}: known are {', '.join(VENUES)}"))
        profile = VENUES[name].profile
        click.echo(f"{profile.name}  {profile.title}  {profile.url}")
        for fact in profile.facts:
            click.echo(f"  {fact.what}\n      {fact.source}, confirmed {fact.confirmed}")
