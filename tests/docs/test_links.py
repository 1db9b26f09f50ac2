from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, text

_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]+))?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> list[tuple[str, str]]:
    """File and anchor of each link to a place in the repository."""
    return [(found[1], found[2] or "") for found in _LINK.finditer(_FENCED.sub("", text(page)))]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to headings."""
    headings = _HEADING.findall(_FENCED.sub("", text(page)))
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    for file, anchor in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.is_relative_to(ROOT), f"{file} leads out of the repository"
        assert target.exists(), f"{page.name} links to {file}, which is not there"
        if anchor:
            assert anchor in anchors(target), f"{file or page.name} has no heading #{anchor}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {file for file, _ in links(ROOT / "README.md")}
    assert {f"docs/{page.name}" for page in PAGES[1:]} <= linked


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# wsproxy record\n## What a gap does\n### ws (8.23.0)\n```sh\n# no heading\n```\n"
    )
    assert anchors(page) == {"wsproxy-record", "what-a-gap-does", "ws-8230"}
