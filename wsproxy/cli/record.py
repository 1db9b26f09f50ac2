"""``wsproxy record``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wsproxy.cli.live import upstream, upstream_options
from wsproxy.cli.options import (
    Number,
    config_option,
    failing,
    log_to_stderr,
    option,
    run,
    serving,
    serving_options,
)
from wsproxy.config import Recording, parse_rest_url
from wsproxy.errors import ConfigError


@click.command("record")
@upstream_options
@option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Where to record; must not hold a recording.  [default: recordings/<utc time>-<venues>]",
)
@option(
    "--subscribe",
    multiple=True,
    metavar="VENUE:STREAM",
    help="Record this stream whether a client asks for it or not. Repeatable.",
)
@option(
    "--record-private",
    is_flag=True,
    help="Record what the venue sends to clients with a connection of their own, too. What they "
    "send, with its keys and signatures, is never recorded.",
)
@option(
    "--block-seconds",
    type=Number(0.01),
    default=Recording.block_seconds,
    show_default=True,
    help="Write at least so often: what a crash can cost.",
)
@option(
    "--block-kb",
    type=click.IntRange(1, 16384),
    default=Recording.block_bytes >> 10,
    show_default=True,
    help="... and whenever so much has come. Larger blocks compress better.",
)
@option(
    "--rotate-mb",
    type=click.IntRange(1, 1 << 20),
    default=Recording.rotate_bytes >> 20,
    show_default=True,
    help="Begin the next part of the recording when a part has so many MB.",
)
@option(
    "--rotate-seconds",
    type=Number(1),
    help="... and when it is so old.  [default: never]",
)
@option(
    "--rotate-daily",
    is_flag=True,
    help="... and at midnight, UTC.",
)
@option(
    "--keep-gb",
    type=Number(0, min_open=True),
    help="Delete the oldest parts of this recording when it has more GB.  [default: never]",
)
@option(
    "--keep-days",
    type=Number(0, min_open=True),
    help="... when their latest message is older.  [default: never]",
)
@option(
    "--keep-free-gb",
    type=Number(0, min_open=True),
    help="... when less of the disk is free.  [default: never]",
)
@option(
    "--rest-depth",
    type=click.IntRange(0, 5000),
    default=Recording.rest_depth,
    show_default=True,
    metavar="LEVELS",
    help="Fetch books from the venue's REST interface where its streams do not begin with them "
    "(Binance), with so many levels, when a stream begins and after each gap; 0 for never. More "
    "levels count more against the venue's limit.",
)
@option(
    "--rest-url",
    multiple=True,
    metavar="VENUE=URL",
    help="... from here. Repeatable.  [default: the venue's own address, if its streams come from "
    "there, else nowhere]",
)
@option(
    "--keyframe-seconds",
    type=Number(0),
    default=Recording.keyframe_seconds,
    show_default=True,
    metavar="SECONDS",
    help="Record the state of each stream so often where a venue has such (Coinbase), so that "
    "seeking is cheap; 0 for never.",
)
@option(
    "--on-disk-error",
    type=click.Choice(["continue", "stop"]),
    default="continue",
    show_default=True,
    help="When the disk is full or fails: go on without recording until it recovers (exit code "
    "3), or stop the proxy.",
)
@serving_options
@config_option
def command(**options: Any) -> None:
    """Serve live clients and record everything that crosses a connection to a venue.

    VENUE is one of `wsproxy venues`; with =URL another address is used in place of the venue's
    own, as in binance=ws://127.0.0.1:9001. Each venue is served under /VENUE, followed by the
    venue's own path; with one venue also without that prefix.
    """
    from wsproxy.app.program import run_live

    with failing():
        settings = Recording(
            out=options["out"],
            block_bytes=options["block_kb"] << 10,
            block_seconds=options["block_seconds"],
            stop_on_error=options["on_disk_error"] == "stop",
            rotate_bytes=options["rotate_mb"] << 20,
            rotate_seconds=options["rotate_seconds"],
            rotate_daily=options["rotate_daily"],
            keep_bytes=_scaled(options["keep_gb"], 1 << 30),
            keep_seconds=_scaled(options["keep_days"], 86_400),
            keep_free_bytes=_scaled(options["keep_free_gb"], 1 << 30),
            rest_urls=tuple(map(_rest_url, options["rest_url"])),
            rest_depth=options["rest_depth"],
            keyframe_seconds=options["keyframe_seconds"],
        )
        venues, clients = upstream(options), serving(options)
    log_to_stderr()
    run(lambda: run_live(venues, clients, settings, options["duration"]))


def _scaled(value: float | None, unit: int) -> int | None:
    return None if value is None else int(value * unit)


def _rest_url(text: str) -> tuple[str, str]:
    from wsproxy.venues.registry import VENUES

    name, url = parse_rest_url(text)
    if name not in VENUES or VENUES[name].rest is None:
        known = ", ".join(known for known, venue in VENUES.items() if venue.rest is not None)
        raise ConfigError(f"--rest-url {text}: write VENUE=URL, for one of {known}")
    return name, url
