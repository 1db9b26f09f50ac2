"""``wsproxy bench``."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsproxy.cli.options import Number, failing
from wsproxy.cli.table import WIDTH, table

if TYPE_CHECKING:
    from wsproxy.app.bench.measure import Delay, Outcome


@click.command("bench")
@click.option(
    "--seconds",
    type=Number(0.5, 30),
    default=12,
    show_default=True,
    help="Measure for about so long; starting the processes and emptying queues comes on top.",
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Record on this disk; the recording is removed again.  [default: where temporary files "
    "are]",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the JSON to this file, too: for `wsproxy plan --bench FILE`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object.")
def command(seconds: float, directory: Path | None, save: Path | None, as_json: bool) -> None:
    """Measure what this machine can carry: throughput, delay, and what recording costs.

    A source, `wsproxy proxy`, `wsproxy record` and their clients run as processes of their own, on
    the loopback interface. Every client takes every message. Whatever else the machine does
    meanwhile, or a core that they have to share, makes the figures worse.
    """
    import msgspec

    from wsproxy.app.bench.measure import measure
    from wsproxy.errors import ConfigError

    with failing():
        for name, place in (("--dir", directory), ("--save", save and save.parent)):
            if place is not None and not (place.is_dir() and os.access(place, os.W_OK)):
                raise ConfigError(f"{name}: {place} is no directory that can be written to")
        try:
            outcome = measure(seconds, directory, _progress)
        finally:
            _progress("")
        content = msgspec.json.encode(outcome)
        if save is not None:
            try:
                save.write_bytes(content + b"\n")
            except OSError as error:
                raise ConfigError(f"--save {save}: {error.strerror}") from error
    if as_json:
        click.echo(content)
        return
    for line in report(outcome):
        click.echo(line)
    if save is not None:
        click.echo(f"\n`wsproxy plan --bench {save}` goes by these figures.")


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\033[K{text}")
        sys.stderr.flush()


def report(outcome: Outcome) -> Iterator[str]:
    """Lines for a person."""
    reference = outcome.reference
    yield from textwrap.wrap(reference.source, WIDTH)
    yield "\nas fast as it can, to clients that take all messages: messages/s"
    yield from table(
        (">clients", ">proxy", ">record", ">recording costs", ">deliveries/s, recording"),
        [
            (
                f"{clients:,}",
                f"{reference.proxy[clients]:,.0f}",
                f"{rate:,.0f}",
                f"{outcome.recording_costs[clients]:.0%}",
                f"{rate * clients:,.0f}",
            )
            for clients, rate in reference.record.items()
        ],
    )
    yield f"\nadded to a direct connection, to {outcome.paces[0].clients} clients: p50 and p99"
    yield from table(
        (">messages/s", ">proxy", ">record", ">(direct)"),
        [
            (f"{pace.messages_per_s:,}", *map(_delay, (pace.proxy, pace.record, pace.direct)))
            for pace in outcome.paces
        ],
    )
    yield "\nand so it can carry, even in the busiest second, to so many strategies"
    yield from table(
        ("", ">messages/s", ">busiest second", ">strategies", ">recording"),
        [
            (
                one.title,
                f"{one.messages_per_s:,.0f}",
                f"{one.peak_messages_per_s:,.0f}",
                *map(_strategies, (one.proxy, one.record)),
            )
            for one in outcome.carried
        ],
    )
    for one in outcome.carried:
        yield ""
        text = f"{one.title}: {one.source}"
        yield from textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="  ")


def _delay(delay: Delay) -> str:
    return f"{delay.p50_us:,.0f} and {delay.p99_us:,.0f} µs"


def _strategies(count: int) -> str:
    from wsproxy.app.bench.measure import CLAIMED

    return f"{count:,}" if count < CLAIMED else f"{count:,} or more"
