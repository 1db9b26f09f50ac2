"""``wsproxy replay``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

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
from wsproxy.errors import ConfigError


def _speed(text: str) -> float | None:
    """``max`` is None; raises ConfigError."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < math.inf:
        raise ConfigError(f"--speed {text}: write a number above 0, or max")
    return speed


@click.command("replay")
@click.argument("recording", type=click.Path(path_type=Path))
@option(
    "--speed",
    default="1",
    show_default=True,
    metavar="1|N|max",
    help="Times as fast as it was; max is as fast as the slowest client reads.",
)
@option("--start", metavar="TIME", help="Begin here: ISO time, or +30s from the start.")
@option("--end", metavar="TIME", help="End before this: ISO time, or +2m from the start.")
@option(
    "--clients",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Begin when so many clients have subscribed.",
)
@option(
    "--settle",
    type=Number(0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="... and nobody has asked for anything for so long.",
)
@serving_options
@config_option
def command(recording: Path, **options: Any) -> None:
    """Play a recording in the venues' own protocol.

    Clients connect as they would to `wsproxy record`. At the end it prints for each client the
    SHA-256 of all data frames that it was sent: two runs with the same requests print the same.
    """
    from wsproxy.app.program import run_replay
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.recording.times import moment

    with failing():
        reader = open_recording(recording)
        first = reader.info.first or 0
        start, end = (
            None if options[key] is None else moment(options[key], first)
            for key in ("start", "end")
        )
        speed, clients = _speed(options["speed"]), serving(options)
    log_to_stderr()
    run(
        lambda: run_replay(
            reader,
            clients,
            start=start,
            end=end,
            speed=speed,
            clients=options["clients"],
            settle_seconds=options["settle"],
        )
    )
