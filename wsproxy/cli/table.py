"""Aligned tables for a terminal, and quantities as a person reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

WIDTH = 100


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of at most ``WIDTH`` characters; a title that begins with ``>`` aligns right.

    The last column gives way. What others said (names, reasons) cannot steer the terminal.
    """
    titles = [title.removeprefix(">") for title in head]
    lines = [titles, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if title.startswith(">") else cell.ljust(width)
            for title, cell, width in zip(head, line, widths, strict=True)
        ]
        yield shortened("  ".join(["", *cells]).rstrip(), WIDTH)


def printable(text: str) -> str:
    """The text, with a mark in place of every character that a terminal might obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, most: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def duration(seconds: float) -> str:
    """As ``0.02 s``, ``1.5 s``, ``5 min 3 s``, ``3 h 12 min`` or ``2 d 4 h``."""
    if seconds < 59.95:
        return f"{round(seconds, 1 if seconds >= 1 else 2):g} s"
    whole, unit, part, smaller = round(seconds), "min", 60, "s"
    for next_unit, size_ in (("h", 60), ("d", 24)):
        if whole // part >= size_:
            whole, unit, part, smaller = whole // part, next_unit, size_, unit
    return f"{whole // part} {unit}" + (f" {whole % part} {smaller}" if whole % part else "")


def size(number: float) -> str:
    """Bytes, as ``512 B`` or ``48.1 MB``; a kB has 1000."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB"):
        number /= 1000
        if number < 1000:
            return f"{number:.1f} {unit}"
    return f"{number / 1000:,.1f} TB"
