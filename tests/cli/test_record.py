from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.cli.conftest import Run
from wsproxy.config import Recording


def test_defaults(run: Run, called: list[tuple[Any, ...]]) -> None:
    assert run("record", "binance").exit_code == 3
    assert called[0][2] == Recording()


def test_everything(run: Run, called: list[tuple[Any, ...]], tmp_path: Path) -> None:
    run(
        *("record", "binance", "--out", tmp_path, "--block-seconds", 0.5, "--block-kb", 4),
        *("--on-disk-error", "stop", "--duration", 9),
    )
    *_, recording, duration = called[0]
    assert recording == Recording(
        out=tmp_path, block_bytes=4096, block_seconds=0.5, stop_on_error=True
    )
    assert duration == 9
