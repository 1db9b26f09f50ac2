"""The pure parts of the demonstration; tests/e2e runs it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from wsproxy.app import demo
from wsproxy.app.demo import Session, Strategy, strategies
from wsproxy.model import Batch, ConnectionInfo, Kind, StreamKey
from wsproxy.recording.reader import open as open_recording
from wsproxy.recording.writer import Writer
from wsproxy.venues.registry import VENUES

RECORDING = Path(__file__).parents[2] / "recordings" / "demo"


def test_there_are_twenty_that_share_streams_and_ask_in_every_way() -> None:
    clients = strategies()
    assert len(clients) == 20
    assert {client.path.partition("?")[0] for client in clients} == {
        "/binance/stream",
        "/binance/ws",
        "/coinbase",
    }
    assert max(Counter(s for client in clients for s in client.streams).values()) > 1
    assert all(len(set(client.streams)) == len(client.streams) > 0 for client in clients)


def test_the_recording_holds_every_stream_of_every_strategy() -> None:
    held = open_recording(RECORDING).streams
    for client in strategies():
        venue = client.path.split("/")[1]
        assert held.keys() >= {StreamKey(venue, stream) for stream in client.streams}


@pytest.mark.parametrize("client", strategies(), ids=lambda client: client.path)
def test_what_a_strategy_asks_for_are_its_streams(client: Strategy) -> None:
    _, venue, rest = (
        client.path.split("/", 2) if client.path.count("/") > 1 else ("", client.path[1:], "")
    )
    path, _, query = rest.partition("?")
    session = VENUES[venue].session(f"/{path}", query)
    opening = session.opening()
    asked = list(opening.streams) if opening is not None else []
    for request in client.requests:
        asked += session.read(request.encode(), 1).streams
    assert asked == list(client.streams)


def test_latency_is_from_the_recording_to_the_strategy(tmp_path: Path) -> None:
    with Writer.create(tmp_path, venues=["binance"], wall_ns=0, mono_ns=0) as writer:
        writer.add_connection(ConnectionInfo(1, "binance", "ws://x"))
        for at, name in [(100, "a"), (200, "b"), (300, "a"), (400, "c")]:
            writer.write([Batch(Kind.MESSAGE, 1, at, at, [b"x"], None, [(name,)])])
    one = Strategy("/binance/ws", (), ("a", "b"))
    two = Strategy("/binance/stream?streams=c", (), ("c",))
    sessions = [Session(times_ns=[101, 202, 303]), Session(times_ns=[450])]
    found = demo._latencies(open_recording(tmp_path), [one, two], sessions)
    assert found == [1, 2, 3, 50]


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 3), (99, 4), (100, 4)])
def test_percentiles(percent: int, value: float) -> None:
    assert demo._percentile([1, 2, 3, 4], percent) == value
    assert demo._percentile([], percent) == 0


def test_the_address_is_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("12:00 INFO ")
    assert demo._address(log) == ""
    log.write_text("12:00 INFO clients connect to ws://127.0.0.1:80/binance or ws://x/coinbase\n")
    assert demo._address(log) == "ws://127.0.0.1:80"
