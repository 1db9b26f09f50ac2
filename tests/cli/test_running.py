from __future__ import annotations

import socket
from pathlib import Path

import pytest

from wsproxy.cli.running import running_proxy
from wsproxy.config import Address
from wsproxy.errors import ConfigError, WsproxyError


def test_an_address_is_taken_as_it_is() -> None:
    assert running_proxy("./a.sock") == Path("a.sock")
    assert running_proxy("9000") == Address("127.0.0.1", 9000)


def test_off_is_for_the_proxy() -> None:
    with pytest.raises(ConfigError, match="--admin off: that is for the proxy"):
        running_proxy("off")


def test_without_an_address_it_is_the_only_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    where = tmp_path / "wsproxy"
    where.mkdir()
    with pytest.raises(WsproxyError, match="no proxy of yours is running"):
        running_proxy("auto")
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(where / "1.sock"))
        first.listen()
        assert running_proxy("auto") == where / "1.sock"
        second.bind(str(where / "2.sock"))
        second.listen()
        with pytest.raises(WsproxyError, match="2 proxies are running, choose one"):
            running_proxy("auto")
