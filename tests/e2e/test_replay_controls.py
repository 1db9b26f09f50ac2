"""A replay that is ordered about, whose clients stall, or that breaks their connections."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wsproxy
from tests.kit.books import CoinbaseBook, CoinbaseSequence
from tests.kit.proxy import PATIENCE_S, run
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import digest, level2_book, order
from tests.kit.strategy import TradingFloor
from tests.kit.wishes import binance, coinbase, request
from wsproxy.app.asking import ask

DEMO = Path(__file__).parents[2] / "recordings" / "demo"
BOOK = "level2:BTC-USD"
LEVEL2 = coinbase([BOOK])


def test_books_are_right_wherever_it_is_sent(floor: TradingFloor, tmp_path: Path) -> None:
    truth = CoinbaseBook("BTC-USD")
    for message in wsproxy.open(DEMO).messages(f"coinbase:{BOOK}"):
        truth.apply(message.text)
    admin = tmp_path / "admin.sock"
    options = ("--speed=5", "--settle=0", f"--admin={admin}")
    with running_wsproxy("replay", str(DEMO), *options) as process:
        url = f"{process.url}/coinbase"
        first = LEVEL2.join(floor, url)
        first.wait_for(20, PATIENCE_S)
        for to in ("+40s", "+5s", "+50s"):
            seen = len(first.received)
            order(admin, "seek", to=to)
            first.wait_for(seen + 20, PATIENCE_S)
        late = LEVEL2.join(floor, url)
        late.wait_for(2, PATIENCE_S)
        order(admin, "speed", speed="max")
        for strategy in (first, late):
            assert strategy.wait_closed(PATIENCE_S)[0] == 1000
        assert process.wait().code == 0
    assert level2_book(first).levels() == truth.levels()
    assert level2_book(first).snapshots == 4
    assert level2_book(late).levels() == truth.levels()
    assert level2_book(late).snapshots == 1


def test_who_cannot_be_made_whole_is_told_to_come_again(
    floor: TradingFloor, tmp_path: Path
) -> None:
    admin = tmp_path / "admin.sock"
    with running_wsproxy(
        "replay", str(DEMO), "--settle=0", f"--admin={admin}", "--clients=2"
    ) as process:
        url = f"{process.url}/binance"
        traded = floor.strategy(f"{url}/ws/btcusdt@trade")
        idle = floor.strategy(f"{url}/ws", [request("LIST_SUBSCRIPTIONS")])
        idle.wait_for(1, PATIENCE_S)
        order(admin, "seek", to="+30s")
        idle.send(request("SUBSCRIBE", "btcusdt@trade"))
        assert traded.wait_closed(PATIENCE_S) == (1012, "the replay goes on elsewhere")
        idle.wait_for(2, PATIENCE_S)
        status = json.loads(ask(admin, "GET", "/replay"))
        assert status["position_ns"] >= status["first_ns"] + 30 * 10**9
        process.stop()


def test_a_client_that_reads_nothing_is_closed_and_the_exit_code_says_so(
    floor: TradingFloor, tmp_path: Path
) -> None:
    file = tmp_path / "digests.json"
    options = ("--speed=max", "--settle=0.2", "--clients=2", "--stall-timeout=1", "--loop=15")
    with running_wsproxy("replay", str(DEMO), *options, f"--digest-file={file}") as process:
        url = f"{process.url}/coinbase"
        dead = floor.strategy(url, LEVEL2.requests, receive_buffer=4096)
        dead.wait_for(1, PATIENCE_S)
        dead.pause()
        alive = LEVEL2.join(floor, url)
        assert alive.wait_closed(PATIENCE_S)[0] == 1000
        ended = process.wait()
    assert ended.code == 3
    assert "is closed: stalled: read nothing for 1 s" in ended.err
    assert "not everything was delivered" in ended.err
    assert json.loads(file.read_bytes())["complete"] is False
    assert level2_book(alive).snapshots == 15


FAULTS = """
seed = 11
[[fault]]
kind = "jitter"
every = 5
seconds = 2
delay = 0.5
[[fault]]
kind = "duplicate"
every = 10
seconds = 1
streams = ["*@trade"]
[[fault]]
kind = "gap"
at = "+7s"
seconds = 1
[[fault]]
kind = "disconnect"
at = "+20s"
clients = [2]
code = 1001
reason = "maintenance"
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "faults.toml"
    path.write_text(FAULTS)
    return path


def test_the_same_seed_gives_the_same_bytes_at_every_speed(
    floor: TradingFloor, faulty: Path, tmp_path: Path
) -> None:
    streams = sorted(k.name for k in wsproxy.open(DEMO).streams if k.venue == "binance")
    runs = []
    for speed in ("50", "max"):
        file = tmp_path / speed
        options = ("--settle=0.2", "--clients=2", "--end=+30s", f"--faults={faulty}")
        command = ("replay", str(DEMO), "--speed", speed, f"--digest-file={file}", *options)
        with running_wsproxy(*command) as process:
            clients = []
            for _ in range(2):
                wish = binance(streams)
                clients.append(wish.join(floor, f"{process.url}/binance"))
                clients[-1].wait_for(1, PATIENCE_S)
            assert clients[0].wait_closed(PATIENCE_S)[0] == 1000
            assert clients[1].wait_closed(PATIENCE_S) == (1001, "maintenance")
            assert process.wait().code == 0
        told = json.loads(file.read_bytes())["clients"]
        assert [client["sha256"] for client in told] == list(map(digest, clients))
        runs.append([client.received for client in clients])
    assert runs[0] == runs[1]
    assert run("diff", str(tmp_path / "50"), str(tmp_path / "max")).code == 0
    plain = sum(1 for _ in wsproxy.open(DEMO).messages(streams, end="+30s"))
    assert len(runs[0][0]) != plain + 1
    assert len(runs[0][1]) < len(runs[0][0])


def test_clients_come_and_go_as_at_the_exchange(floor: TradingFloor, tmp_path: Path) -> None:
    """Subscribe, list, unsubscribe, subscribe again, be refused, ping: at any time, one answer."""
    admin = tmp_path / "admin.sock"
    with running_wsproxy("replay", str(DEMO), "--settle=0", f"--admin={admin}") as process:
        order(admin, "pause")
        trader = floor.strategy(f"{process.url}/binance/stream")
        reader = LEVEL2.join(floor, f"{process.url}/coinbase")
        trader.wait_open()
        for wanted in (
            request("SUBSCRIBE", "btcusdt@trade", "ethusdt@trade", id="a"),
            request("LIST_SUBSCRIPTIONS", id=2),
            request("UNSUBSCRIBE", "ethusdt@trade", id=3),
            request("SUBSCRIBE", "nosuch@trade", id=4),
            request("LIST_SUBSCRIPTIONS", id=5),
        ):
            trader.send(wanted)
        replies = [json.loads(text) for text in trader.wait_for(5)]
        assert [reply["id"] for reply in replies] == ["a", 2, 3, 4, 5]
        assert replies[1]["result"] == ["btcusdt@trade", "ethusdt@trade"]
        assert "nosuch@trade is not in this recording" in replies[3]["error"]["msg"]
        assert replies[4]["result"] == ["btcusdt@trade"]

        order(admin, "resume")
        reader.wait_for(50, PATIENCE_S)
        order(admin, "pause")
        reader.send(LEVEL2.requests[0].replace('"subscribe"', '"unsubscribe"'))
        trader.ping(b"still there")
        reader.ping()
        left = len(reader.received)
        assert json.loads(reader.received[-1])["events"] == [{"subscriptions": {}}]
        position = json.loads(ask(admin, "GET", "/replay"))["position_ns"]
        reader.send(LEVEL2.requests[0])
        snapshot, _ = reader.wait_for(left + 2)[left:]
        process.stop()
    now, then = CoinbaseBook("BTC-USD"), CoinbaseBook("BTC-USD")
    for message in wsproxy.open(DEMO).messages(f"coinbase:{BOOK}", end=position + 1):
        then.apply(message.text)
    now.apply(snapshot)
    assert now.levels() == then.levels()
    numbers = CoinbaseSequence()
    for text in reader.received:
        numbers.check(text)
