"""Quantities in the sentences about a recording's health."""

from __future__ import annotations

from math import floor


def span(ns: float, digits: int = 3) -> str:
    """A length of time, as ``350 ms``, ``12.3 s``, ``5 min`` or ``3.2 h``."""
    size = abs(ns)
    if size < 120e9:
        unit, scale = ("µs", 1e3) if size < 1e6 else ("ms", 1e6) if size < 1e9 else ("s", 1e9)
    else:
        unit, scale = ("min", 60e9) if size < 7200e9 else ("h", 3600e9)
    return f"{ns / scale:.{digits}g} {unit}"


def percent(share: float) -> str:
    """A share, as ``99.98%``; what is nearly all is never rounded up to all."""
    if share < 0.5:
        return f"{share * 100:.2g}%"
    return f"{floor(share * 10_000) / 100:g}%"


def some(count: int, one: str, more: str) -> str:
    """A number of things, as ``1 gap`` or ``1,234 gaps``."""
    return f"{count:,} {one if count == 1 else more}"
