"""``wsproxy status``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from wsproxy.cli.options import Number, failing
from wsproxy.cli.running import admin_option, running_proxy
from wsproxy.cli.table import WIDTH, duration, printable, shortened, size, table

if TYPE_CHECKING:
    from wsproxy.app.status import FullStatus, VenueStatus, WindowStatus

_MOST_ROWS = 20
"""Of clients, waiting work and the like; connections are shown all."""


@click.command("status")
@admin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object.")
@click.option("--watch", is_flag=True, help="Repeat until Ctrl-C.")
@click.option(
    "--interval",
    type=Number(0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often with --watch.",
)
def command(admin: str, as_json: bool, watch: bool, interval: float) -> None:
    """Ask a running proxy how it is doing.

    Connections with their streams and rates, limits and what waits for them, gaps, and clients with
    their lag: those that lag most come first.
    """
    import msgspec

    from wsproxy.app.asking import ask
    from wsproxy.app.status import FullStatus

    def answer() -> str:
        said = ask(address, "GET", "/status")
        if as_json:
            return said.decode()
        return "\n".join(text(msgspec.json.decode(said, type=FullStatus)))

    with failing():
        address = running_proxy(admin)
        if watch:
            _repeat(answer, interval, redraw=sys.stdout.isatty() and not as_json)
        else:
            click.echo(answer())


def _repeat(answer: Callable[[], str], interval: float, *, redraw: bool) -> None:
    with suppress(KeyboardInterrupt):
        while True:
            said = answer()
            click.echo(f"\033[H\033[J{said}" if redraw else said)
            time.sleep(interval)


def text(status: FullStatus) -> Iterator[str]:
    """The status, line by line."""
    totals, recording = status.totals, status.recording
    yield (
        f"wsproxy {status.version}  pid {status.pid}  up {duration(status.uptime_seconds)}  "
        f"listening on {status.listening}"
    )
    if recording is None:
        yield "not recording"
    else:
        lost = f"{recording.lost:,} messages DROPPED" if recording.lost else "nothing dropped"
        where = printable(recording.path)
        yield f"recording to {where}: {size(recording.disk_bytes)} on disk, {lost}"
    yield (
        f"{totals.clients} clients  {totals.streams} streams  "
        f"{totals.connections}/{totals.cap} connections  {totals.messages:,} messages  "
        f"{totals.gaps} gaps"
    )
    yield from _connections(status.venues)
    yield from _limits(status.venues)
    yield from _troubles(status)
    yield from _clients(status)


def _connections(venues: list[VenueStatus]) -> Iterator[str]:
    head = ["venue", ">no", "state", ">age", ">streams", ">per s", ">messages", ">last", "address"]
    rows = [
        [
            venue.name,
            "-" if one.number is None else str(one.number),
            one.state,
            _time(one.age_seconds),
            str(one.streams) if one.live == one.streams else f"{one.live}/{one.streams}",
            "-" if one.messages_per_s is None else f"{one.messages_per_s:,.0f}",
            f"{one.messages:,}",
            _time(one.last_message_seconds),
            one.url,
        ]
        for venue in venues
        for one in venue.connections
    ]
    yield from _section("connections", head, rows, most=len(rows))
    for venue in venues:
        for one in venue.connections:
            if one.first:
                mean = one.first_by_seconds / one.first
                yield (
                    f"  {venue.name}: connection {one.number} was first with {one.first:,} "
                    f"messages, by {1000 * mean:.2f} ms on average"
                )
            if one.state in ("waiting", "connecting") and one.failures:
                line = f"  {venue.name}: {one.failures} failures, the last: {one.last_error}"
                yield shortened(printable(line), WIDTH)


def _limits(venues: list[VenueStatus]) -> Iterator[str]:
    rows = [
        [venue.name, f"{one.used:,}", f"{one.most:,}", f"{one.used / one.most:.0%}", one.name]
        for venue in venues
        for one in _fullest(venue).values()
    ]
    yield from _section("limits", ["venue", ">used", ">of", ">fill", "what"], rows)
    rows = [
        [venue.name, one.what, _time(one.seconds), one.why]
        for venue in venues
        for one in venue.waiting
    ]
    yield from _section("waiting", ["venue", "what", ">for", "because"], rows)


def _fullest(venue: VenueStatus) -> dict[str, WindowStatus]:
    """The venue's windows and, of each that its connections have, the fullest."""
    found = {window.name: window for window in venue.windows}
    for connection in venue.connections:
        for window in connection.windows:
            known = found.get(window.name)
            if known is None or window.used > known.used:
                found[window.name] = window
    return found


def _troubles(status: FullStatus) -> Iterator[str]:
    from wsproxy.recording.times import iso

    rows = [
        [
            iso(gap.since_ns)[:23],
            duration((gap.until_ns - gap.since_ns) / 1e9),
            "?" if gap.missed is None else f"{gap.missed:,}",
            gap.streams[0] + f" +{len(gap.streams) - 1}" * (len(gap.streams) > 1)
            if gap.streams
            else "all",
            gap.why,
        ]
        for gap in status.gaps
    ]
    yield from _section("gaps", ["since (UTC)", ">for", ">missed", "streams", "why"], rows)
    rows = [
        [venue.name, f"{count:,}", why]
        for venue in status.venues
        for why, count in venue.refused.items()
    ]
    yield from _section("refused", ["venue", ">times", "why"], rows)


def _clients(status: FullStatus) -> Iterator[str]:
    head = [">no", ">streams", ">asked", ">lag", ">since", ">priority", "name"]
    rows = [
        [
            str(one.number),
            str(one.streams),
            str(one.requests),
            size(one.lag_bytes),
            _time(one.lag_seconds if one.lag_bytes else None),
            str(one.priority),
            one.name,
        ]
        for one in sorted(status.clients, key=lambda one: (-one.lag_bytes, one.number))
    ]
    yield from _section("clients", head, rows)
    for venue in status.venues:
        if venue.conflated:
            yield (
                f"  {venue.name}: {venue.conflated:,} times a newer message replaced one that a "
                "client had no time for"
            )


def _section(
    title: str, head: list[str], rows: list[list[str]], most: int = _MOST_ROWS
) -> Iterator[str]:
    """Nothing where there are no rows."""
    if rows:
        yield ""
        yield title
        yield from table(head, rows[:most])
        if len(rows) > most:
            yield f"  and {len(rows) - most:,} more"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else duration(seconds)
