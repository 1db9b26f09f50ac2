from __future__ import annotations

import pytest

from wsproxy.errors import RecordingError
from wsproxy.model import BINARY, TEXT, Kind
from wsproxy.recording.events import attachment, marker
from wsproxy.recording.formats.base import Item, Origin, Run, attached, lines, opcode_of, runs


def test_records_that_agree_come_together() -> None:
    one, other = Origin("a", "a"), Origin("a", "a")
    items = [
        Item(Kind.MESSAGE, one, 1, 1, b"x"),
        Item(Kind.MESSAGE, one, 1, 2, b"y"),
        Item(Kind.MESSAGE, one, 2, 3, b"z"),
        Item(Kind.MESSAGE, other, 2, 4, b"z"),
        Item(Kind.REQUEST, other, 2, 5, b"z"),
    ]
    assert list(runs(items)) == [
        Run(Kind.MESSAGE, one, [1, 2], [b"x", b"y"], 1),
        Run(Kind.MESSAGE, one, [3], [b"z"], 2),
        Run(Kind.MESSAGE, other, [4], [b"z"], 2),
        Run(Kind.REQUEST, other, [5], [b"z"], 2),
    ]


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [(b"", []), (b"a", [b"a"]), (b"a\n", [b"a"]), (b"a\n\nb\r\n", [b"a", b"", b"b\r"])],
)
def test_lines(chunk: bytes, expected: list[bytes]) -> None:
    assert lines(chunk) == expected


def test_what_is_not_utf_8_is_binary() -> None:
    assert [opcode_of(b"a"), opcode_of("é".encode()), opcode_of(b"\xff")] == [TEXT, TEXT, BINARY]


def test_what_is_attached() -> None:
    assert attached(attachment("https://a", 200, {}, b"{}", 1)) == ("https://a", b"{}")
    with pytest.raises(RecordingError, match="no url"):
        attached(marker("a", "b"))
