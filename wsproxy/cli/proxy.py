"""``wsproxy proxy``."""

from __future__ import annotations

from typing import Any

import click

from wsproxy.cli.live import upstream, upstream_options
from wsproxy.cli.options import (
    config_option,
    failing,
    log_to_stderr,
    run,
    serving,
    serving_options,
)


@click.command("proxy")
@upstream_options
@serving_options
@config_option
def command(**options: Any) -> None:
    """Serve live clients without recording.

    VENUE is one of `wsproxy venues`; with =URL another address is used in place of the venue's
    own, as in binance=ws://127.0.0.1:9001.
    """
    from wsproxy.app.program import run_live

    with failing():
        venues, clients = upstream(options), serving(options)
    log_to_stderr()
    run(lambda: run_live(venues, clients, None, options["duration"]))
