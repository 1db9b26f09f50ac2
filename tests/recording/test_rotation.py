from __future__ import annotations

import pytest

from wsproxy.model import Instant
from wsproxy.recording.rotation import DAY_NS, Rotation

BEGAN = Instant(3 * DAY_NS + 5, 100)


@pytest.mark.parametrize(
    ("rotation", "size", "wall_ns", "mono_ns", "due"),
    [
        (Rotation(None), 10**12, 10 * DAY_NS, 10**18, False),
        (Rotation(bytes=50), 49, BEGAN.wall_ns, 100, False),
        (Rotation(bytes=50), 50, BEGAN.wall_ns, 100, True),
        (Rotation(after_ns=50), 0, BEGAN.wall_ns, 149, False),
        (Rotation(after_ns=50), 0, BEGAN.wall_ns, 150, True),
        (Rotation(daily=True), 0, 4 * DAY_NS - 1, 101, False),
        (Rotation(daily=True), 0, 4 * DAY_NS, 101, True),
        (Rotation(daily=True), 0, 3 * DAY_NS - 1, 101, False),
    ],
)
def test_when_a_part_is_full(
    rotation: Rotation, size: int, wall_ns: int, mono_ns: int, due: bool
) -> None:
    assert rotation.is_due(size, BEGAN, Instant(wall_ns, mono_ns)) is due


def test_a_part_does_not_grow_without_bound_unless_told_so() -> None:
    assert Rotation().is_due(4 << 30, BEGAN, BEGAN)


@pytest.mark.parametrize(
    ("rotation", "timed"),
    [(Rotation(bytes=1), False), (Rotation(after_ns=1), True), (Rotation(daily=True), True)],
)
def test_what_time_alone_makes_full(rotation: Rotation, timed: bool) -> None:
    assert rotation.is_timed is timed
