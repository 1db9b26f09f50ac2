"""``wsproxy plan``."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsproxy.cli.options import failing
from wsproxy.cli.table import WIDTH, duration, size
from wsproxy.config import Upstream

if TYPE_CHECKING:
    from wsproxy.hub.capacity import Demand, Forecast, Load, Machine, Need, Reference, Traffic
    from wsproxy.venues.profile import Profile

_INDENT = 15


@click.command("plan")
@click.option("--venue", required=True, metavar="VENUE", help="One of `wsproxy venues`.")
@click.option("--streams", type=click.IntRange(1), required=True, help="Different streams.")
@click.option(
    "--clients", type=click.IntRange(1), required=True, help="Clients that take all of them."
)
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path),
    metavar="RECORDING",
    help="Expect the traffic that was recorded here, a stream of the average.",
)
@click.option(
    "--redundancy",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Connections that carry the same stream.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1),
    default=Upstream.max_connections,
    show_default=True,
    help="As given to the proxy.",
)
@click.option(
    "--bench",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Go by what `wsproxy bench --save FILE` measured, not by the project's benches.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object.")
def command(
    venue: str,
    streams: int,
    clients: int,
    source: Path | None,
    redundancy: int,
    max_connections: int,
    bench: Path | None,
    as_json: bool,
) -> None:
    """Say what a number of streams and clients needs, and which limit it meets first.

    Connections and the time to subscribe follow from the venue's limits, traffic from a recording,
    and what this machine can carry from the project's benches, scaled by half a second of
    measuring.
    """
    import msgspec

    from wsproxy.app.measuring import measured, splitting_rate
    from wsproxy.errors import ConfigError
    from wsproxy.hub.capacity import REFERENCE, Demand, Machine, forecast
    from wsproxy.recording.reader import open as open_recording
    from wsproxy.venues.registry import VENUES

    with failing():
        if venue not in VENUES:
            raise ConfigError(f"unknown venue {venue!r}: known are {', '.join(VENUES)}")
        profile = VENUES[venue].profile
        demand = Demand(streams, clients, redundancy, max_connections)
        traffic = None if source is None else measured(open_recording(source), venue)
        reference = REFERENCE if bench is None else _measured(bench)
        speed = splitting_rate() / reference.splitting
        machine = Machine(speed, shutil.disk_usage(Path.cwd()).free)
        found = forecast(profile, demand, traffic, machine, reference)
        if as_json:
            content = {
                "venue": venue,
                "demand": demand,
                "traffic": traffic,
                "machine": machine,
                "reference": reference.source,
                "forecast": found,
            }
            click.echo(msgspec.json.encode(content))
        else:
            click.echo(f"{streams:,} streams of {profile.title} to {clients:,} clients")
            for name, value, why in rows(profile, demand, traffic, machine, reference, found):
                click.echo(f"  {name:<{_INDENT}}{value}")
                for line in textwrap.wrap(why, WIDTH - _INDENT - 2):
                    click.echo(f"  {'':<{_INDENT}}{line}")


def _measured(path: Path) -> Reference:
    import msgspec

    from wsproxy.app.bench.measure import Outcome
    from wsproxy.errors import ConfigError

    try:
        return msgspec.json.decode(path.read_bytes(), type=Outcome).reference
    except OSError as error:
        raise ConfigError(f"--bench {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise ConfigError(f"--bench {path} is not of `wsproxy bench --save`: {error}") from error


def rows(
    profile: Profile,
    demand: Demand,
    traffic: Traffic | None,
    machine: Machine,
    reference: Reference,
    found: Forecast,
) -> Iterator[tuple[str, str, str]]:
    """What is said of each thing: its name, the figure, and how that comes about."""
    yield _connections(profile, demand, found.need)
    yield _subscribing(profile, found.need)
    if found.load is None or traffic is None:
        yield "traffic", "unknown: --from RECORDING would tell", ""
    else:
        yield from _traffic(found.load, traffic)
    yield _processor(machine, reference, found)
    yield _disk(machine, found)
    uses = ", ".join(f"{use.what} {use.share:.0%}" for use in found.uses)
    enough = "" if found.uses[0].share <= 1 else "NOT ENOUGH: "
    yield "bottleneck", enough + uses, "how much of each is used up, the scarcest first"


def _connections(profile: Profile, demand: Demand, need: Need) -> tuple[str, str, str]:
    limits = [
        f"{most:,} {what} a connection"
        for most, what in (
            (profile.streams_per_connection, "streams"),
            (profile.characters_per_connection, "characters"),
        )
        if most is not None
    ]
    why = f"{demand.streams:,} streams, {' and '.join(limits) or 'any number of them a connection'}"
    if demand.redundancy > 1:
        why += f", each on {demand.redundancy}"
    whose = "--max-connections" if need.connections_most == demand.cap else "the venue's limit"
    return "connections", f"{need.connections:,} of {need.connections_most:,} ({whose})", why


def _subscribing(profile: Profile, need: Need) -> tuple[str, str, str]:
    rates = [
        (profile.connects, "connection attempts"),
        (profile.requests, "frames a connection"),
        (profile.requests_per_ip, "frames an IP address"),
        (profile.operations, "subscriptions a connection"),
    ]
    limits = [
        f"{rate.most:,} {what} in {duration(rate.period_ns / 1e9)}"
        for rate, what in rates
        if rate is not None
    ]
    return (
        "subscribed in",
        f"{duration(need.subscribe_seconds)}, and the time that the venue takes to answer",
        f"{need.requests:,} requests of at most {need.streams_per_request:,} streams on the "
        f"fullest connection; allowed are {', '.join(limits)}; windows are stretched by a tenth, "
        "and one frame in a connection's window is left for a pong",
    )


def _traffic(load: Load, traffic: Traffic) -> Iterator[tuple[str, str, str]]:
    yield (
        "messages/s",
        f"{load.messages_per_s:,.0f}, in the busiest second {load.peak_messages_per_s:,.0f}",
        "",
    )
    yield (
        "bytes/s",
        f"{size(load.bytes_per_s)}, in the busiest second {size(load.peak_bytes_per_s)}",
        f"measured on {traffic.streams:,} streams in {duration(traffic.seconds)}, and scaled",
    )


def _processor(machine: Machine, reference: Reference, found: Forecast) -> tuple[str, str, str]:
    record, load = found.record_messages_per_s, found.load
    most = f"at most {record:,.0f} messages/s recording, {found.proxy_messages_per_s:,.0f} without"
    why = f"{reference.source}; times {machine.speed:.2f}, for this machine's speed just now"
    if load is None:
        return "CPU", most, why
    share, peak = load.messages_per_s / record, load.peak_messages_per_s / record
    return "CPU", f"{share:.1%}, in the busiest second {peak:.1%}", f"{most} ({why})"


def _disk(machine: Machine, found: Forecast) -> tuple[str, str, str]:
    free = f"{size(machine.disk_free)} free in this directory"
    if found.load is None or found.disk_seconds is None:
        return "disk", free, ""
    daily = size(found.load.disk_bytes_per_s * 86_400)
    return "disk", f"{daily} a day, full in {duration(found.disk_seconds)}", free
