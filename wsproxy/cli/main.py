"""The ``wsproxy`` command: finds the command that is wanted and imports nothing else."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword

import click

from wsproxy.version import __version__

COMMANDS = {
    "record": "Serve live clients and record everything that crosses a connection to a venue.",
    "proxy": "Serve live clients without recording.",
    "status": "Ask a running proxy how it is doing.",
    "mark": "Put a note into the recording that a running proxy writes.",
    "plan": "Say what a number of streams and clients needs, and which limit it meets first.",
    "bench": "Measure what this machine can carry: throughput, delay, and what recording costs.",
    "replay": "Play recordings in the venues' own protocol.",
    "diff": "Say where two recordings, or two replays, first differ.",
    "info": "Say what a recording holds.",
    "cat": "Print a recording's records as NDJSON.",
    "health": "Grade a recording: what it covers, what it lacks, how its clock and latencies were.",
    "verify": "Read all of a recording and say whether it is whole.",
    "repair": "Write a new recording of what can be read of a damaged one.",
    "cut": "Write a new recording of some of the time and some of the streams.",
    "merge": "Write several recordings as a new one, by time.",
    "compact": "Write a recording anew, as small as it gets.",
    "export": "Write a recording's records as Parquet, NDJSON or other recorders' lines.",
    "import": "Make a recording of what others recorded.",
    "venues": "List the venues with their limits, each with source and date.",
    "demo": "Show the whole job in half a minute, without a network.",
}


class _Commands(click.Group):
    """Commands that are imported when they are run, so that --help is fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = f"wsproxy.cli.{cmd_name}" + "_" * iskeyword(cmd_name)
        command: click.Command = import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="wsproxy")
def main() -> None:
    """A local proxy for exchange WebSocket feeds.

    Strategies point at localhost instead of the exchange. wsproxy multiplexes them onto a capped
    number of connections, records the streams compressed, and replays the recordings in the
    exchange's own protocol.
    """
