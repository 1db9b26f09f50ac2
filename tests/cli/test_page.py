from __future__ import annotations

import stat
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.replay.health import support
from tests.replay.health.support import record_all, trade
from wsproxy.cli import page
from wsproxy.cli.page import report

VOID = {"meta", "br", "link", "img", "input", "hr"}
KNOWN = {
    *("html", "head", "title", "style", "body", "main", "div", "section", "span", "b", "i", "p"),
    *("h1", "h2", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "meta"),
    *("svg", "defs", "g", "path", "use", "text", "clippath", "rect"),
}
OURS = {"lang", "charset", "content", "name", "http-equiv", "class", "style"}
OF_MATPLOTLIB = {
    *("id", "d", "x", "y", "transform", "clip-path", "xlink:href", "width", "height", "viewbox"),
    *("xmlns", "xmlns:xlink", "version", "type"),
}


class Elements(HTMLParser):
    """What a browser would see: well nested, and nothing but what the page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN
        for name, value in attrs:
            assert name in OURS | OF_MATPLOTLIB
            assert name != "xlink:href" or (value or "").startswith("#")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in KNOWN

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def _page(directory: Path) -> str:
    out = directory.with_suffix(".html")
    report(directory, out)
    return out.read_text()


def test_a_bad_day(tmp_path: Path) -> None:
    text = _page(support.a_bad_day(tmp_path / "day"))
    words = Elements(text).words
    assert "day, a recording" in words
    assert "poor" in words
    assert "750" in words
    assert "94.9%" in words
    assert "unusually long silence of 1 of 1 stream: binance:btcusdt@trade for 20 s" in text
    assert text.count("<svg") == 1
    assert "#e5484d" in text.partition("<svg")[2]


def test_the_page_loads_and_runs_nothing(tmp_path: Path) -> None:
    text = _page(support.a_bad_day(tmp_path / "day"))
    assert "default-src 'none'" in text
    namespaces = text.replace("http://www.w3.org/2000/svg", "").replace(
        "http://www.w3.org/1999/xlink", ""
    )
    for sign in ("http:", "https:", "//", "<script", "@import", "url(h", "src="):
        assert sign not in namespaces


EVIL = [
    "<script>alert(1)</script>@trade",
    '"><img src=x onerror=alert(1)>@trade',
    "</style></svg><iframe>@trade",
    "$\\frac{1}{@trade",
    "a&amp;<!--@trade",
    "{0}{name}@trade",
    "\u202eedart@\x1b[2J\x00",
    "币安人生usdt@trade",
    "",
    "x" * 5_000,
]


def test_names_are_not_html(tmp_path: Path) -> None:
    batches = [
        batch
        for number, name in enumerate(EVIL)
        for batch in (
            support.granted(number, name),
            support.gap(number, number + 50, name),
            support.message({"data": {"E": 1}}, name, at=900 + number),
        )
    ]
    text = _page(record_all(tmp_path / "<b>r & d", batches))
    words = " ".join(Elements(text).words)
    for name in EVIL[:6]:
        assert f"binance:{name}" in words
    assert "币安人生usdt@trade" in words
    assert "<b>r & d, a recording" in words
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "x" * 500 not in text


def test_venue_names_are_not_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = support.CONNECTIONS[0]._replace(venue="<script>", url="<script>")
    monkeypatch.setattr(support, "CONNECTIONS", (evil,))
    Elements(_page(record_all(tmp_path / "r", [trade(0, 1), support.clock(5, 9, 1)])))


@pytest.mark.parametrize(
    ("streams", "lanes", "rows"), [(1, 1, 1), (2, 3, 2), (13, 14, 13), (1_003, 14, 1_001)]
)
def test_one_stream_or_a_thousand(tmp_path: Path, streams: int, lanes: int, rows: int) -> None:
    batches = [support.message({}, f"s{number}@trade", at=number) for number in range(streams)]
    text = _page(record_all(tmp_path / "r", batches))
    assert text.count("<svg") == lanes
    assert text.count("<tr>") == 1 + rows
    assert ("<td>the other 3</td><td>3</td>" in text) == (streams == 1_003)
    assert len(text) < 1_000_000


def test_a_recording_without_messages(tmp_path: Path) -> None:
    Elements(_page(record_all(tmp_path / "empty", [])))
    Elements(_page(record_all(tmp_path / "events", [support.clock(0, 5, 1)])))


def test_a_damaged_recording(tmp_path: Path) -> None:
    directory = support.a_bad_day(tmp_path / "day")
    part = directory / "000001.wsr.zst"
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 1
    part.write_bytes(content)
    assert '<span class="pill damaged">damaged</span>' in _page(directory)


def test_it_is_the_owners_alone_and_replaces_nothing(run: Run, tmp_path: Path) -> None:
    directory, out = support.a_bad_day(tmp_path / "day"), tmp_path / "day.html"
    result = run("info", directory, "--html", out)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{out}: ")
    assert "binance:btcusdt@trade" in result.stdout
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    before = out.read_bytes()
    again = run("info", directory, "--html", out)
    assert again.exit_code == 1
    assert again.stderr.startswith(f"Error: {out} is there already")
    assert out.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"day", "day.html"}


def test_without_matplotlib(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "find_spec", lambda name: None)
    directory, out = support.a_bad_day(tmp_path / "day"), tmp_path / "day.html"
    result = run("info", directory, "--html", out)
    assert result.exit_code == 1
    assert result.stderr == "Error: a report needs matplotlib: pip install 'wsproxy[report]'\n"
    assert not out.exists()
