"""Client libraries of others, installed as their users would, and programs that use them.

Everything lies in ``.venv-clients``, which is made when it is needed and may be deleted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "tests" / "clients" / "programs"
_CONSTRAINTS = ROOT / "tests" / "clients" / "constraints.txt"
_HOME = ROOT / ".venv-clients"
_INSTALL_S = 600
_RUN_S = 180


class NotInstalled(Exception):
    """A library cannot be installed here; the text says why."""


@cache
def python_with(package: str) -> Path:
    """An interpreter that has this package, in the version of ``constraints.txt``."""
    python = _HOME / "bin" / "python"
    if not python.exists():
        _install([sys.executable, "-m", "venv", str(_HOME)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _install([*pip, "--constraint", str(_CONSTRAINTS), package])
    return python


@cache
def node_modules_with(package: str, version: str) -> Path:
    """A directory for ``NODE_PATH`` that has this package."""
    modules = _HOME / "node_modules"
    manifest = modules / package / "package.json"
    if not manifest.exists() or json.loads(manifest.read_bytes())["version"] != version:
        _HOME.mkdir(exist_ok=True)
        npm = ["npm", "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
        _install([*npm, "--prefix", str(_HOME), f"{package}@{version}"])
    return modules


def run(command: Sequence[str | Path], env: Mapping[str, str], directory: Path) -> Any:
    """Run a program to its end, in this directory; gives what it prints as JSON.

    Raises AssertionError, with what it said, if it fails or takes too long.
    """
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            cwd=directory,
            env={**os.environ, **env},
            text=True,
            timeout=_RUN_S,
        )
    except subprocess.TimeoutExpired as error:
        said = (error.stderr or b"").decode()
        raise AssertionError(f"{error}; it said:\n{said}") from None
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_float=str)


def _install(command: Sequence[str]) -> None:
    name = Path(command[0]).name
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
    except FileNotFoundError:
        raise NotInstalled(f"there is no {name} here") from None
    except subprocess.TimeoutExpired:
        raise NotInstalled(f"{name} did not end within {_INSTALL_S} s") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines() or ["nothing"]
        raise NotInstalled(f"{name} failed and said: {said[-1]}") from None
