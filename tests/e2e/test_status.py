"""A running proxy is asked how it is doing, by the command that its user has."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import Process, run, status, wsproxy
from tests.kit.round_trip import join_all, play
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance


def port(proxy: Process) -> int:
    return int(proxy.url.rpartition(":")[2])


def test_the_proxy_that_runs_says_how_it_is(
    floor: TradingFloor, out: Path, env: dict[str, str]
) -> None:
    exchange = BinanceExchange()
    with (
        running(exchange) as url,
        wsproxy("record", f"binance={url}", "--out", str(out), env=env) as proxy,
    ):
        assert status(env)["venues"][0]["connections"] == []
        client = floor.strategy(f"{proxy.url}/stream?streams=a@trade/b@trade")
        exchange.wait_for(lambda: exchange.subscribed == {"a@trade", "b@trade"})
        play(exchange, [Cue(("a@trade",), '{"stream":"a@trade","data":{"e":"trade"}}')] * 3)
        client.wait_for(3)
        said = status(env)
        assert said["pid"] == proxy.pid
        assert said["listening"] == proxy.url.removeprefix("ws://")
        assert said["recording"]["path"] == str(out)
        (connection,) = said["venues"][0]["connections"]
        assert (connection["state"], connection["url"]) == ("open", f"{url}/stream")
        assert (connection["streams"], connection["live"]) == (2, 2)
        assert connection["messages"] == 4  # with the answer to the request
        assert {window["name"] for window in connection["windows"]} == {"frames per connection"}
        (mine,) = said["clients"]
        assert (mine["streams"], mine["lag_bytes"]) == (2, 0)
        page = run("status", env=env)
        assert page.code == 0
        assert f"pid {proxy.pid}" in page.out
        assert f"{url}/stream" in page.out
    assert list(Path(env["XDG_RUNTIME_DIR"], "wsproxy").glob("*.sock")) == []


def test_a_gap_is_shown(floor: TradingFloor, env: dict[str, str]) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, wsproxy("proxy", f"binance={url}", env=env) as proxy:
        wish = binance(["a@trade"], how="message")
        (client,) = join_all(floor, proxy.url, [wish])
        exchange.close(exchange.peers[0], 1011, "bye")
        client.wait_closed()
        join_all(floor, proxy.url, [wish])  # is granted when the hole has its end
        (gap,) = status(env)["gaps"]
        assert gap["streams"] == ["a@trade"]
        assert "bye" in gap["why"]


def test_a_socket_that_a_crash_left_is_replaced(tmp_path: Path, env: dict[str, str]) -> None:
    where = str(tmp_path / "mine.sock")
    arguments = ("proxy", "binance=ws://127.0.0.1:1", "--admin", where)
    with wsproxy(*arguments, env=env) as crashed:
        crashed.kill()
        assert Path(where).is_socket()
        with wsproxy(*arguments, env=env) as proxy:
            assert status(env, "--admin", where)["pid"] == proxy.pid
            second = run(*arguments, "--listen", "127.0.0.1:0", env=env)
            assert (second.code, second.err) == (2, f"Error: --admin {where} is in use\n")
            assert status(env, "--admin", where)["pid"] == proxy.pid


def test_several_are_told_apart(env: dict[str, str]) -> None:
    with (
        wsproxy("proxy", "binance=ws://127.0.0.1:1", env=env) as first,
        wsproxy("proxy", "binance=ws://127.0.0.1:1", env=env) as second,
    ):
        several = run("status", env=env)
        assert several.code == 1
        for proxy in (first, second):
            path = Path(env["XDG_RUNTIME_DIR"], "wsproxy", f"{port(proxy)}.sock")
            assert f"--admin {path}" in several.err
            assert status(env, "--admin", str(path))["pid"] == proxy.pid


def test_without_a_proxy_there_is_one_sentence(env: dict[str, str]) -> None:
    ended = run("status", env=env)
    assert ended.code == 1
    assert ended.err.startswith("Error: no proxy of yours is running")
    assert ended.err.count("\n") == 1


def test_a_proxy_that_is_asked_not_to_listens_nowhere(env: dict[str, str]) -> None:
    with wsproxy("proxy", "binance=ws://127.0.0.1:1", "--admin", "off", env=env) as proxy:
        assert run("status", env=env).code == 1
        proxy.stop(signal.SIGINT)
