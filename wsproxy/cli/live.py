"""What ``record`` and ``proxy`` share: the options about venues."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from wsproxy.cli.options import DEFAULT_OUTBOX_MB, Number, option
from wsproxy.config import Upstream, VenueSetting, parse_venue
from wsproxy.errors import ConfigError

_VENUES = click.argument("venues", nargs=-1, required=True, metavar="VENUE[=URL]...")

_LIVE = (
    option(
        "--max-connections",
        type=click.IntRange(1),
        default=Upstream.max_connections,
        show_default=True,
        help="Upstream connections at most, all venues together.",
    ),
    option(
        "--redundancy",
        multiple=True,
        metavar="[VENUE[:STREAM]=]N",
        help="Take streams over so many connections and deliver what comes first: of all venues, "
        "of one, or of one stream. Repeatable.  [default: 1]",
    ),
    option(
        "--client-priority",
        multiple=True,
        metavar="TOKEN=N",
        help="A client that gives this token has this priority at the cap; with such tokens, what "
        "clients claim themselves counts for nothing. Repeatable.",
    ),
    option(
        "--linger",
        type=Number(0),
        default=Upstream.linger_seconds,
        show_default=True,
        metavar="SECONDS",
        help="Keep a stream for so long after its last client has left.",
    ),
    option(
        "--on-gap",
        type=click.Choice(["close", "continue"]),
        default="close",
        show_default=True,
        help="When messages were missed: close the clients concerned with 1012, so that they "
        "start afresh, or leave them connected.",
    ),
    option(
        "--private",
        type=click.Choice(["dedicated", "refuse"]),
        default="dedicated",
        show_default=True,
        help="A client that authenticates or trades: give it an upstream connection of its own, "
        "within --max-connections, and pass everything on as it is; or refuse.",
    ),
    option(
        "--outbox-mb",
        type=Number(0.001),
        default=DEFAULT_OUTBOX_MB,
        show_default=True,
        help="What may wait for one client for more than a second, for a moment four times as "
        "much, before it is closed as lagging (1008).",
    ),
    option(
        "--upstream-ca",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Trust these certificate authorities (PEM) for wss:// upstreams, too.",
    ),
)

_DURATION = option(
    "--duration",
    type=Number(0, min_open=True),
    metavar="SECONDS",
    help="Stop after so long.",
)


LIVE_NAMES = (
    *("max_connections", "redundancy", "client_priority", "linger", "on_gap", "private"),
    *("outbox_mb", "upstream_ca"),
)
"""The parameters of ``live_options``."""


def upstream_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the venues as arguments, and the options about them."""
    return _VENUES(live_options(_DURATION(command)))


def live_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options about venues."""
    for decorate in reversed(_LIVE):
        command = decorate(command)
    return command


def upstream(options: dict[str, Any]) -> Upstream:
    """Take the options about venues out of a command's options; raises ConfigError."""
    venues = tuple(parse_venue(text) for text in options["venues"])
    _check(venues)
    if options["max_connections"] < len(venues):
        raise ConfigError(
            f"--max-connections {options['max_connections']} is too few for "
            f"{len(venues)} venues: each needs one"
        )
    return Upstream(
        venues=venues,
        max_connections=options["max_connections"],
        linger_seconds=options["linger"],
        close_on_gap=options["on_gap"] == "close",
        ca_file=options["upstream_ca"],
        subscribe=tuple(_stream(text, venues) for text in options.get("subscribe", ())),
        redundancy=tuple(_redundancy(text, venues) for text in options["redundancy"]),
        priorities=tuple(_priority(text) for text in options["client_priority"]),
        private=options["private"] == "dedicated",
        record_private=options.get("record_private", False),
    )


def _check(venues: tuple[VenueSetting, ...]) -> None:
    from wsproxy.venues.registry import VENUES

    names = [setting.name for setting in venues]
    for name in names:
        if name not in VENUES:
            close = difflib.get_close_matches(name, VENUES, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(VENUES)}"
            raise ConfigError(f"unknown venue {name!r}: {hint}")
        if names.count(name) > 1:
            raise ConfigError(f"venue {name!r} is named twice")


def _redundancy(text: str, venues: tuple[VenueSetting, ...]) -> tuple[str, int]:
    what, _, number = text.rpartition("=")
    if not number.isdecimal() or not 1 <= int(number) <= 8:
        raise ConfigError(f"--redundancy {text!r}: write N, VENUE=N or VENUE:STREAM=N, with N <= 8")
    name = what.partition(":")[0]
    if name and name not in {setting.name for setting in venues}:
        raise ConfigError(f"--redundancy {text!r}: {name!r} is not one of the venues served")
    return what, int(number)


def _priority(text: str) -> tuple[str, int]:
    token, _, number = text.rpartition("=")
    if not token or not number.removeprefix("-").isdecimal():
        raise ConfigError("--client-priority: write TOKEN=N, with a whole number N")
    return token, int(number)


def _stream(text: str, venues: tuple[VenueSetting, ...]) -> tuple[str, str]:
    from wsproxy.venues.registry import venue

    name, colon, stream = text.partition(":")
    if not colon or name not in {setting.name for setting in venues}:
        known = ", ".join(f"{setting.name}:STREAM" for setting in venues)
        raise ConfigError(f"--subscribe {text!r}: write {known}")
    try:
        return name, venue(name).stream(stream)
    except ValueError as error:
        raise ConfigError(f"--subscribe {text!r}: {error}") from error
