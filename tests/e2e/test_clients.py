"""Whatever one client does, it gets the answer that it is due and nobody else notices."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest

from tests.kit.exchange import running
from tests.kit.exchange_binance import BinanceExchange
from tests.kit.peer import Cue
from tests.kit.proxy import PATIENCE_S, Process, wsproxy
from tests.kit.round_trip import join_all, play
from tests.kit.strategy import Strategy, TradingFloor
from tests.kit.wishes import binance, request


def cues(count: int, size: int = 0) -> list[Cue]:
    padding = "x" * size
    return [
        Cue(("a@trade",), f'{{"stream":"a@trade","data":{{"t":{number},"x":"{padding}"}}}}')
        for number in range(count)
    ]


A_TRADE = binance(["a@trade"])


@pytest.fixture
def exchange() -> BinanceExchange:
    return BinanceExchange()


@pytest.fixture
def proxy(exchange: BinanceExchange) -> Iterator[Process]:
    with running(exchange) as url, wsproxy("proxy", f"binance={url}", "--outbox-mb=4") as process:
        yield process


@pytest.fixture
def witness(floor: TradingFloor, proxy: Process) -> Strategy:
    """A client that has done nothing wrong."""
    (strategy,) = join_all(floor, proxy.url, [A_TRADE])
    return strategy


def assert_unharmed(witness: Strategy, exchange: BinanceExchange) -> None:
    before = len(witness.received)
    play(exchange, cues(3))
    expected = ['{"t":0,"x":""}', '{"t":1,"x":""}', '{"t":2,"x":""}']
    assert witness.wait_for(before + 3)[before:] == expected
    assert exchange.violations == []
    assert len(exchange.peers) == 1


NONSENSE: list[tuple[str | bytes, int]] = [
    ("hello", 3),
    ("", 3),
    (b"\x00\xff\xfe", 3),
    ("[1]", 2),
    ('{"id":5}', 2),
    ('{"method":"BUY","id":5}', 2),
    ('{"method":"SUBSCRIBE","params":"a@trade","id":5}', 2),
    ('{"method":"SUBSCRIBE","params":["no stream"],"id":5}', 2),
]


def test_nonsense_gets_the_venues_error_reply(
    proxy: Process, exchange: BinanceExchange, witness: Strategy, floor: TradingFloor
) -> None:
    (client,) = join_all(floor, proxy.url, [A_TRADE])
    for message, _ in NONSENSE:
        client.send(message)
    replies = map(json.loads, client.wait_for(1 + len(NONSENSE))[1:])
    for (message, code), reply in zip(NONSENSE, replies, strict=True):
        assert reply["error"]["code"] == code, message
        assert reply["id"] == (5 if '"id":5' in str(message) else None)
    assert_unharmed(witness, exchange)
    client.wait_for(1 + len(NONSENSE) + 3)  # it may stay


VIOLATIONS: dict[str, tuple[Callable[[Strategy], None], int, str]] = {
    "a message that is too long": (lambda client: client.send("x" * 2_000_000), 1009, ""),
    "text that is not UTF-8": (
        lambda client: client.send_bytes(b"\x81\x81\0\0\0\0\xff"),
        1007,
        "",
    ),
    "a frame without a mask": (lambda client: client.send_bytes(b"\x81\x01x"), 1002, ""),
    "an unknown opcode": (lambda client: client.send_bytes(b"\x83\x80\0\0\0\0"), 1002, ""),
    "too many requests": (
        lambda client: client.send_bytes(b"\x81\x82\0\0\0\0{}" * 150),
        1008,
        "Too many requests",
    ),
}


def test_violations_close_with_the_right_code(
    proxy: Process, exchange: BinanceExchange, witness: Strategy, floor: TradingFloor
) -> None:
    for what, (violate, code, reason) in VIOLATIONS.items():
        (client,) = join_all(floor, proxy.url, [A_TRADE])
        violate(client)
        closed = client.wait_closed()
        assert closed[0] == code, what
        assert reason in closed[1]
        assert_unharmed(witness, exchange)


def test_clients_that_vanish(
    proxy: Process, exchange: BinanceExchange, witness: Strategy, floor: TradingFloor
) -> None:
    vanishing, half, silent = join_all(floor, proxy.url, [A_TRADE] * 3)
    vanishing.abort()
    half.send_bytes(b"\x81\xfe\x10\x00\0\0\0\0only the beginning")
    half.abort()
    silent.close()
    assert silent.wait_closed()[0] == 1000
    floor.strategy(f"{proxy.url}/ws/b@trade").wait_open()
    assert_unharmed(witness, exchange)


def test_a_client_that_stops_reading_is_closed_and_told_how_far_behind_it_was(
    proxy: Process, exchange: BinanceExchange, witness: Strategy, floor: TradingFloor
) -> None:
    slow = floor.strategy(f"{proxy.url}/ws/a@trade", A_TRADE.requests, receive_buffer=1 << 16)
    slow.wait_for(1)
    slow.pause()
    many = cues(2_000, 10_000)  # the kernel keeps several MB for a socket
    play(exchange, many, rate=1_500)
    assert len(witness.wait_for(1 + len(many), PATIENCE_S)) == 1 + len(many)
    assert "lagging" in proxy.wait_for("is closed: 1008")
    slow.resume()
    code, reason = slow.wait_closed()
    assert code == 1008
    assert reason.startswith("lagging: ")
    assert reason.endswith(" s behind")
    assert int(reason.split()[1].replace(",", "")) > 4 << 20
    # No message of what it did get is broken or missing.
    assert slow.received[1:] == witness.received[1 : len(slow.received)]
    assert_unharmed(witness, exchange)


def test_pings_are_answered_when_idle_and_when_busy(
    proxy: Process, exchange: BinanceExchange, floor: TradingFloor
) -> None:
    idle = floor.strategy(f"{proxy.url}/ws")
    idle.wait_open()
    (busy,) = join_all(floor, proxy.url, [A_TRADE])
    playing = exchange.play(cues(3_000), rate=3_000)
    for payload in (b"", b"ping", b"x" * 125):
        idle.ping(payload)
        busy.ping(payload)
    assert not playing.done()
    playing.result(PATIENCE_S)
    assert len(busy.wait_for(3_001)) == 3_001


def test_pongs_that_answer_nothing_are_borne(
    proxy: Process, exchange: BinanceExchange, witness: Strategy
) -> None:
    for payload in (b"", b"", b"nobody asked", b"x" * 125):
        witness.pong(payload)
    assert_unharmed(witness, exchange)


def test_the_venues_pings_are_answered(floor: TradingFloor) -> None:
    exchange = BinanceExchange(ping_s=0.05)
    with running(exchange) as url, wsproxy("proxy", f"binance={url}") as proxy:
        join_all(floor, proxy.url, [A_TRADE])
        exchange.wait_for(lambda: [f.kind for f in exchange.frames].count("pong") >= 2)
    pongs = [frame.data for frame in exchange.frames if frame.kind == "pong"]
    assert all(pong.isdigit() for pong in pongs)  # the venue's payload, a clock in ms


def test_a_path_that_names_no_stream(
    proxy: Process, exchange: BinanceExchange, floor: TradingFloor
) -> None:
    for path in ("/ws/0", "/binance/ws/17", "/ws", "/ws/", "/stream", "/stream?streams="):
        client = floor.strategy(proxy.url + path, [request("LIST_SUBSCRIPTIONS", id=1)])
        assert client.wait_for(1) == ['{"result":[],"id":1}']
    assert exchange.peers == []


def test_every_kind_of_id_comes_back_as_it_was(proxy: Process, floor: TradingFloor) -> None:
    ids = (0, -1, 2**63 - 1, 10**30, "", "page-1", str(UUID(int=1)), "é", None)
    client = floor.strategy(f"{proxy.url}/ws")
    client.wait_open()
    for count, request_id in enumerate(ids, 1):
        client.send(request("SUBSCRIBE", "a@trade", id=request_id))
        assert client.wait_for(count)[-1] == f'{{"result":null,"id":{json.dumps(request_id)}}}'


def test_the_same_id_again_and_again(
    proxy: Process, exchange: BinanceExchange, floor: TradingFloor
) -> None:
    streams = ("a@trade", "b@trade", "c@trade")
    client = floor.strategy(f"{proxy.url}/ws", [request("SUBSCRIBE", name) for name in streams])
    assert client.wait_for(3) == ['{"result":null,"id":1}'] * 3
    assert exchange.subscribed == set(streams)


def test_a_stream_named_by_url_and_by_message_comes_once(
    proxy: Process, exchange: BinanceExchange, floor: TradingFloor
) -> None:
    again = [request("SUBSCRIBE", "a@trade", "b@trade"), request("SUBSCRIBE", "a@trade", id=2)]
    client = floor.strategy(f"{proxy.url}/stream?streams=a@trade/a@trade", again)
    client.wait_for(2)
    play(exchange, cues(3))
    client.wait_for(5)
    client.send(request("LIST_SUBSCRIPTIONS", id=3))
    assert client.wait_for(6)[2:] == [
        *(cue.text for cue in cues(3)),
        '{"result":["a@trade","b@trade"],"id":3}',
    ]
    assert exchange.times_subscribed["a@trade"] == 1
