from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit import client_markets
from tests.kit.client_markets import Market
from tests.kit.traffic import BINANCE_MANY, TRAFFIC


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Market:
    return client_markets.stand_in(tmp_path_factory.mktemp("market"))


@pytest.fixture(scope="session")
def midnight(traffic: Callable[[], Path]) -> Market:
    return client_markets.midnight(traffic())


@pytest.fixture(scope="session")
def futures(traffic: Callable[[], Path]) -> Market:
    return client_markets.futures(traffic())


@pytest.fixture(scope="session")
def many(traffic: Callable[[], Path]) -> Market:
    return client_markets.many(traffic(), BINANCE_MANY)


@pytest.fixture(scope="session")
def coinbase(traffic: Callable[[], Path]) -> Market:
    return client_markets.coinbase(traffic())


@pytest.fixture(scope="session")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes folders for recordings of real traffic, where there is any."""
    if not TRAFFIC.is_dir():
        pytest.skip("needs the recorded traffic in ../shared/traffic")
    return lambda: tmp_path_factory.mktemp("market")
