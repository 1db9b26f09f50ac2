"""The command line answers quickly because it imports only what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.kit.write_docs import commands

HEAVY = {"asyncio", "cbor2", "msgspec", "ssl", "trio", "trio_websocket", "wsproto", "zstandard"}

_HELP = """
import sys
from wsproxy.cli.main import main
main(sys.argv[1:], standalone_mode=False)
print(*sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize("words", [[], *([name] for name in commands())], ids="-".join)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    command = [sys.executable, "-c", _HELP, *words, "--help"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.startswith("Usage: ")
    assert not HEAVY.intersection(ran.stderr.split())


def test_importing_the_library_imports_nothing_heavy() -> None:
    code = "import sys, wsproxy; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert not HEAVY.intersection(ran.stdout.split())
