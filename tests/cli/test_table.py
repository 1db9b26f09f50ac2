from __future__ import annotations

import pytest

from wsproxy.cli.table import WIDTH, duration, printable, size, table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [["a", "10,000", "x"], ["bcd", "1", "yy"]]
    assert list(table(["name", ">count", "what"], rows)) == [
        "  name   count  what",
        "  a     10,000  x",
        "  bcd        1  yy",
    ]


def test_no_line_is_longer_than_the_page() -> None:
    lines = list(table(["name", "why"], [["a", "x" * 200]]))
    assert len(lines[1]) == WIDTH
    assert lines[1].endswith("x\N{HORIZONTAL ELLIPSIS}")


def test_a_terminal_is_not_steered() -> None:
    assert printable("\x1b[2Jé\r") == "\ufffd[2Jé\ufffd"
    assert list(table(["a"], [["\x07"]]))[1] == "  \ufffd"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0234, "0.02 s"),
        (1.04, "1 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min"),
        (303.4, "5 min 3 s"),
        (3599.6, "1 h"),
        (11_529, "3 h 12 min"),
        (86_400 + 3600, "1 d 1 h"),
        (100 * 86_400, "100 d"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (48_100_000, "48.1 MB"),
        (2.5e9, "2.5 GB"),
        (3e15, "3,000.0 TB"),
    ],
)
def test_sizes(number: float, text: str) -> None:
    assert size(number) == text
