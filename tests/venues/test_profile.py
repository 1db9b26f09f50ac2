from __future__ import annotations

from dataclasses import fields

import pytest

from wsproxy.venues.profile import Profile
from wsproxy.venues.registry import VENUES, venue


@pytest.mark.parametrize("name", VENUES)
def test_every_limit_has_a_source_and_a_date(name: str) -> None:
    profile = venue(name).profile
    sourced = {field for fact in profile.facts for field in fact.about}
    known = {field.name for field in fields(Profile)}
    assert sourced <= known
    limits = {
        "connections",
        "characters_per_connection",
        "requests_per_ip",
        "operations",
        "max_age_ns",
        "first_subscription_ns",
        "idle_ns",
        "pings",
    }
    set_here = {field for field in limits if getattr(profile, field) is not None}
    assert set_here <= sourced
    assert all(fact.source.startswith("https://") and fact.confirmed for fact in profile.facts)


@pytest.mark.parametrize("name", VENUES)
def test_a_connection_is_replaced_before_the_venue_closes_it(name: str) -> None:
    profile = venue(name).profile
    if profile.max_age_ns is not None:
        assert profile.rotate_ns is not None
        assert profile.rotate_ns < profile.max_age_ns
