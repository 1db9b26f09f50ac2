from __future__ import annotations

import pytest

from tests.recording.formats.support import Reading, Seen
from wsproxy.errors import RecordingError
from wsproxy.model import BINARY, TEXT, Kind, Message
from wsproxy.recording import events
from wsproxy.recording.formats.hftbacktest import Hftbacktest, is_line, write_line

TIME = 1_723_161_255_030_314_667
MESSAGE = b'{"stream":"btcusdt@trade","data":{"e":"trade"}}'
SNAPSHOT = b'{"lastUpdateId":1,"bids":[]}'
CONTENT = b"%d %b\n%d %b\n%d  \xff \n" % (TIME, MESSAGE, TIME + 1, SNAPSHOT, TIME + 2)


def test_lines_are_records_and_back() -> None:
    reading = Reading(Hftbacktest("btcusdt_20240808.gz"))
    url = "hftbacktest:btcusdt_20240808.gz"
    seen = reading.read(CONTENT)
    attachment = events.attachment("", 200, {}, SNAPSHOT, TIME + 1)
    assert seen == [
        Seen(Kind.MESSAGE, url, TIME, MESSAGE),
        Seen(Kind.ATTACHMENT, url, TIME + 1, attachment),
        Seen(Kind.MESSAGE, url, TIME + 2, b" \xff ", BINARY),
    ]
    assert [origin.stream for origin in reading.origins] == ["btcusdt_20240808"]
    written = [
        write_line(Message(0, one.time, 0, one.kind, 1, "v", (), one.opcode, one.payload))
        for one in seen[:2]
    ]
    assert CONTENT.startswith(b"".join(written))


@pytest.mark.parametrize("bad", [b"", b"1723161255 {}", b"%d" % TIME, b"%d " % TIME, b"{}"])
def test_bad_lines(bad: bytes) -> None:
    assert not is_line(bad)
    reading = Reading(Hftbacktest("a.gz"))
    assert len(reading.read(b"%d {}\n%b\n%d {}\n" % (TIME, bad, TIME))) == 2
    assert [index for index, _ in reading.bad] == [1]


@pytest.mark.parametrize(("time", "payload"), [(1, b"{}"), (TIME, b"\xff"), (TIME, b"a\nb")])
def test_what_does_not_fit_into_a_line(time: int, payload: bytes) -> None:
    with pytest.raises(RecordingError, match="record 5 does not fit"):
        write_line(Message(5, time, 0, Kind.MESSAGE, 1, "v", (), TEXT, payload))


def test_other_kinds_have_no_line() -> None:
    assert write_line(Message(5, TIME, 0, Kind.REQUEST, 1, "v", (), TEXT, b"{}")) == b""
