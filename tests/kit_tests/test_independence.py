from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from tests.kit import books, exchange_process, golden, rest, strategy, traffic
print([name for name in sys.modules if name.split(".")[0] == "wsproxy"])
"""


def test_the_stand_ins_share_no_code_with_wsproxy() -> None:
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
