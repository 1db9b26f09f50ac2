from __future__ import annotations

import pytest

from wsproxy.app.bench.processes import BenchFailed, worker


def test_a_line_that_was_waited_for() -> None:
    with worker("the source", "wsproxy.app.bench.source") as source:
        (port,) = source.said(r"(\d+)")
        assert int(port) > 0


def test_one_that_ends_too_early_is_quoted() -> None:
    with worker("wsproxy x", "wsproxy", "nonsense") as one:
        with pytest.raises(BenchFailed, match=r"^wsproxy x ended too early: .*'nonsense'"):
            one.said("ready")
        one.tell("it is not there")


def test_one_that_says_nothing() -> None:
    with (
        worker("the source", "wsproxy.app.bench.load") as one,
        pytest.raises(BenchFailed, match="it said nothing"),
    ):
        one.said("ready")


def test_one_that_fails_when_it_is_stopped() -> None:
    with worker("the source", "wsproxy.app.bench.source") as source:
        (port,) = source.said(r"(\d+)")
        with pytest.raises(BenchFailed, match=f"^the source ended with exit code -15: {port}$"):
            source.finish()


def test_settings_of_the_user_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WSPROXY_LISTEN", "nowhere")
    arguments = ("wsproxy", "proxy", "binance=ws://127.0.0.1:9", "--admin=off")
    with worker("wsproxy proxy", *arguments, env={"WSPROXY_LISTEN": "127.0.0.1:0"}) as one:
        one.said(".* clients connect to .*")
        one.finish()
