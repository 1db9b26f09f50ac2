"""Tables for people: as plain text, and as Markdown between two marks of a page."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

Rows = Sequence[Sequence[str]]
"""The first row is the head, the first column says what the others are about."""

AIMS = ("", "aim", "median", "min to max", "met")
"""The head of a table of ``aim``."""


def plain(rows: Rows) -> str:
    """The table in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(_aligned(row, widths)).rstrip() for row in rows)


def markdown(rows: Rows) -> str:
    """The table in Markdown."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [_aligned(rows[0], widths), rule, *(_aligned(row, widths) for row in rows[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *others = zip(row, widths, strict=True)
    return [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]


def spread(values: Sequence[float], digits: int = 0) -> list[str]:
    """Median, and minimum to maximum: two cells."""
    low, middle, high = min(values), median(values), max(values)
    return [f"{middle:,.{digits}f}", f"{low:,.{digits}f} to {high:,.{digits}f}"]


def aim(what: str, wanted: str, values: Sequence[float]) -> list[str]:
    """One row: what is wanted (``≥ 2``), beside it median and spread, and whether it is met."""
    bound, middle = float(wanted.split()[1]), median(values)
    is_met = middle >= bound if wanted[0] == "≥" else middle <= bound
    cells = spread(values, 2) if len(values) > 1 else [f"{middle:,.2f}", ""]
    return [what, wanted, *cells, "yes" if is_met else "no"]


def machine() -> str:
    """Where and when this was measured."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        cpuinfo = ""
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    name = model[1] if model else platform.machine()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({name}), {python}, {datetime.now(UTC):%Y-%m-%d}"


def publish(where: str, tables: Iterable[tuple[str, Rows]], page: Path | None, name: str) -> None:
    """Print tables with their titles, each as soon as it comes; ``put`` all of them on a page."""
    print(where)
    parts = [where]
    for title, rows in tables:
        print(f"\n{title}\n\n{plain(rows)}", flush=True)
        parts.append(f"{title}\n\n{markdown(rows)}")
    if page:
        put(page, name, "\n\n".join(parts))


def put(page: Path, name: str, text: str) -> None:
    """Write the text between ``<!-- name -->`` and ``<!-- /name -->`` of a page.

    Raises ValueError where the page has no such marks.
    """
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    head, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{page} has no {begin} ... {end}")
    page.write_text(f"{head}{begin}\n{text}\n{end}{tail}", encoding="utf-8")
