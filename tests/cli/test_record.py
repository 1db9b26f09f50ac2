from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

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


def test_rotation_and_retention(run: Run, called: list[tuple[Any, ...]]) -> None:
    run(
        *("record", "binance", "--rotate-mb", 64, "--rotate-seconds", 3600, "--rotate-daily"),
        *("--keep-gb", 0.5, "--keep-days", 2, "--keep-free-gb", 10),
    )
    assert called[0][2] == Recording(
        rotate_bytes=64 << 20,
        rotate_seconds=3600,
        rotate_daily=True,
        keep_bytes=1 << 29,
        keep_seconds=172_800,
        keep_free_bytes=10 << 30,
    )


def test_what_is_kept_has_to_be_more_than_one_part(run: Run, called: list[tuple[Any, ...]]) -> None:
    result = run("record", "binance", "--keep-gb", "2")
    assert result.exit_code == 2
    assert "choose --keep-gb above 4, or a smaller --rotate-mb" in result.stderr
    assert called == []


def test_rotation_from_the_environment_and_a_file(
    run: Run, called: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    config = tmp_path / "config.toml"
    config.write_text("rotate-daily = true\nkeep-days = 1\n")
    run("record", "binance", "--config", config, env={"WSPROXY_ROTATE_MB": "1"})
    assert called[0][2] == Recording(rotate_bytes=1 << 20, rotate_daily=True, keep_seconds=86_400)


def test_what_goes_beside_messages(run: Run, called: list[tuple[Any, ...]]) -> None:
    run(
        *("record", "binance", "--rest-depth", 5000, "--keyframe-seconds", 0),
        *("--rest-url", "binance=http://127.0.0.1:9000"),
    )
    assert called[0][2] == Recording(
        rest_urls=(("binance", "http://127.0.0.1:9000"),), rest_depth=5000, keyframe_seconds=0
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("coinbase=https://h", "write VENUE=URL, for one of binance"),
        ("mtgox=https://h", "write VENUE=URL, for one of binance"),
        ("binance=ftp://h", "has to be like https://host:port"),
    ],
)
def test_a_rest_url_that_cannot_be(
    run: Run, called: list[tuple[Any, ...]], url: str, why: str
) -> None:
    result = run("record", "binance", "--rest-url", url)
    assert result.exit_code == 2
    assert why in result.stderr
    assert called == []
