"""``wsproxy import``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from wsproxy.cli.writing import LOSSY, out_option

_FORMATS = ("auto", "tardis", "hftbacktest", "cryptofeed", "jsonl")


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--from",
    "name",
    type=click.Choice(_FORMATS),
    default="auto",
    show_default=True,
    help="Whose files they are; auto looks at each file's first lines.",
)
@click.option(
    "--venue",
    required=True,
    help="Where the messages come from. Streams are named as the venue does it, if it is one of "
    "`wsproxy venues`; otherwise any name will do.",
)
@click.option(
    "--stream",
    metavar="NAME",
    help="The stream of messages that the venue does not place.  [default: the connection's name "
    "in the file, or the file's]",
)
@click.option(
    "--skip-bad", is_flag=True, help="Pass over lines that cannot be understood, and name each."
)
@out_option
def command(
    files: tuple[Path, ...],
    name: str,
    venue: str,
    stream: str | None,
    skip_bad: bool,
    out: Path,
) -> None:
    """Make a recording of what others recorded: FILE... one after the other.

    Files may be compressed with gzip or zstd. Exit code 1 if a line cannot be understood; with
    --skip-bad it is 3 then, and the recording holds the others.
    """
    from wsproxy.app.importing import import_files
    from wsproxy.cli.options import failing
    from wsproxy.cli.writing import tell
    from wsproxy.venues.naming import Naming

    def skip(what: str) -> None:
        click.echo(f"skipped: {what}", err=True)

    with failing():
        _check_venue(venue)
        with _progress(files) as advance:
            imported = import_files(
                files,
                out,
                venue=venue,
                name=Naming(venue),
                stream=stream,
                format_name=None if name == "auto" else name,
                skip=skip if skip_bad else None,
                progress=advance,
            )
    tell(out, imported.written, _size(files))
    if imported.skipped:
        click.echo(f"{imported.skipped:,} line(s) were skipped", err=True)
        sys.exit(LOSSY)


def _check_venue(venue: str) -> None:
    from wsproxy.errors import ConfigError

    if not venue or not venue.isprintable() or ":" in venue or " " in venue:
        raise ConfigError(f"--venue {venue!r}: write a name without spaces and colons")


@contextmanager
def _progress(files: tuple[Path, ...]) -> Iterator[Callable[[int], object] | None]:
    """A bar on stderr, if that is a terminal, for the bytes of these files."""
    if not sys.stderr.isatty():
        yield None
        return
    size = _size(files)
    with click.progressbar(length=size, file=sys.stderr, update_min_steps=size // 200) as bar:
        yield bar.update


def _size(files: tuple[Path, ...]) -> int:
    return sum(path.stat().st_size for path in files if path.is_file())
