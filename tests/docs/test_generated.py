from __future__ import annotations

from pathlib import Path

import click
import pytest

from tests.docs.pages import text
from tests.kit.write_docs import CLI, CONFIGURATION, SERVING, commands, generated, keys, options


@pytest.mark.parametrize("page", [CLI, CONFIGURATION], ids=lambda page: page.name)
def test_generated_pages_say_what_the_code_says(page: Path) -> None:
    assert text(page) == generated()[page], "stale: run `make docs`"


def test_every_command_has_a_section() -> None:
    for name in commands():
        assert f"\n## wsproxy {name}\n" in text(CLI)


@pytest.mark.parametrize(("name", "command"), commands().items(), ids=list(commands()))
def test_every_option_is_in_its_commands_section(name: str, command: click.Command) -> None:
    section = text(CLI).partition(f"## wsproxy {name}\n")[2].partition("\n## ")[0]
    for option in options(command):
        for spelling in option.opts:
            assert spelling in section


@pytest.mark.parametrize("name", SERVING)
def test_every_key_is_documented(name: str) -> None:
    for key in keys(commands()[name]):
        assert f"\n| `{key}` |" in text(CONFIGURATION)
