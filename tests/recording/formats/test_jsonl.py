from __future__ import annotations

import gzip
import json
import zlib
from base64 import b64encode

import pytest

from tests.recording.formats.support import Reading, Seen
from wsproxy.model import BINARY, TEXT, ConnectionInfo, Kind, Message
from wsproxy.recording import events
from wsproxy.recording.formats.jsonl import JsonLines, is_line, write_line


def row(**fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def deflated(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


HTTP = row(t=3, conn="b", dir="http", url="https://x/y", m='{"z":1}')
LINES = [
    (row(t=1, conn="a", dir="in", m='{"x":"é\\u2028"}'), Kind.MESSAGE, '{"x":"é\\u2028"}'.encode()),
    (row(t=2, conn="a", dir="out", m=""), Kind.REQUEST, b""),
    (HTTP, Kind.ATTACHMENT, events.attachment("https://x/y", 200, {}, b'{"z":1}', 3)),
]
BINARIES = [
    ("gzip", gzip.compress(b'{"a":1}', mtime=0), '{"a":1}'),
    ("deflate-raw", deflated(b'{"a":1}'), '{"a":1}'),
    ("none", b"\xff\xfe", ""),
    ("none", b'{"a":1}', '{"a":1}'),
]


def compressed(enc: str, wire: bytes, text: str) -> bytes:
    return row(t=4, conn="a", dir="in", m=text, enc=enc, b64=b64encode(wire).decode())


@pytest.mark.parametrize(("line", "kind", "payload"), LINES)
def test_lines_are_records(line: bytes, kind: Kind, payload: bytes) -> None:
    assert is_line(line)
    reading = Reading(JsonLines("file"))
    fields = json.loads(line)
    assert reading.read(line) == [Seen(kind, f"jsonl:{fields['conn']}", fields["t"], payload)]


@pytest.mark.parametrize(("enc", "wire", "text"), BINARIES)
def test_the_bytes_of_the_wire_are_what_counts(enc: str, wire: bytes, text: str) -> None:
    [seen] = Reading(JsonLines("file")).read(compressed(enc, wire, text))
    assert (seen.payload, seen.opcode) == (wire, BINARY)


def test_records_become_the_lines_that_they_were() -> None:
    connections = {
        1: ConnectionInfo(1, "v", "jsonl:a"),
        2: ConnectionInfo(2, "v", "jsonl:b"),
    }
    written = []
    content = b"".join([line for line, _, _ in LINES] + [compressed(*one) for one in BINARIES])
    for index, seen in enumerate(Reading(JsonLines("file")).read(content)):
        number = 1 if seen.url == "jsonl:a" else 2
        message = Message(
            index, seen.time, 0, seen.kind, number, "v", (), seen.opcode, seen.payload
        )
        written.append(write_line(message, connections))
    assert b"".join(written) == content


def test_a_connection_of_another_source_and_a_kind_without_line() -> None:
    connections = {7: ConnectionInfo(7, "binance", "wss://x")}
    message = Message(0, 5, 0, Kind.MESSAGE, 7, "binance", (), TEXT, b"x")
    assert json.loads(write_line(message, connections))["conn"] == "binance-7"
    opened = Message(0, 5, 0, Kind.OPENED, 7, "binance", (), TEXT, events.opened())
    assert write_line(opened, connections) == b""


def test_one_origin_a_connection_over_chunks() -> None:
    reading = Reading(JsonLines("file"))
    for _ in range(2):
        reading.read(b"".join(line for line, _, _ in LINES))
    assert len(reading.origins) == 2


@pytest.mark.parametrize(
    "bad",
    [
        b"nonsense\n",
        b"{}\n",
        b"[]\n",
        b"\n",
        row(t=None, conn="a", dir="in", m="x"),
        row(t=1, conn="a", dir="up", m="x"),
        row(t=1, conn="a", dir="in"),
        row(t=1, conn="a", dir="in", m="x", enc="gzip", b64="%"),
        b'{"t":1,"conn":"a","dir":"in","m":"\xff"}\n',
    ],
)
def test_bad_lines_cost_no_other(bad: bytes) -> None:
    reading = Reading(JsonLines("file"))
    good = LINES[0][0]
    assert len(reading.read(good + bad + good)) == 2
    if bad != b"\n":  # msgspec passes over empty lines, and so do we where all others are good
        assert [index for index, _ in reading.bad] == [1]
