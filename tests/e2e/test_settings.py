"""Where settings come from, and which one wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.proxy import Process, run, wsproxy
from tests.kit.round_trip import join_all, play, records, stop, trades
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance
from wsproxy.model import Kind

NOWHERE = "binance=ws://127.0.0.1:9"


def test_an_option_beats_the_environment_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "wsproxy.toml"
    file.write_text('listen = "from-the-file"\n')
    by_file = ("proxy", NOWHERE, "--config", str(file))
    assert "from-the-file" in run(*by_file).err
    by_environment = {"WSPROXY_LISTEN": "from-the-environment"}
    assert "from-the-environment" in run(*by_file, env=by_environment).err
    by_option = (*by_file, "--listen", "from-the-option")
    assert "from-the-option" in run(*by_option, env=by_environment).err


def test_everything_may_come_from_the_file(floor: TradingFloor, tmp_path: Path) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url:
        file = tmp_path / "wsproxy.toml"
        file.write_text(
            f"""
            venues = ["binance={url}"]
            listen = "127.0.0.1:0"
            out = "{tmp_path}/out"
            linger = 0
            max-clients = 1
            subscribe = ["binance:a@trade"]
            """
        )
        process = Process(("record",), env={"WSPROXY_CONFIG": str(file)})
        join_all(floor, process.url, [binance(["b@trade"])])
        exchange.wait_for(lambda: exchange.subscribed == {"a@trade", "b@trade"})
        refused = floor.strategy(f"{process.url}/ws")
        with pytest.raises(ConnectionError, match="503"):
            refused.wait_open()
        stop(process)
    assert len(records(tmp_path / "out", Kind.OPENED)) == 1


def test_streams_are_recorded_without_any_client(out: Path) -> None:
    exchange = BinanceExchange()
    pins = [f"--subscribe=binance:{name}@trade" for name in "ab"]
    with (
        running(exchange) as url,
        wsproxy("record", f"binance={url}", "--out", str(out), *pins) as proxy,
    ):
        exchange.wait_for(lambda: exchange.subscribed == {"a@trade", "b@trade"})
        play(exchange, trades("a@trade", 100))
        stop(proxy)
    messages = [record.text for record in records(out, Kind.MESSAGE) if record.streams]
    assert messages == [cue.text for cue in trades("a@trade", 100)]


def test_a_recording_without_a_name_gets_one(tmp_path: Path) -> None:
    with wsproxy("record", NOWHERE, cwd=tmp_path):
        pass
    (directory,) = (tmp_path / "recordings").iterdir()
    assert directory.name.endswith("Z-binance")


def test_the_proxy_stops_when_its_time_is_over(floor: TradingFloor, tmp_path: Path) -> None:
    with wsproxy("proxy", NOWHERE, "--duration", "0.5", cwd=tmp_path) as proxy:
        client = floor.strategy(f"{proxy.url}/ws")
        client.wait_open()
        assert client.wait_closed()[0] == 1012
        assert proxy.wait().code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_listener_for_other_machines_is_pointed_out() -> None:
    process = Process(("proxy", NOWHERE, "--listen", "0.0.0.0:0"))
    process.wait_for("other machines can connect")
    process.wait_for("clients connect to ws://0.0.0.0:")
    stop(process)
