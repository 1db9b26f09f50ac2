"""The rules of the house that import-linter cannot check."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import wsproxy

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wsproxy"
MODULES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if path.read_text(encoding="utf-8").strip()
]

WITHOUT_TESTS = {
    "wsproxy/__main__.py": "two lines that tests/docs run as a process",
    "wsproxy/model.py": "the vocabulary: names and fields, nothing that decides",
    "wsproxy/venues/base.py": "the interface of a venue; tests/docs runs an example of it",
}

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def mirror(module: Path) -> Path:
    """Where the tests of a module are."""
    stem = module.stem.strip("_")
    return ROOT / "tests" / module.relative_to(PACKAGE).with_name(f"test_{stem}.py")


def test_every_module_has_its_tests() -> None:
    missing = {name(module) for module in MODULES if not mirror(module).exists()}
    untested = missing - WITHOUT_TESTS.keys()
    assert not untested, "without tests: " + ", ".join(sorted(untested))
    assert missing == WITHOUT_TESTS.keys(), "some of WITHOUT_TESTS have tests by now"


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_module_holds_one_concept(module: Path) -> None:
    assert len(module.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_only_app_and_wire_may_wait(module: Path) -> None:
    room = module.relative_to(PACKAGE).parts[0]
    if room in ("app", "wire"):
        return
    waiting = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    found = [node for node in ast.walk(_tree(module)) if isinstance(node, waiting)]
    assert not found, f"line {found[0].lineno} waits"


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_every_module_says_what_it_is(module: Path) -> None:
    assert ast.get_docstring(_tree(module))


def test_the_metadata_are_complete() -> None:
    project = PROJECT["project"]
    assert project["name"] == "wsproxy"
    assert project["version"] == wsproxy.__version__
    assert 20 < len(project["description"]) < 200
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11"
    assert project["authors"]
    assert project["keywords"]
    assert "Typing :: Typed" in project["classifiers"]
    assert project["scripts"] == {"wsproxy": "wsproxy.cli.main:main"}
    for file in (project["readme"], *project["license-files"], "wsproxy/py.typed"):
        assert (ROOT / file).is_file()
    for source in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]:
        assert (ROOT / source).exists()


def test_the_dependencies_are_those_that_are_imported() -> None:
    imported = {top for module in MODULES for top in _imports(_tree(module))}
    foreign = imported - set(sys.stdlib_module_names) - {"wsproxy"}
    homes = packages_distributions()
    distributions = {_normal(homes[top][0]) for top in foreign}
    extras = PROJECT["project"]["optional-dependencies"].values()
    wanted = [*PROJECT["project"]["dependencies"], *chain.from_iterable(extras)]
    assert distributions == {_normal(one) for one in wanted}


def test_versions_are_pinned_and_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+( ;.*)?", pin) for pin in pins)
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    assert {_normal(one) for one in wanted} <= {_normal(pin) for pin in pins}


def _tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> set[str]:
    """The top-level packages that a module imports, also within functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module.partition(".")[0])
    return found


def _normal(requirement: str) -> str:
    """The normal form of the name in a requirement (PEP 503)."""
    found = re.match(r"[\w.-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found[0]).lower()
