"""Placement: which upstream connection carries a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Load(NamedTuple):
    """What placement has to know of an upstream connection."""

    endpoint: str
    streams: int


def place(endpoint: str, loads: Iterable[Load], most_streams: int | None) -> int | None:
    """Choose the connection for a new stream: the index of the fullest that has room, or None.

    Packing keeps connections few, so that the cap is reached late.
    """
    candidates = [
        (load.streams, -index)
        for index, load in enumerate(loads)
        if load.endpoint == endpoint and (most_streams is None or load.streams < most_streams)
    ]
    return -max(candidates)[1] if candidates else None
