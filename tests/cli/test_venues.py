from __future__ import annotations

from dataclasses import fields

import pytest

from tests.cli.conftest import Run
from wsproxy.cli.venues import _NO_LIMITS
from wsproxy.venues.base import Venue
from wsproxy.venues.registry import VENUES


def test_every_fact_of_every_venue_with_source_and_date(run: Run) -> None:
    result = run("venues")
    assert result.exit_code == 0
    for name, venue in VENUES.items():
        assert f"{name}  {venue.profile.title}  {venue.profile.url}\n" in result.output
        assert venue.profile.facts
        for fact in venue.profile.facts:
            lines = f"  {fact.what}\n      {fact.source}, confirmed {fact.confirmed}\n"
            assert lines in result.output


def test_limits_stand_with_their_sources(run: Run) -> None:
    output = run("venues", "binance").output
    docs = "https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams"
    expected = f"""
  at most 300 connection attempts per 5 minutes and IP address
      {docs}, confirmed 2026-09-24
      connects: 300 in 5 min
  the server pings every 20 s and wants the pong within 60 s
      {docs}, confirmed 2026-09-24
      pings: every 20 s, pong in 1 min
      silence: 1 min
"""
    assert expected in output
    assert "\n      too fast: 418, 429, 1008\n" in output
    assert "      mirrors: wss://stream.binance.com:443 (weight 1), wss://data-" in output
    ours = output.partition("  without a source, so chosen by wsproxy\n")[2]
    assert "      first data: 30 s\n" in ours
    assert "connects" not in ours
    assert "not published, or not there: keepalive, connections, " in ours


@pytest.mark.parametrize("venue", VENUES.values(), ids=VENUES)
def test_every_limit_of_a_venue_has_a_source(venue: Venue) -> None:
    """What is not None by default, and what says how wsproxy behaves, may be ours."""
    sourced = {name for fact in venue.profile.facts for name in fact.about}
    limits = {field.name for field in fields(venue.profile)} - set(_NO_LIMITS)
    limited = {name for name in limits if getattr(venue.profile, name) not in (None, ())}
    ours = {"max_message_bytes", "first_data_ns", "too_fast", "penalty_ns", "fill", "hot_rate"}
    assert limited - sourced <= ours


def test_one_venue(run: Run) -> None:
    result = run("venues", "coinbase")
    assert result.output.startswith("coinbase  ")
    assert "binance  " not in result.output


def test_an_unknown_venue(run: Run) -> None:
    result = run("venues", "mtgox")
    sentence = "Error: unknown venue 'mtgox': known are binance, coinbase\n"
    assert (result.exit_code, result.output) == (2, sentence)
