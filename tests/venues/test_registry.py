from __future__ import annotations

from datetime import date

import pytest

from wsproxy.venues.base import Venue
from wsproxy.venues.registry import VENUES, venue


def test_venues_are_found_by_name() -> None:
    assert {name: venue(name).profile.name for name in VENUES} == {
        "binance": "binance",
        "coinbase": "coinbase",
    }


def test_an_unknown_venue_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no venue 'kraken'; wsproxy knows binance, coinbase"):
        venue("kraken")


@pytest.mark.parametrize("known", VENUES.values(), ids=VENUES)
def test_every_fact_has_a_source_and_a_date(known: Venue) -> None:
    assert known.profile.facts
    for fact in known.profile.facts:
        assert fact.what
        assert fact.source
        assert date.fromisoformat(fact.confirmed) >= date(2026, 6, 1)
