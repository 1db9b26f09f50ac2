from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from wsproxy.model import BINARY, TEXT, Kind, Message
from wsproxy.recording import events
from wsproxy.recording.ndjson import line

MESSAGE = Message(
    seq=3,
    time=1_723_161_255_030_314_667,
    mono=1,
    kind=Kind.MESSAGE,
    connection=2,
    venue="binance",
    streams=("btcusdt@trade",),
    opcode=TEXT,
    payload='{"p":"1","€":"\\u0000"}'.encode(),
)


def test_a_message_is_one_line() -> None:
    assert (
        line(MESSAGE)
        == (
            '{"seq":3,"time":"1723161255030314667","kind":"message","connection":2,'
            '"stream":"binance:btcusdt@trade","text":"{\\"p\\":\\"1\\",\\"€\\":\\"\\\\u0000\\"}"}\n'
        ).encode()
    )


@pytest.mark.parametrize(
    ("streams", "shown"),
    [((), None), (("a",), "binance:a"), (("a", "b:c"), ["binance:a", "binance:b:c"])],
)
def test_streams_are_none_one_or_a_list(streams: tuple[str, ...], shown: object) -> None:
    assert json.loads(line(replace(MESSAGE, streams=streams)))["stream"] == shown


@pytest.mark.parametrize(
    ("message", "kind", "key", "value"),
    [
        (replace(MESSAGE, kind=Kind.REQUEST, payload=b"hi"), "request", "text", "hi"),
        (replace(MESSAGE, payload=b"\xff\n"), "message", "base64", "/wo="),
        (replace(MESSAGE, payload=b"hi", opcode=BINARY), "message", "base64", "aGk="),
        (
            replace(MESSAGE, kind=Kind.GAP, payload=events.gap(["a"], "lost", 2**60, 4)),
            "gap",
            "event",
            {"streams": ["a"], "why": "lost", "since": str(2**60), "missed": 4},
        ),
        (replace(MESSAGE, kind=Kind.CLOSED, payload=b"\xff"), "closed", "base64", "/w=="),
        (replace(MESSAGE, kind=77, payload=b"hi"), 77, "base64", "aGk="),
    ],
)
def test_the_payload_is_shown_as_what_it_is(
    message: Message, kind: object, key: str, value: object
) -> None:
    shown = json.loads(line(message))
    assert shown["kind"] == kind
    assert list(shown)[-1] == key
    assert shown[key] == value
