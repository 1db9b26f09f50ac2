"""Clients that authenticate or trade: passed on as they are, and seen by nobody else."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

import wsproxy
from tests.kit.exchange import Exchange, running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.exchange_coinbase import CoinbaseExchange
from tests.kit.peer import Cue, Peer
from tests.kit.proxy import Ended, run
from tests.kit.proxy import wsproxy as running_wsproxy
from tests.kit.round_trip import join_all, play, records
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.wishes import binance, request
from wsproxy.model import Kind

SECRET = "sEcReT"
LISTEN_KEY = SECRET.ljust(64, "a")
LOGON = json.dumps(
    {
        "id": "1",
        "method": "session.logon",
        "params": {"apiKey": SECRET, "signature": SECRET, "timestamp": 1},
    }
)
ORDER = json.dumps({"method": "order.place", "params": {"apiKey": SECRET}, "id": "2"})


def said_by(exchange: Exchange, peer: int) -> list[str]:
    """What a connection sent to the exchange."""
    return [
        frame.data.decode()
        for frame in exchange.frames
        if frame.peer == peer and frame.kind == "text"
    ]


def cue(stream: str, number: int) -> Cue:
    return Cue((stream,), f'{{"stream":"{stream}","data":{{"e":"x","t":{number}}}}}')


# --- what crosses -------------------------------------------------------------------------------


def test_a_trader_has_a_connection_of_its_own(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, running_wsproxy("proxy", f"binance={url}") as proxy:
        (reader,) = join_all(floor, proxy.url, [binance(["a@trade"])])
        trader = floor.strategy(f"{proxy.url}/binance/ws-api/v3?x={SECRET}", [LOGON])
        trader.wait_for(1)
        trader.send(ORDER)
        replies = [json.loads(text) for text in trader.wait_for(2)]
        assert [reply["result"]["apiKey"] for reply in replies] == [SECRET, SECRET]
        assert [peer.path for peer in exchange.peers] == ["/stream", f"/ws-api/v3?x={SECRET}"]
        assert said_by(exchange, 1) == [LOGON, ORDER]
        assert len(reader.received) == 1
        trader.close(4001, SECRET)
        exchange.wait_for(lambda: exchange.peers[1].closed is not None)
        assert exchange.peers[1].closed == (4001, SECRET)
    assert exchange.violations == []


@pytest.mark.parametrize("path", [f"/ws/{LISTEN_KEY}", f"/stream?streams={LISTEN_KEY}/a@trade"])
def test_a_listen_key_in_the_address(floor: TradingFloor, path: str) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, running_wsproxy("proxy", f"binance={url}") as proxy:
        owner = floor.strategy(proxy.url + path)
        exchange.wait_for(lambda: exchange.subscribed >= {LISTEN_KEY})
        play(exchange, [cue(LISTEN_KEY, 1)])
        text = str(owner.wait_for(1)[0])
        assert text == cue(LISTEN_KEY, 1).text or text == '{"e":"x","t":1}'
        assert [peer.path for peer in exchange.peers] == [path]
        exchange.close(exchange.peers[0], 4000, "key expired")
        assert owner.wait_closed() == (4000, "key expired")
    assert len(exchange.peers) == 1  # not tried again


def test_streams_move_with_their_client(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    with running(exchange) as url, running_wsproxy("proxy", f"binance={url}") as proxy:
        other, mover = join_all(
            floor, proxy.url, [binance(["a@trade"]), binance(["a@trade", "b@trade"], how="both")]
        )
        before = len(mover.received)
        mover.send(request("SUBSCRIBE", LISTEN_KEY, id=77))
        exchange.wait_for(lambda: exchange.subscribed >= {LISTEN_KEY})
        assert exchange.peers[1].path == "/ws/a@trade"
        ours, last = said_by(exchange, 1)
        assert json.loads(ours)["params"] == ["b@trade"]
        assert last == request("SUBSCRIBE", LISTEN_KEY, id=77)
        replies = [json.loads(text) for text in mover.wait_for(before + 2)[before:]]
        assert [reply["id"] for reply in replies] == [json.loads(ours)["id"], 77]
        play(exchange, [cue("a@trade", 1), cue("b@trade", 2), cue(LISTEN_KEY, 3)])
        got = mover.wait_for(before + 5)[before + 2 :]
        assert [json.loads(text)["t"] for text in got] == [1, 2, 3]
        assert json.loads(other.wait_for(2)[1])["t"] == 1
    assert exchange.violations == []


def test_coinbase_with_a_token(floor: TradingFloor) -> None:
    exchange = CoinbaseExchange(openings={})
    with running(exchange) as url, running_wsproxy("proxy", f"coinbase={url}") as proxy:
        subscribe = json.dumps({"type": "subscribe", "channel": "user", "jwt": SECRET})
        owner = floor.strategy(f"{proxy.url}/coinbase", [subscribe])
        snapshot, listed = (json.loads(text) for text in owner.wait_for(2))
        assert snapshot["events"][0]["token"] == SECRET
        assert (snapshot["sequence_num"], listed["sequence_num"]) == (0, 1)
        assert listed["events"] == [{"subscriptions": {"user": ["user"]}}]
        assert said_by(exchange, 0) == [subscribe]


# --- the cap, and refusals ----------------------------------------------------------------------


def test_it_counts_in_the_cap(floor: TradingFloor) -> None:
    exchange = BinanceExchange(cap=2)
    command = ("proxy", "--max-connections=2")
    with running(exchange) as url, running_wsproxy(*command, f"binance={url}") as proxy:
        join_all(floor, proxy.url, [binance(["a@trade"])])
        first = floor.strategy(f"{proxy.url}/ws", [LOGON])
        first.wait_for(1)
        second = floor.strategy(f"{proxy.url}/ws", [ORDER])
        refusal = json.loads(second.wait_for(1)[0])
        assert refusal["id"] == "2"
        assert "--max-connections" in refusal["error"]["msg"]
        api = floor.strategy(f"{proxy.url}/ws-api/v3", [ORDER])
        replies = [json.loads(text) for text in api.wait_for(2)]
        assert [(reply["id"], reply["status"]) for reply in replies] == [(None, 503), ("2", 503)]
        first.close()
        first.wait_closed()
        exchange.wait_for(lambda: len(exchange.open_peers) == 1)
        count = 2
        while json.loads(api.received[-1])["status"] != 200:  # its place is free in a moment
            api.send(LOGON)
            api.wait_for(count := count + 1)
    assert exchange.violations == []
    assert exchange.peak == 2


def test_a_proxy_can_be_told_to_refuse(floor: TradingFloor) -> None:
    exchange = BinanceExchange()
    command = ("proxy", "--private=refuse")
    with running(exchange) as url, running_wsproxy(*command, f"binance={url}") as proxy:
        client = floor.strategy(f"{proxy.url}/ws", [LOGON, request("SUBSCRIBE", "a@trade", id=2)])
        refusal, granted = (json.loads(text) for text in client.wait_for(2))
        assert refusal["id"] == "1"
        assert "--private refuse" in refusal["error"]["msg"]
        assert granted == {"result": None, "id": 2}
    assert len(exchange.peers) == 1


# --- nothing is written -------------------------------------------------------------------------


def everywhere(floor: TradingFloor, url: str) -> None:
    """Plant the secret in every place where a client can put one."""
    in_messages = [
        LOGON,
        ORDER,
        request("SUBSCRIBE", LISTEN_KEY),
        request("SUBSCRIBE", f"{LISTEN_KEY}@account"),
        request("UNSUBSCRIBE", LISTEN_KEY),
        request("SUBSCRIBE", SECRET),
        request(SECRET, SECRET),
        json.dumps({"method": "ping", "params": {"apiKey": SECRET}}),
        json.dumps({"method": "LIST_SUBSCRIPTIONS", "signature": SECRET, "id": SECRET}),
        json.dumps({"method": "SUBSCRIBE", "params": [{"listenKey": SECRET}], "id": [SECRET]}),
        json.dumps({"type": "subscribe", "channel": "user", "jwt": SECRET}),
        json.dumps({"type": "subscribe", "channel": "level2", "jwt": SECRET, "product_ids": []}),
        json.dumps({"type": SECRET, "channel": SECRET, "product_ids": [SECRET]}),
        json.dumps({"type": "subscribe", "channel": SECRET, "signature": SECRET}),
        f'{{"jwt": "{SECRET}"',
        SECRET,
    ]
    in_addresses = [
        f"/binance/ws/{LISTEN_KEY}",
        f"/binance/ws/{LISTEN_KEY}@account",
        f"/binance/ws/{SECRET}",
        f"/binance/ws?listenKey={SECRET}",
        f"/binance/stream?streams={LISTEN_KEY}",
        f"/binance/ws-api/v3?apiKey={SECRET}",
        f"/binance/{SECRET}",
        f"/binance/ws?timeUnit={SECRET}",
        f"/coinbase/?jwt={SECRET}",
        f"/coinbase/{SECRET}",
        f"/{SECRET}",
    ]
    headers = {"Authorization": SECRET, "X-MBX-APIKEY": SECRET, "User-Agent": SECRET}
    for path in in_addresses:
        client = floor.strategy(url + path, headers=headers)
        with suppress(ConnectionError):  # not every address is one
            client.wait_open()
            leave(client)
    for venue in ("binance/ws", "binance/stream", "binance/ws-api/v3", "coinbase"):
        for text in in_messages:
            client = floor.strategy(f"{url}/{venue}", [text], headers=headers)
            answered(client)
            client.ping(SECRET.encode())
            leave(client)


def answered(client: Strategy) -> None:
    """Wait for a reply, or for the end."""
    with suppress(ConnectionError):
        client.wait_for(1)


def leave(client: Strategy) -> None:
    client.close(4000, SECRET)
    client.wait_closed()


def trouble(floor: TradingFloor, exchange: BinanceExchange, url: str) -> None:
    """Let everything go wrong that can go wrong with a private connection."""

    def trader() -> Strategy:
        client = floor.strategy(f"{url}/binance/ws-api/v3?apiKey={SECRET}", [LOGON])
        answered(client)
        return client

    for status in (401, 503):
        exchange.refuse_handshakes(status)
        assert trader().wait_closed()[0] == 1013
    breaks: list[Callable[[Peer], None]] = [
        lambda peer: exchange.close(peer, 1008, SECRET),
        lambda peer: exchange.close(peer, 4000, SECRET),
        exchange.abort,
        exchange.drop_mid_frame,
        lambda peer: exchange.send_bytes(peer, SECRET.encode()),
        lambda peer: exchange.send_bytes(peer, b"\x81\x07\xff" + SECRET.encode()),
    ]
    for break_it in breaks:
        client = trader()
        exchange.send(exchange.open_peers[-1], f'{{"apiKey": "{SECRET}"}}')
        client.wait_for(2)
        break_it(exchange.open_peers[-1])
        client.wait_closed()


LOG_EVERYTHING = """
import logging

def set_level(logger, level):
    logger.level = logging.DEBUG
    logger.manager._clear_cache()

logging.Logger.setLevel = set_level
"""


def written(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below, as it is and decompressed if that is possible."""
    for path in directory.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            yield str(path), data
            with suppress(zstandard.ZstdError):
                reader = zstandard.ZstdDecompressor().stream_reader(
                    io.BytesIO(data), read_across_frames=True
                )
                yield f"{path}, decompressed", reader.read()


def test_no_secret_is_written_anywhere(floor: TradingFloor, tmp_path: Path) -> None:
    work, modules = tmp_path / "work", tmp_path / "modules"
    work.mkdir()
    modules.mkdir()
    (modules / "sitecustomize.py").write_text(LOG_EVERYTHING)
    env = {"XDG_RUNTIME_DIR": str(work), "TMPDIR": str(work), "PYTHONPATH": str(modules)}
    spot, advanced = BinanceExchange(), CoinbaseExchange()
    said: list[Ended] = []
    with (
        running(spot) as binance_url,
        running(advanced) as coinbase_url,
        running_wsproxy(
            *("record", f"binance={binance_url}", f"coinbase={coinbase_url}", "--out", "kept"),
            env=env,
            cwd=work,
        ) as proxy,
    ):
        (reader,) = join_all(floor, f"{proxy.url}/binance", [binance(["a@trade"])])
        everywhere(floor, proxy.url)
        trouble(floor, spot, proxy.url)
        owner = floor.strategy(f"{proxy.url}/binance/ws/{LISTEN_KEY}")
        spot.wait_for(lambda: spot.subscribed >= {LISTEN_KEY})
        play(spot, [cue("a@trade", 1), cue(LISTEN_KEY, 2)])
        owner.wait_for(1)
        reader.wait_for(2)
        said += [run("status", env=env, cwd=work), run("status", "--json", env=env, cwd=work)]
        said.append(proxy.stop())
    said += [run("info", "kept", cwd=work), run("cat", "kept", cwd=work)]
    assert [ended.code for ended in said] == [0] * len(said)
    assert "left with code" in said[2].err, "the log is not as full as it can be"
    for ended in said:
        assert SECRET not in ended.out
        assert SECRET not in ended.err
    files = dict(written(work))
    assert any("decompressed" in name for name in files)
    assert any(b'"t":1' in data for data in files.values()), "nothing was recorded"
    assert [name for name, data in files.items() if SECRET.encode() in data] == []
    kept = wsproxy.open(work / "kept")
    for message in kept.messages():
        assert SECRET.encode() not in message.payload
    # It did cross, again and again.
    assert sum(SECRET.encode() in frame.data for frame in spot.frames) > 20
    assert sum(SECRET.encode() in frame.data for frame in advanced.frames) > 3
    assert advanced.violations == []


def test_what_the_venue_says_in_private_is_recorded_if_asked_for(
    floor: TradingFloor, out: Path
) -> None:
    exchange = BinanceExchange()
    command = ("record", "--record-private", "--out", str(out))
    ping = json.dumps({"method": "account.status", "params": {"n": 7}, "id": "1"})
    with running(exchange) as url, running_wsproxy(*command, f"binance={url}") as proxy:
        trader = floor.strategy(f"{proxy.url}/ws-api/v3?{SECRET}", [ping])
        (reply,) = trader.wait_for(1)
        trader.close()
        exchange.wait_for(lambda: not exchange.open_peers)
    assert [record.payload for record in records(out, Kind.MESSAGE)] == [str(reply).encode()]
    assert records(out, Kind.REQUEST) == []
    assert len(records(out, Kind.OPENED)) == len(records(out, Kind.CLOSED)) == 1
    (connection,) = wsproxy.open(out).connections.values()
    assert connection.url == url
