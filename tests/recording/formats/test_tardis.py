from __future__ import annotations

import pytest

from tests.recording.formats.support import NS, Reading, Seen
from wsproxy.model import Kind
from wsproxy.recording.events import read_event
from wsproxy.recording.formats.tardis import Tardis, is_line

FIRST = 1_559_347_200 * NS
URL = "tardis:bitmex_trades_2019-06-01.gz"


def test_lines_are_records() -> None:
    reading = Reading(Tardis("bitmex_trades_2019-06-01.gz"))
    content = b'2019-06-01T00:00:00.0000001Z {"a":1}\n2019-06-01T00:00:01.5Z {"b":1}\n'
    assert reading.read(content) == [
        Seen(Kind.MESSAGE, URL, FIRST + 100, b'{"a":1}'),
        Seen(Kind.MESSAGE, URL, FIRST + 1_500_000_000, b'{"b":1}'),
    ]
    assert not reading.bad


def test_an_empty_line_ends_the_connection() -> None:
    reading = Reading(Tardis("bitmex_trades_2019-06-01.gz"))
    line = b"2019-06-01T00:00:0%d.0000000Z {}\n"
    seen = reading.read(b"\n" + line % 1 + b"\n\n")
    seen += reading.read(b"\n" + line % 3)
    kinds = [Kind.MESSAGE, Kind.CLOSED, Kind.GAP, Kind.MESSAGE]
    assert [one.kind for one in seen] == kinds
    assert [one.time - FIRST for one in seen] == [1 * NS, 1 * NS, 3 * NS, 3 * NS]
    assert read_event(seen[1].payload)["code"] == 1006
    assert read_event(seen[2].payload)["since"] == FIRST + 1 * NS
    assert len(reading.origins) == 2


@pytest.mark.parametrize(
    "bad",
    [
        b"2019-06-01T00:00:00.0000001Z",
        b"2019-06-01T00:00:00.0000001 {}",
        b"2019-06-01 00:00:00 {}",
        b"2019-13-01T00:00:00.0000001Z {}",
        b"{}",
    ],
)
def test_bad_lines(bad: bytes) -> None:
    reading = Reading(Tardis("a.gz"))
    good = b"2019-06-01T00:00:00.0000001Z {}\n"
    assert is_line(good[:-1])
    assert len(reading.read(good + bad + b"\n" + good)) == 2
    assert [index for index, _ in reading.bad] == [1]
