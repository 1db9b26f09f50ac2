"""``wsproxy venues``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

import click

from wsproxy.cli.table import duration

if TYPE_CHECKING:
    from wsproxy.venues.profile import Profile

_NO_LIMITS = ("name", "title", "url", "facts")


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
        for line in _lines(VENUES[name].profile):
            click.echo(line)


def _lines(profile: Profile) -> Iterator[str]:
    """Facts, each with the limits that it is about; then what no fact is about."""
    yield f"{profile.name}  {profile.title}  {profile.url}"
    limits = {
        field.name: getattr(profile, field.name)
        for field in fields(profile)
        if field.name not in _NO_LIMITS
    }
    for fact in profile.facts:
        yield f"  {fact.what}"
        yield f"      {fact.source}, confirmed {fact.confirmed}"
        for name in [name for name in fact.about if name in limits]:
            yield f"      {_title(name)}: {_shown(name, limits.pop(name))}"
    yield "  without a source, so chosen by wsproxy"
    for name, value in limits.items():
        if value not in (None, ()):
            yield f"      {_title(name)}: {_shown(name, value)}"
    unknown = [_title(name) for name, value in limits.items() if value in (None, ())]
    yield f"  not published, or not there: {', '.join(unknown)}"


def _title(name: str) -> str:
    return name.removesuffix("_ns").replace("_", " ")


def _shown(name: str, value: object) -> str:
    """A limit as a person reads it."""
    from wsproxy.config import Mirror
    from wsproxy.venues.profile import Pings, Rate

    match value:
        case Rate(most, period_ns):
            return f"{most:,} in {duration(period_ns / 1e9)}"
        case Pings(every_ns, patience_ns):
            return f"every {duration(every_ns / 1e9)}, pong in {duration(patience_ns / 1e9)}"
        case Mirror(url, weight):
            return f"{url} (weight {weight:g})"
        case frozenset():
            return ", ".join(map(str, sorted(value)))
        case tuple():
            return ", ".join(_shown(name, one) for one in value)
        case int() if name.endswith("_ns"):
            return duration(value / 1e9)
    return str(value)
