from __future__ import annotations

import pytest

from tests.recording.formats.support import NS, Reading, Seen
from wsproxy.model import BINARY, Kind
from wsproxy.recording import events
from wsproxy.recording.events import read_event
from wsproxy.recording.formats.cryptofeed import Cryptofeed, is_line

START = 1_628_952_394 * NS
URL = "wss://stream.binance.com:9443/stream?streams=a@trade"

CONTENT = f"""configuration: {{"x": 1}}
{URL} <-> 1628952394.891941
{URL} <- 1628952394.9: {{"op": "sub"}}
1628952395.7998052: {{"a": "b: c"}}
1628952396.0: b'\\x1f\\x8b"\\xff'
https://x/depth?a=b -> 1628952397.25: {{"lastUpdateId":1}}

""".encode()


def test_lines_are_records() -> None:
    reading = Reading(Cryptofeed("BINANCE.ws.1.0"))
    body = events.attachment(
        "https://x/depth?a=b", 200, {}, b'{"lastUpdateId":1}', START + 3_250_000_000
    )
    assert reading.read(CONTENT) == [
        Seen(Kind.OPENED, URL, START + 891_941_000, events.opened()),
        Seen(Kind.REQUEST, URL, START + 900_000_000, b'{"op": "sub"}'),
        Seen(Kind.MESSAGE, URL, START + 1_799_805_200, b'{"a": "b: c"}'),
        Seen(Kind.MESSAGE, URL, START + 2 * NS, b'\x1f\x8b"\xff', BINARY),
        Seen(Kind.ATTACHMENT, URL, START + 3_250_000_000, body),
    ]
    assert not reading.bad
    assert all(is_line(line) for line in CONTENT.splitlines() if line)


def test_a_file_may_begin_anywhere() -> None:
    [seen] = Reading(Cryptofeed("BINANCE.ws.1.0")).read(b"1628952394.5: x\n")
    assert seen == Seen(Kind.MESSAGE, "cryptofeed:BINANCE.ws.1.0", START + NS // 2, b"x")


def test_a_second_connection_attempt_ends_the_first() -> None:
    reading = Reading(Cryptofeed("BINANCE.ws.1.0"))
    attempt = URL.encode() + b" <-> 162895240%d.0\n"
    seen = reading.read(attempt % 0 + b"1628952401.0: x\n" + attempt % 5)
    kinds = [Kind.OPENED, Kind.MESSAGE, Kind.CLOSED, Kind.GAP, Kind.OPENED]
    assert [one.kind for one in seen] == kinds
    assert read_event(seen[3].payload)["since"] == 1_628_952_401 * NS
    assert len(reading.origins) == 2


@pytest.mark.parametrize(
    "bad", [b"x", b"1628952394.5 x", b"1628952394.5: b'", b"1628952394.5: b'' + b''", b"{}"]
)
def test_bad_lines(bad: bytes) -> None:
    reading = Reading(Cryptofeed("a.0"))
    good = b"1628952394.5: x\n"
    assert len(reading.read(good + bad + b"\n" + good)) == 2
    assert [index for index, _ in reading.bad] == [1]
