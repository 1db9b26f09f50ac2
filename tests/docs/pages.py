"""The pages of the documentation, and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^>]*?) -->\n)?^```(?P<language>\w+)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Example(NamedTuple):
    """A fenced block: its language, its text, and the HTML comment right above it."""

    page: Path
    line: int
    language: str
    mark: str
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def examples(page: Path, *languages: str) -> Iterator[Example]:
    """The blocks of a page in these languages."""
    written = text(page)
    for found in _BLOCK.finditer(written):
        if found["language"] in languages:
            line = written.count("\n", 0, found.start("code")) + 1
            yield Example(page, line, found["language"], found["mark"] or "", found["code"])


def every_example(*languages: str) -> list[Example]:
    """The blocks of all pages in these languages."""
    return [example for page in PAGES for example in examples(page, *languages)]
