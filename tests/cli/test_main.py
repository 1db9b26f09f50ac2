from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from wsproxy import __version__
from wsproxy.cli.main import COMMANDS


def test_help_lists_every_command(run: Run) -> None:
    result = run("-h")
    assert result.exit_code == 0
    for name, sentence in COMMANDS.items():
        assert f"  {name} " in result.output
        assert sentence.split()[0] in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_begins_its_help_with_its_sentence(run: Run, name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.output.startswith(f"Usage: main {name} ")
    assert COMMANDS[name].rstrip(".") in " ".join(result.output.split())


def test_the_version(run: Run) -> None:
    assert run("--version").output == f"wsproxy, version {__version__}\n"


@pytest.mark.parametrize("name", ["recrod", "options", "main", "__init__"])
def test_what_is_no_command(run: Run, name: str) -> None:
    result = run(name)
    assert result.exit_code == 2
    assert f"No such command '{name}'" in result.output
