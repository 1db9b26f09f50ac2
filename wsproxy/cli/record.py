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
from wsproxy.config import Recording


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
        )
        venues, clients = upstream(options), serving(options)
    log_to_stderr()
    run(lambda: run_live(venues, clients, settings, options["duration"]))
