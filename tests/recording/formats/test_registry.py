from __future__ import annotations

import pytest

from wsproxy.recording.formats.registry import FORMATS, detect


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("jsonl", b'{"t":1,"conn":"a","dir":"in","m":"x"}\n'),
        ("hftbacktest", b"1723161255030314667 {}\n"),
        ("tardis", b"\n2019-06-01T00:00:00.0000000Z {}\n"),
        ("cryptofeed", b"configuration: {}\n"),
        ("cryptofeed", b"wss://x <-> 1628952394.8\n"),
        ("cryptofeed", b"damaged\n1628952394.5: x\n"),
        (None, b"seq,time\n1,2\n"),
        (None, b"\n"),
    ],
)
def test_the_first_lines_tell_the_format(name: str | None, content: bytes) -> None:
    assert detect(content) == name


def test_each_format_opens_files() -> None:
    for known in FORMATS.values():
        assert list(known.open("file.gz").read(b"", lambda *_: None)) == []
