"""Shell examples name commands, options and targets that exist, with values that are taken."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.docs.pages import ROOT, Example, every_example
from tests.kit.write_docs import commands
from wsproxy.cli.main import main
from wsproxy.replay.faults import read_faults

SHELL = every_example("sh")
TOML = [example for example in every_example("toml") if example.mark != "faults"]
FAULTS = [example for example in every_example("toml") if example.mark == "faults"]
_ASSIGNMENT = re.compile(r"(WSPROXY_\w+)=(.*)", re.DOTALL)


def lines(example: Example) -> Iterator[list[str]]:
    """The words of each command of an example."""
    for line in example.code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield words


@pytest.mark.parametrize("example", SHELL, ids=str)
def test_wsproxy_takes_it(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for toml in TOML:
        (tmp_path / "wsproxy.toml").write_text(toml.code)
    monkeypatch.chdir(tmp_path)
    for words in lines(example):
        while assigned := _ASSIGNMENT.fullmatch(words[0]):
            monkeypatch.setenv(assigned[1], assigned[2])
            words.pop(0)
        if words[0] == "wsproxy":
            _parse(words[1:])


def _parse(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        return
    command = main.get_command(click.Context(main), arguments[0])
    assert command is not None, f"there is no command {arguments[0]}"
    command.make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("example", SHELL, ids=str)
def test_make_has_the_target(example: Example) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in lines(example):
        if words[0] == "make":
            assert set(words[1:]) <= set(targets)


@pytest.mark.parametrize("example", TOML, ids=str)
def test_a_command_takes_the_configuration(example: Example) -> None:
    name = example.mark.removeprefix("example: ")
    known = {parameter.name for parameter in commands()[name].params}
    assert {key.replace("-", "_") for key in tomllib.loads(example.code)} <= known


@pytest.mark.parametrize("example", FAULTS, ids=str)
def test_faults_are_understood(example: Example, tmp_path: Path) -> None:
    path = tmp_path / "faults.toml"
    path.write_text(example.code)
    assert len(read_faults(path).fault) == example.code.count("[[fault]]")


def test_there_are_examples() -> None:
    wsproxy = [words[1] for example in SHELL for words in lines(example) if words[0] == "wsproxy"]
    assert {"record", "replay", "info", "cat"} <= set(wsproxy)
    assert len(TOML) == len(FAULTS) == 1
