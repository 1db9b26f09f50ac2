"""The formats that ``wsproxy import`` reads, and how one is recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from wsproxy.recording.formats import cryptofeed, hftbacktest, jsonl, tardis
from wsproxy.recording.formats.base import Format, lines

_LOOK_AT = 20
"""So many lines decide."""


class Known(NamedTuple):
    """A format: how to read a file of this name, and whether a line can be one of its lines."""

    open: Callable[[str], Format]
    is_line: Callable[[bytes], bool]


FORMATS = {
    "tardis": Known(tardis.Tardis, tardis.is_line),
    "hftbacktest": Known(hftbacktest.Hftbacktest, hftbacktest.is_line),
    "cryptofeed": Known(cryptofeed.Cryptofeed, cryptofeed.is_line),
    "jsonl": Known(jsonl.JsonLines, jsonl.is_line),
}


def detect(chunk: bytes) -> str | None:
    """The format of which these lines, the first of a file, have any."""
    first = [line for line in lines(chunk)[:_LOOK_AT] if line]
    for name, known in FORMATS.items():
        if any(map(known.is_line, first)):
            return name
    return None
