from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from wsproxy.app.collector import calm_collector


@pytest.fixture
def collector() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.mark.usefixtures("collector")
def test_what_stays_is_never_looked_at_again() -> None:
    """Clients come and stay: many objects, each of which may be part of a cycle."""
    looked: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looked.append(info["generation"])

    calm_collector()
    assert gc.get_freeze_count() > 0
    gc.callbacks.append(look)
    try:
        kept = [[index] for index in range(300_000)]
    finally:
        gc.callbacks.remove(look)
    assert len(kept) == 300_000
    assert set(looked) == {0, 1}
    assert len(looked) < 100
