from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.kit.rest import BinanceRest, serving

BOOK = '{"lastUpdateId":7,"bids":[],"asks":[]}'


def rest() -> BinanceRest:
    return BinanceRest({"BTCUSDT": BOOK}.get)


def test_it_answers_over_http() -> None:
    stand_in = rest()
    with serving(stand_in) as url:
        with urlopen(f"{url}/api/v3/depth?symbol=BTCUSDT&limit=1000") as response:
            assert response.read().decode() == BOOK
            assert response.headers["X-MBX-USED-WEIGHT-1M"] == "50"
        with urlopen(f"{url}/api/v3/time") as response:
            assert json.load(response)["serverTime"] > 1_700_000_000_000
        with pytest.raises(HTTPError, match="400") as caught:
            urlopen(f"{url}/api/v3/depth?symbol=NONE")
        caught.value.close()
    assert [asked.status for asked in stand_in.wait_for("/api/v3/")] == [200, 200, 400]
    assert stand_in.violations == []


@pytest.mark.parametrize(
    ("limit", "times"), [(100, 1200), (500, 240), (1000, 120), (1001, 24), (5000, 24)]
)
def test_too_much_weight_is_a_violation(limit: int, times: int) -> None:
    stand_in = rest()
    path = f"/api/v3/depth?symbol=BTCUSDT&limit={limit}"
    for _ in range(times):
        stand_in.answer(path)
    assert stand_in.violations == []
    stand_in.answer(path)
    assert len(stand_in.violations) == 1


def test_who_comes_back_too_early_is_told_of() -> None:
    stand_in = rest()
    stand_in.refuse(429, 60)
    status, headers, _ = stand_in.answer("/api/v3/time")
    assert (status, headers["Retry-After"]) == (429, "60")
    stand_in.answer("/api/v3/time")
    (violation,) = stand_in.violations
    assert violation.endswith(" s too early")


def test_what_does_not_come_is_waited_for_in_vain() -> None:
    with pytest.raises(TimeoutError, match="was asked for 0 times"):
        rest().wait_for("/api/v3/time", timeout=0.01)
