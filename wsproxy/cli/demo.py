"""``wsproxy demo``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click


def _recording() -> Path:
    """The recording that comes with wsproxy: in the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    packaged = package / "_demo"
    return packaged if packaged.exists() else package.parent / "recordings" / "demo"


@click.command("demo")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIRECTORY",
    help="Keep the new recording and the logs here.",
)
def command(keep: Path | None) -> None:
    """Show the whole job in half a minute, without a network.

    Exit code 1 if a strategy did not receive in the replay, byte for byte, what it received live.
    """
    import trio

    from wsproxy.app.demo import CAP, run
    from wsproxy.cli.options import failing

    with failing(), tempfile.TemporaryDirectory(prefix="wsproxy-demo-") as temporary:
        directory = keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        outcome = trio.run(run, _recording(), directory)
    saved = outcome.strategies - outcome.connections
    equal = outcome.equal == outcome.strategies
    same = "yes" if equal else "NO"
    rows = [
        ("connections used", f"{outcome.connections} of {CAP} ({saved} saved)"),
        ("messages from the exchange", f"{outcome.messages:,}"),
        ("deliveries to strategies", f"{outcome.deliveries:,}"),
        ("recorded, raw", f"{outcome.raw_bytes / 1e6:.1f} MB"),
        ("recorded, on disk", f"{outcome.disk_bytes / 1e6:.2f} MB"),
        ("added latency, p50", f"{outcome.latency_p50_us:,.0f} µs"),
        ("added latency, p99", f"{outcome.latency_p99_us:,.0f} µs"),
        ("replay equal to live", f"{same}: {outcome.equal} of {outcome.strategies} strategies"),
    ]
    click.echo()
    for name, value in rows:
        click.echo(f"  {name:28}{value}")
    sys.exit(0 if equal else 1)
