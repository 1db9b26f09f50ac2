"""``wsproxy diff``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wsproxy.cli.options import failing

if TYPE_CHECKING:
    from wsproxy.model import Message
    from wsproxy.replay.comparison import Difference
    from wsproxy.replay.digest import Divergence

_BEFORE, _BEHIND = 60, 140
"""So many characters of a payload are shown around the place where it differs."""


@click.command("diff")
@click.argument("one", metavar="A", type=click.Path(path_type=Path))
@click.argument("two", metavar="B", type=click.Path(path_type=Path))
def command(one: Path, two: Path) -> None:
    """Say where two recordings, or two replays, first differ.

    Two recordings are compared stream by stream: the first message that differs is printed with
    those before it. Two digest files of `wsproxy replay --digest-file` are compared client by
    client: where the bytes of a client first differ is told to within 16 KiB, with the time of the
    replay then. The exit code is 0 if all is the same, 1 if not.
    """
    with failing():
        kinds = [_is_digests(path) for path in (one, two)]
        if kinds[0] != kinds[1]:
            raise click.UsageError("compare two recordings, or two digest files")
        lines = _digests(one, two) if kinds[0] else _recordings(one, two)
        differs = False
        for line in lines:
            differs = True
            click.echo(line)
    sys.exit(1 if differs else 0)


def _is_digests(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) == b"{"


# --- recordings --------------------------------------------------------------------------------


def _recordings(one: Path, two: Path) -> Iterator[str]:
    from wsproxy.replay.comparison import differences
    from wsproxy.replay.library import open as open_recording

    for difference in differences(open_recording(one), open_recording(two)):
        yield from _difference(difference)


def _difference(found: Difference) -> Iterator[str]:
    from wsproxy.replay.comparison import essence

    yield f"{found.stream}: message {found.position + 1} differs"
    read = essence(found.stream)
    contents = [b"" if m is None else read(m) for m in (found.one, found.two)]
    at = _first_difference(*contents)
    for index, message in enumerate(found.before, start=found.position - len(found.before)):
        yield _line(" ", index, message, read(message), 0)
    for sign, shown, content in zip("-+", (found.one, found.two), contents, strict=True):
        yield _line(sign, found.position, shown, content, at)


def _first_difference(one: bytes, two: bytes) -> int:
    pairs = enumerate(zip_longest(one, two))
    return next((index for index, (mine, other) in pairs if mine != other), 0)


def _line(sign: str, index: int, message: Message | None, content: bytes, at: int) -> str:
    from wsproxy.recording.times import iso

    if message is None:
        return f"{sign} {index + 1:>9,}  has no such message"
    begin = max(0, at - _BEFORE)
    excerpt = content[begin : at + _BEHIND]
    text = excerpt.decode(errors="backslashreplace")
    shown = "..." * (begin > 0) + text + "..." * (begin + len(excerpt) < len(content))
    return f"{sign} {index + 1:>9,}  {iso(message.time)}  {_printable(shown)}"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


# --- digests -----------------------------------------------------------------------------------


def _digests(one: Path, two: Path) -> Iterator[str]:
    from wsproxy.replay.digest import compare, read_digests

    first, second = read_digests(one), read_digests(two)
    compared = compare(first, second)
    for divergence in compared.divergences:
        yield from _divergence(divergence)
    for path, missing in ((one, compared.only_two), (two, compared.only_one)):
        for client in missing:
            yield f"client {client.client} ({client.name}): {path} has no counterpart"


def _divergence(found: Divergence) -> Iterator[str]:
    from wsproxy.recording.times import iso

    one, two = found.one, found.two
    yield f"client {one.client} ({one.name}) and client {two.client} ({two.name}) differ"
    since = "the beginning" if found.since_ns is None else iso(found.since_ns)
    until = "the end" if found.until_ns is None else iso(found.until_ns)
    yield f"  first between bytes {found.begin:,} and {found.end:,}, {since} to {until}"
    for sign, client in (("-", one), ("+", two)):
        yield f"{sign} {client.bytes:>12,} bytes  {client.sha256}"
