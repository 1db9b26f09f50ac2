from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.golden import Session, generate
from tests.kit.strategy import TradingFloor, trading_floor


@pytest.fixture
def floor() -> Iterator[TradingFloor]:
    """A place for the clients of a test."""
    with trading_floor() as place:
        yield place


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where a test records."""
    return tmp_path / "recording"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Sockets go where no other test's are."""
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture(scope="session")
def golden() -> Session:
    """A minute of generated traffic of both venues."""
    return generate()
