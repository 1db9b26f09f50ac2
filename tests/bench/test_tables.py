from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.tables import aim, markdown, publish


def test_an_aim_says_whether_it_is_met() -> None:
    assert aim("a", "≥ 2", [1.0, 3.0, 4.0]) == ["a", "≥ 2", "3.00", "1.00 to 4.00", "yes"]
    assert aim("a", "≤ 2", [2.5]) == ["a", "≤ 2", "2.50", "", "no"]


def test_tables_are_printed_and_put_on_a_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["", "x"], ["a", "10"]]
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- it -->\nold\n<!-- /it -->\nBehind.\n")
    publish("Here.", [("One.", rows), ("Two.", rows)], page, "it")
    said = "Here.\n\nOne.\n\n    x\na  10\n\nTwo.\n\n    x\na  10\n"
    assert capsys.readouterr().out == said
    table = markdown(rows)
    inside = f"<!-- it -->\nHere.\n\nOne.\n\n{table}\n\nTwo.\n\n{table}\n<!-- /it -->"
    assert page.read_text() == f"Before.\n{inside}\nBehind.\n"
    publish("Here.", [], None, "it")
    assert capsys.readouterr().out == "Here.\n"
