from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kit import real_clients
from tests.kit.real_clients import NotInstalled, node_modules_with, run


def test_what_a_program_prints_is_read_with_the_digits_that_it_printed(tmp_path: Path) -> None:
    code = "import os; print('{\"a\": [0.10], \"b\": \"' + os.environ['B'] + '\"}')"
    assert run([sys.executable, "-c", code], {"B": "x"}, tmp_path) == {"a": ["0.10"], "b": "x"}


def test_a_program_that_fails_tells_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no luck"):
        run([sys.executable, "-c", "raise SystemExit('no luck')"], {}, tmp_path)


def test_where_a_library_cannot_be_installed_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(real_clients, "_HOME", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="there is no npm here"):
        node_modules_with("ccxt", "4.5.84")
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such version >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(NotInstalled, match="npm failed and said: no such version"):
        node_modules_with("ccxt", "4.5.84")
