"""``wsproxy replay``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from wsproxy.cli.live import LIVE_NAMES, live_options, upstream
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
from wsproxy.config import SECOND_NS, Playing, Upstream
from wsproxy.errors import ConfigError, RecordingError

if TYPE_CHECKING:
    from wsproxy.replay.programme import Programme


@click.command("replay")
@click.argument("recording", nargs=-1, required=True, type=click.Path(path_type=Path))
@option(
    "--offset",
    multiple=True,
    metavar="[N=]SECONDS",
    help="Add so much to the times of recording N, counted from 1: so recordings of different "
    "days play side by side. Repeatable.",
)
@option(
    "--speed",
    default="1",
    show_default=True,
    metavar="1|N|max",
    help="Times as fast as it was; max is as fast as the slowest client reads.",
)
@option(
    "--start",
    metavar="TIME",
    help="Begin here: ISO time, +30s from the start, or -10m from the end.",
)
@option(
    "--end",
    metavar="TIME",
    help="End before this: ISO time, +2m from the start, or -10s from the end.",
)
@option(
    "--loop",
    default="1",
    show_default=True,
    metavar="N|forever",
    help="Play so many times. Clients that no snapshot makes whole are closed with 1012 between.",
)
@option(
    "--max-idle",
    type=Number(0),
    metavar="SECONDS",
    help="Where nothing comes for longer, go on after so long.",
)
@option(
    "--clients",
    type=click.IntRange(1),
    default=Playing.clients,
    show_default=True,
    help="Begin when so many clients have subscribed.",
)
@option(
    "--settle",
    type=Number(0),
    default=Playing.settle_seconds,
    show_default=True,
    metavar="SECONDS",
    help="... and nobody has asked for anything for so long.",
)
@option("--session", default="", metavar="NAME", help="Call the run so in the log and digests.")
@option(
    "--digest-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write what each client was sent, as digests for `wsproxy diff`, to a JSON file.",
)
@option(
    "--stall-timeout",
    type=Number(0, min_open=True),
    default=Playing.stall_seconds,
    show_default=True,
    metavar="SECONDS",
    help="Close a client that has read nothing for so long; the exit code is then 3.",
)
@option(
    "--lockstep",
    is_flag=True,
    help="Go on only when every client has handled what it was sent.",
)
@option(
    "--faithful",
    is_flag=True,
    help="Close clients where the connection of their streams was closed then, with its code.",
)
@option(
    "--faults",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Let happen what this TOML file says: disconnects, gaps, latency and so on.",
)
@option(
    "--then-live",
    is_flag=True,
    help="Go on with live messages on the same connections, without a hole or a copy. It may still "
    "be recorded meanwhile. The speed is then max, unless another is given; the options below "
    "that are about venues are for this.",
)
@option(
    "--upstream",
    multiple=True,
    metavar="VENUE=URL",
    help="With --then-live: use this address in place of the venue's own. Repeatable.",
)
@live_options
@serving_options
@config_option
def command(recording: tuple[Path, ...], **options: Any) -> None:
    """Play recordings in the venues' own protocol.

    Clients connect as they would to `wsproxy record`. Books that the venue gives by REST only
    (Binance) are answered by HTTP on the same port. Several recordings are merged by time. At
    the end it prints for each client the SHA-256 of all data frames that it was sent: two runs
    with the same requests print the same.
    """
    from wsproxy.app.program import run_replay, run_then_live
    from wsproxy.replay.library import open as open_recording
    from wsproxy.replay.programme import Programme

    with failing():
        offsets = _offsets(options["offset"], len(recording))
        programme = Programme([open_recording(path) for path in recording], offsets)
        venues = _then_live(programme, recording, options)
        playing, clients = _playing(programme, options), serving(options)
    log_to_stderr()
    if venues is None:
        run(lambda: run_replay(programme, clients, playing))
    else:
        run(lambda: run_then_live(programme, clients, playing, venues))


_NOT_THEN_LIVE = (
    *("offset", "end", "loop", "session"),
    *("digest_file", "lockstep", "faithful", "faults"),
)


def _then_live(
    programme: Programme, recordings: tuple[Path, ...], options: dict[str, Any]
) -> Upstream | None:
    """How the venues are reached, if it is to go on live; raises ConfigError."""
    from wsproxy.replay.clock import parse_speed

    if not options["then_live"]:
        if (given := next(filter(_is_typed, ("upstream", *LIVE_NAMES)), None)) is not None:
            raise ConfigError(f"{_spelt(given)} is for --then-live")
        return None
    if (given := next(filter(_is_set, _NOT_THEN_LIVE), None)) is not None:
        raise ConfigError(
            f"--then-live goes on from the recording's end: leave out {_spelt(given)}"
        )
    if len(recordings) > 1:
        raise ConfigError("--then-live goes on from one recording")
    if not _is_set("speed"):
        options["speed"] = "max"
    elif (speed := parse_speed(options["speed"])) is not None and speed <= 1:
        raise ConfigError("--then-live has to catch up: choose a --speed above 1, or max")
    if not programme.venues:
        raise RecordingError(f"{programme.path} holds no messages to replay")
    addresses = {text.partition("=")[0]: text for text in options["upstream"]}
    for name, text in addresses.items():
        if name not in programme.venues:
            known = ", ".join(programme.venues)
            raise ConfigError(f"--upstream {text}: the recording's venues are {known}")
    return upstream(options | {"venues": [addresses.get(v, v) for v in programme.venues]})


def _is_typed(name: str) -> bool:
    """Only that: variables and the configuration file may be meant for the live commands."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def _is_set(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _spelt(name: str) -> str:
    return "--" + name.replace("_", "-")


def _playing(programme: Programme, options: dict[str, Any]) -> Playing:
    from wsproxy.replay.clock import parse_speed

    start, end = (
        None if options[key] is None else programme.moment(options[key]) for key in ("start", "end")
    )
    max_idle = options["max_idle"]
    return Playing(
        start=start,
        end=end,
        speed=parse_speed(options["speed"]),
        loops=_loops(options["loop"]),
        max_idle_ns=None if max_idle is None else int(max_idle * SECOND_NS),
        clients=options["clients"],
        settle_seconds=options["settle"],
        session=options["session"],
        digest_file=options["digest_file"],
        stall_seconds=options["stall_timeout"],
        lockstep=options["lockstep"],
        faithful=options["faithful"],
        faults=options["faults"],
    )


def _loops(text: str) -> int | None:
    """``forever`` is None; raises ConfigError."""
    if text == "forever":
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigError(f"--loop {text}: write a whole number above 0, or forever")
    return int(text)


def _offsets(texts: tuple[str, ...], recordings: int) -> list[int]:
    """What is added to the times of each recording, ns; raises ConfigError."""
    offsets = [0] * recordings
    for text in texts:
        number, equals, seconds = text.rpartition("=")
        try:
            index = int(number) - 1 if equals else 0
            if not 0 <= index < recordings:
                raise ConfigError(f"--offset {text}: there are {recordings} recording(s)")
            offsets[index] = round(float(seconds) * SECOND_NS)
        except (ValueError, OverflowError):
            hint = "write SECONDS, or N=SECONDS for the Nth recording"
            raise ConfigError(f"--offset {text}: {hint}") from None
    return offsets
