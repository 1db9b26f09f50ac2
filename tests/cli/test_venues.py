from __future__ import annotations

from tests.cli.conftest import Run
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


def test_one_venue(run: Run) -> None:
    result = run("venues", "coinbase")
    assert result.output.startswith("coinbase  ")
    assert "binance  " not in result.output


def test_an_unknown_venue(run: Run) -> None:
    result = run("venues", "mtgox")
    sentence = "Error: unknown venue 'mtgox': known are binance, coinbase\n"
    assert (result.exit_code, result.output) == (2, sentence)
