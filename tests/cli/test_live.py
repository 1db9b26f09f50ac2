from __future__ import annotations

from typing import Any

import click
import pytest

from tests.cli.conftest import Run
from wsproxy.cli.live import LIVE_NAMES, live_options


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["binanse"], "unknown venue 'binanse': did you mean binance?"),
        (["xyz"], "unknown venue 'xyz': known are binance, coinbase"),
        (["binance", "binance=ws://x"], "venue 'binance' is named twice"),
        (
            ["binance", "coinbase", "--max-connections", "1"],
            "--max-connections 1 is too few for 2 venues: each needs one",
        ),
        (
            ["binance", "--subscribe", "btcusdt@trade"],
            "--subscribe 'btcusdt@trade': write binance:STREAM",
        ),
        (
            ["binance", "--subscribe", "coinbase:heartbeats"],
            "--subscribe 'coinbase:heartbeats': write binance:STREAM",
        ),
    ],
)
def test_settings_that_cannot_be(
    run: Run, called: list[tuple[Any, ...]], arguments: list[str], sentence: str
) -> None:
    result = run("record", *arguments)
    assert (result.exit_code, result.stderr) == (2, f"Error: {sentence}\n")
    assert called == []


def test_a_stream_is_named_as_the_venue_names_it(run: Run, called: list[tuple[Any, ...]]) -> None:
    run("record", "binance", "--subscribe", "binance:btcusdt@trade")
    assert called[0][0].subscribe == (("binance", "btcusdt@trade"),)


def test_a_stream_that_the_venue_does_not_have(run: Run) -> None:
    result = run("record", "binance", "--subscribe", "binance:BTC")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: --subscribe 'binance:BTC': ")


def test_what_is_private_is_passed_on_and_not_recorded(
    run: Run, called: list[tuple[Any, ...]]
) -> None:
    run("record", "binance")
    run("record", "binance", "--private", "refuse", "--record-private")
    run("proxy", "binance", "--private", "dedicated")
    settings = [(call[0].private, call[0].record_private) for call in called]
    assert settings == [(True, False), (False, True), (True, False)]


def test_options_about_venues_are_known_by_name() -> None:
    @click.command()
    @live_options
    def command(**_: object) -> None:
        pass

    assert {parameter.name for parameter in command.params} == set(LIVE_NAMES)
